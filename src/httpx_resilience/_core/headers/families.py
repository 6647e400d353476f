"""Which headers belong together, as data: the families that ship, and yours."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from .. import checks
from .resets import RESET_UNITS, ResetUnit

Fields = dict[str, bytes]
"""The raw values of one family in one response, by the part they play."""

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_NAMES = ("limit", "remaining", "reset", "used")
_MAX_NAME = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderFamily:
    """The names of the headers that announce one rate-limit policy.

    A ``*`` in the names stands for one word, the same in all of them, which says what the policy
    is about: a period (``minute``, ``daily``) sets ``window``, ``requests``, ``req`` or a word with
    ``token`` sets ``unit``, both joined by a dash (``tokens-minute``) set both, any other sets
    ``bucket``.

    Attributes:
        limit: Header with the units per window.
        remaining: Header with the units left.
        reset: Header with the time at which units come back.
        used: Header with the units spent; stands in for a missing limit or remainder.
        reset_unit: How a bare number in ``reset`` is to be read. ``"auto"`` decides by size:
            an epoch in s, ms, µs or ns, else seconds from now. Dates and durations are always
            recognised.
        window: Seconds in which the limit may be spent, if the names say so.
        unit: What is counted.
        bucket: Name of the policy.

    Raises:
        TypeError: A field has the wrong type.
        ValueError: There is no header, a name is no header name, or a number is out of range.

    >>> HeaderFamily(remaining="X-Calls-Left", reset="X-Calls-Reset-*").unit
    Traceback (most recent call last):
        ...
    ValueError: HeaderFamily: got one * in some names, allowed is one in each or in none
    """

    limit: str | None = None
    remaining: str | None = None
    reset: str | None = None
    used: str | None = None
    reset_unit: ResetUnit = "auto"
    window: float | None = None
    unit: str = "requests"
    bucket: str | None = None

    def __post_init__(self) -> None:
        names = self.headers()
        if not names:
            raise ValueError(
                "HeaderFamily: got no header, allowed is at least one of " + str(_NAMES)
            )
        for part, name in names.items():
            checks.instance(f"HeaderFamily.{part}", name, str, "a header name, or None")
            if not _HEADER.fullmatch(name) or name.count("*") > 1:
                raise ValueError(
                    f"HeaderFamily.{part}: got {name!r}, "
                    "allowed is a header name with at most one *"
                )
        if len({"*" in name for name in names.values()}) > 1:
            raise ValueError(
                "HeaderFamily: got one * in some names, allowed is one in each or in none"
            )
        checks.one_of("HeaderFamily.reset_unit", self.reset_unit, RESET_UNITS)
        checks.number("HeaderFamily.window", self.window, low=0, above=True, optional=True)
        checks.instance("HeaderFamily.unit", self.unit, str, "a string")
        checks.instance("HeaderFamily.bucket", self.bucket or "", str, "a string, or None")

    def headers(self) -> dict[str, str]:
        """Return the header names by the part they play."""
        names = ((part, getattr(self, part)) for part in _NAMES)
        return {part: name for part, name in names if name is not None}


def _named(pattern: str, *, used: str | None = "Used", unit: str = "requests") -> HeaderFamily:
    return HeaderFamily(
        limit=pattern.format("Limit"),
        remaining=pattern.format("Remaining"),
        reset=pattern.format("Reset"),
        used=pattern.format(used) if used else None,
        unit=unit,
    )


DEFAULT_FAMILIES: tuple[HeaderFamily, ...] = (
    _named("RateLimit-{}", used="Observed"),  # IETF draft to 06; GitLab, Kong, rack-attack
    _named("X-RateLimit-{}"),  # GitHub, Discord, Envoy, Laravel, Upstash and most others
    _named("X-Rate-Limit-{}"),  # X, Okta, AspNetCoreRateLimit
    _named("X-Scaigrid-RateLimit-{}"),
    HeaderFamily(limit="X-HubSpot-RateLimit-Max", remaining="X-HubSpot-RateLimit-Remaining"),
    HeaderFamily(
        limit="X-HubSpot-RateLimit-Daily",
        remaining="X-HubSpot-RateLimit-Daily-Remaining",
        window=86400.0,
    ),
    HeaderFamily(
        limit="X-HubSpot-RateLimit-Secondly",
        remaining="X-HubSpot-RateLimit-Secondly-Remaining",
        window=1.0,
    ),
    HeaderFamily(  # HighLevel
        limit="X-RateLimit-Limit-Daily",
        remaining="X-RateLimit-Daily-Remaining",
        window=86400.0,
    ),
    HeaderFamily(remaining="x-ms-ratelimit-remaining-*"),  # Azure Resource Manager
    _named("RateLimitBySize-{}", used=None, unit="tokens"),  # Mistral, until 2025
    _named("X-TokenLimit-{}", used=None, unit="tokens"),  # Together
    _named("Anthropic-RateLimit-*-{}"),
    _named("X-RateLimitBySize-{}-*", used=None, unit="tokens"),  # Mistral, until 2025
    _named("X-RateLimit-{}-*"),  # OpenAI, Groq, Mistral, Cerebras, Kong, NestJS
    _named("X-Rate-Limit-{}-*"),
    _named("RateLimit-{}-*"),
    _named("X-RateLimit-*-{}"),  # Linear
    _named("X-RateLimit-*{}"),  # hapi, Imgur
)
"""The families that are recognised without being named; exact names come before any ``*``."""

ASIDES: tuple[tuple[str, str, str], ...] = (
    ("X-RateLimit-Reset-After", "X-RateLimit-Reset", "reset_after"),  # Discord
    ("RateLimit-ResetTime", "RateLimit-Reset", "reset_time"),  # GitLab
    ("RateLimit-Name", "RateLimit-Remaining", "name"),  # GitLab
    ("X-RateLimit-Resource", "X-RateLimit-Remaining", "name"),  # GitHub
    ("X-RateLimit-Bucket", "X-RateLimit-Remaining", "name"),  # Discord
    ("X-RateLimit-Max", "X-RateLimit-Remaining", "limit"),  # HighLevel
    ("X-RateLimit-FillRate", "X-RateLimit-Remaining", "refill"),  # Jira Data Center
    ("X-RateLimit-Interval-Seconds", "X-RateLimit-Remaining", "seconds"),
    ("X-RateLimit-Interval-Milliseconds", "X-RateLimit-Remaining", "milliseconds"),
    ("X-HubSpot-RateLimit-Interval-Milliseconds", "X-HubSpot-RateLimit-Remaining", "milliseconds"),
    ("X-Rate-Limit", "X-Rate-Limit-Remaining", "limit"),  # Zendesk
)
"""Headers that play a further part in the family of the second one."""

IGNORED = ("anthropic-ratelimit-unified-",)
"""Beginnings of names that look like a family and are none, in lower case.

