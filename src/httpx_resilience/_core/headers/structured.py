"""The structured fields of the IETF draft, and the formats that vendors made up for one header.

``RateLimit`` is a dictionary in draft 07 and a list of named items from draft 08 on;
``RateLimit-Policy`` is a list of quotas before 08 and of named items since. All are read leniently:
a parameter that cannot be read counts as absent, a member without any as not sent.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from .families import Facts, Fields, readable_name
from .limits import UNKNOWN, RateLimit, Reset, policy
from .resets import Context, reset_of
from .values import (
    MAX_MEMBERS,
    compiled,
    members,
    moment,
    parameters,
    positive,
    unquoted,
    whole,
)

_PAIR = r"\s*(\d{1,20}):(\d{1,20})\s*"
_USED_OF = r"(?:([\w-]{1,64})\s*=\s*)?(\d{1,20})\s*/\s*(\d{1,20})"

_REFUSALS = frozenset({b"rejected", b"rate_limited", b"exceeded"})
"""What ``anthropic-ratelimit-unified-status`` says when it is not ``allowed`` or a warning."""


class Announced(NamedTuple):
    """One member of ``RateLimit-Policy``; ``partition`` is its ``pk``."""

    name: str | None
    quota: int | None
    window: float | None
    unit: str
    partition: str | None


@lru_cache(64)
def announced(value: bytes) -> tuple[Announced, ...]:
    """Read ``RateLimit-Policy``: ``100;w=60`` (draft 06) or ``"burst";q=100;w=60`` (08)."""
    return tuple(_announced(member) for member in members(value.decode("latin-1")))


def _announced(member: str) -> Announced:
    item, given = parameters(member)
    quota = whole(given.get("q", item))
    return Announced(
        name=None if whole(item) is not None else readable_name(item),
        quota=quota if quota is not None and quota >= 0 else None,
        window=positive(given.get("w")),
        unit=readable_name(given.get("qu", "")) or "requests",
        partition=given.get("pk"),
    )


def window_of(limit: int | None, context: Context) -> float | None:
    """Return the window that ``RateLimit-Policy`` states for a quota, the longest of several."""
    if context.policy is None or limit is None:
        return None
    windows = (each.window for each in announced(context.policy) if each.quota == limit)
    return max((window for window in windows if window is not None), default=None)


def read_structured(facts: Facts, fields: Fields, context: Context) -> Iterator[RateLimit | None]:
    """Read ``RateLimit``, joined to ``RateLimit-Policy`` by name.

    A policy that ``RateLimit`` does not mention is not near its end (draft 10), so it is left out.
    """
    found = members(fields["limit"].decode("latin-1"))
    if all("=" in member.partition(";")[0] for member in found):
        yield _from_dictionary(",".join(found), ",", context)
        return
    stated = announced(context.policy) if context.policy is not None else ()
    for member in found:
        yield _from_item(*parameters(member), stated, context)


def _from_item(
    item: str, given: dict[str, str], stated: tuple[Announced, ...], context: Context
) -> RateLimit | None:
    name = readable_name(item)
    named = [each for each in stated if each.name == name]
    same = [each for each in named if each.partition == given.get("pk")]
    about = (same or named or [Announced(name, None, None, "requests", None)])[0]
    remaining = whole(given.get("r", ""))
    reset = _reset(given.get("t"), about.window, context)
    if remaining is None and reset is UNKNOWN:
        return None
    return policy(about.quota, remaining, reset, window=about.window, unit=about.unit, bucket=name)


def _from_dictionary(text: str, separator: str, context: Context) -> RateLimit | None:
    """Read ``limit=100, remaining=50, reset=5``; Zendesk says ``total`` and ``resets``."""
    pairs = (part.partition("=") for part in text.split(separator, MAX_MEMBERS)[:MAX_MEMBERS])
    given = {key.strip(" \t").lower(): value.partition(";")[0] for key, _, value in pairs}
    limit = whole(given.get("limit", given.get("total", "")))
    window = window_of(limit, context)
    reset = _reset(given.get("reset", given.get("resets")), window, context)
    return policy(limit, whole(given.get("remaining", "")), reset, window=window)


def _reset(text: str | None, window: float | None, context: Context) -> Reset:
    parsed = moment(text) if text is not None else None
    return UNKNOWN if parsed is None else reset_of(parsed, "auto", window, context)


def read_totals(facts: Facts, fields: Fields, context: Context) -> Iterator[RateLimit | None]:
    """Read ``total=100; remaining=99; resets=41`` (Zendesk's limits of one endpoint)."""
    found = _from_dictionary(fields["limit"].decode("latin-1"), ";", context)
    yield found._replace(bucket=facts.bucket) if found else None


def read_windows(facts: Facts, fields: Fields, context: Context) -> Iterator[RateLimit | None]:
    """Read ``100:120,20:1`` and the counts ``3:1,98:120``, joined by window (Riot Games)."""
    used = dict(_pairs(fields.get("used", b"")))
    for window, limit in _pairs(fields.get("limit", b"")):
        remaining = limit - used[window] if window in used else None
        yield policy(limit, remaining, UNKNOWN, window=float(window) or None, bucket=facts.bucket)


def _pairs(value: bytes) -> list[tuple[int, int]]:
    parts = value.decode("latin-1").split(",", MAX_MEMBERS)[:MAX_MEMBERS]
    found = (compiled(_PAIR).fullmatch(part) for part in parts)
    return [(int(match[2]), int(match[1])) for match in found if match]


def read_used_of(facts: Facts, fields: Fields, context: Context) -> Iterator[RateLimit | None]:
    """Read ``32/40`` (Shopify) or ``api-usage=18/5000`` (Salesforce): used, of the limit."""
    for member in members(fields["used"].decode("latin-1").replace(";", ",")):
        if match := compiled(_USED_OF).match(unquoted(member)):
            name, used, limit = match.groups()
            yield policy(int(limit), int(limit) - int(used), UNKNOWN, bucket=name or facts.bucket)


def read_status(facts: Facts, fields: Fields, context: Context) -> Iterator[RateLimit | None]:
    """Read a status that refuses until a reset (Anthropic's subscriptions); any other allows.

    Of several windows the one that refuses gives the reset. How much is left is given as a fraction
    only, so before the end nothing is said of a budget.
    """
    if fields.get("limit", b"").strip().lower() in _REFUSALS and "reset" in fields:
        reset = _reset(fields["reset"].decode("latin-1"), None, context)
        yield policy(None, 0, reset, bucket=facts.bucket)
