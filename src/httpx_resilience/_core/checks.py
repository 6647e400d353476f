"""Validation of configuration: each error names the field, the value and what is allowed."""

import math
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

MOST = 2**63 - 1
"""The largest integer where no other bound is given; not every reader of the log takes more."""


def integer(field: str, value: object, *, low: int, high: int | None = None) -> None:
    """Raise unless ``value`` is an integer in [low, high]; without ``high``, below 2**63."""
    allowed = f"an integer of at least {low}" if high is None else f"an integer in [{low}, {high}]"
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(_refusal(field, value, allowed))
    if high is None and value > MOST:
        allowed += " and below 2**63"
    if value < low or value > (MOST if high is None else high):
        raise ValueError(_refusal(field, value, allowed))


def number(
    field: str,
    value: object,
    *,
    low: float,
    high: float = math.inf,
    above: bool = False,
    optional: bool = False,
) -> None:
    """Raise unless ``value`` is a finite number in [low, high], or in (low, high] if ``above``."""
    if value is None and optional:
        return
    floor = f"above {low:g}" if above else f"of at least {low:g}"
    allowed = f"a finite number {floor}"
    if high != math.inf:
        allowed += f" and at most {high:g}"
    if optional:
        allowed += ", or None"
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(_refusal(field, value, allowed))
    try:
        is_finite = math.isfinite(value)
    except OverflowError:
        is_finite, allowed = False, allowed.replace("finite number", "number below 1.8e308,")
    if not is_finite or value < low or value > high or (above and value == low):
        raise ValueError(_refusal(field, value, allowed))


def one_of(field: str, value: object, allowed: Iterable[str]) -> None:
    """Raise unless ``value`` is one of the allowed words; suggest the nearest."""
    words = list(allowed)
    if value in words:
        return
    choices = ", ".join(repr(word) for word in words)
    raise ValueError(_refusal(field, value, f"one of {choices}") + nearest(value, words))


def instance(field: str, value: object, kind: type[T], allowed: str) -> T:
    """Return ``value`` if it is an instance of ``kind``, else raise."""
    if not isinstance(value, kind):
        raise TypeError(_refusal(field, value, allowed))
    return value


def nearest(value: object, words: Iterable[str], cutoff: float = 0.6) -> str:
    """Return `` (did you mean …?)`` for the nearest known word, or an empty string."""
    import difflib

    word = value if isinstance(value, str) else shown(value)
    found = difflib.get_close_matches(word, list(words), n=1, cutoff=cutoff)
    return f" (did you mean {found[0]!r}?)" if found else ""


def shown(value: object) -> str:
    """Return a value as a refusal shows it: as it would be written, but for endless integers.

    >>> shown(-(10**400))
    '-100000000000… (401 digits)'
    """
    if isinstance(value, int) and value.bit_length() > 200:  # Python writes 4,300 digits at most
        digits = int(value.bit_length() * math.log10(2)) + 1  # for some, one too many
        return f"{'-' * (value < 0)}{abs(value) // 10 ** (digits - 12)}… ({digits} digits)"
    try:
        return repr(value)
    except ValueError:
        return f"a {type(value).__name__} with an endless integer in it"


def _refusal(field: str, value: object, allowed: str) -> str:
    return f"{field}: got {shown(value)}, allowed is {allowed}"