Of Anthropic's subscriptions: fractions of windows that were used (``-5h-utilization``), and the
resets of windows that do not limit. Read as trios they are policies with nothing but a reset, and
a 429 would wait for the latest of them, a week.
"""

_PERIODS = {
    ("second", "secondly"): 1.0,
    ("minute", "minutely"): 60.0,
    ("hour", "hourly"): 3600.0,
    ("day", "daily"): 86400.0,
    ("week", "weekly"): 7 * 86400.0,
    # The longest there are: what waits for the end of a window must not be early.
    ("month", "monthly"): 31 * 86400.0,
    ("year", "yearly"): 366 * 86400.0,
}
PERIODS = {word: seconds for words, seconds in _PERIODS.items() for word in words}


class Facts(NamedTuple):
    """What the names of a family say of its policies, or the headers beside them."""

    window: float | None = None
    unit: str = "requests"
    bucket: str | None = None
    refill: float | None = None
    reset_unit: ResetUnit = "auto"


def facts(family: HeaderFamily, word: str = "") -> Facts:
    """Return what a family says, and the word in the place of its ``*``.

    >>> facts(_named("X-RateLimit-{}-*"), "minute").window
    60.0
    >>> facts(_named("X-RateLimit-{}-*"), "req-minute")[:2]
    (60.0, 'requests')
    """
    known = Facts(family.window, family.unit, family.bucket, None, family.reset_unit)
    if word in PERIODS:
        return known._replace(window=PERIODS[word])
    counted, _, period = word.rpartition("-")
    if period in PERIODS and (unit := _unit(counted)):
        return known._replace(window=PERIODS[period], unit=unit)
    if unit := _unit(word):
        return known._replace(unit=unit)
    return known._replace(bucket=word) if word else known


def _unit(word: str) -> str | None:
    """Return what a word counts; words that are distinct (``input-tokens``) stay so."""
    if word in ("requests", "req"):
        return "requests"
    return word if "token" in word else None


def word_of(pattern: str, name: str) -> str | None:
    """Return what stands in ``name`` where ``pattern`` has its ``*``; None if it does not fit."""
    before, _, after = pattern.partition("*")
    word = name[len(before) : len(name) - len(after)]
    fits = name == before + word + after and word == word.strip("-_")
    return word if word and fits else None


def readable_name(text: str) -> str | None:
    """Return a server's name for a thing if it is printable and of 1 to 128 characters."""
    text = text.strip(" \t")
    return text if 0 < len(text) <= _MAX_NAME and text.isprintable() else None
