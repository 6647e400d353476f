"""What a store holds, for people: the scopes, and which process has how much of them.

Fields are as the head of ``lease.lua`` lists them. What does not read as it should is left out:
somebody else may have written to the store.
"""

import math
import re
from collections.abc import Generator, Iterator, Mapping, Sequence

from .._core.telemetry.records import Record, record
from .commands import Command, Replies
from .errors import StoreError
from .keys import Keys

META = (
    *("epoch", "closed", "free", "silent", "rate", "version", "ceiling"),
    *("probe_until", "probe_sent", "probe_by"),
)
ROW = (
    *("kind", "limit", "total", "sent", "measured", "nominal", "high", "kept", "pace", "refill"),
    *("reserve", "window", "cost", "settled", "trickle", "strangers"),
)
PROCESS = ("sequence", "seen", "since", "next", "until", "wanted", "head", "held_since")

_AT_ONCE = 100
"""Scopes that are read in one pipeline."""

_ID = re.compile(r"[A-Za-z0-9]{1,32}")


@record
class StoreLimit(Record):
    """One limit of a scope, as the processes know it.

    Attributes:
        id: A keyed hash of its name.
        limit: Units per window; None if it is not known.
        remaining: Units that are left and not leased; None while nothing is known.
        leased: Units that processes hold or have in flight.
        reset_in: Seconds until its window ends; None if unknown or past.
    """

    id: str
    limit: float | None = None
    remaining: float | None = None
    leased: float = 0.0
    reset_in: float | None = None


@record
class StoreHolder(Record):
    """One process that has a part in a scope.

    Attributes:
        process: A random name, of 16 hexadecimal digits.
        leased: Units that it holds or has in flight, by the ``id`` of their limit.
        held_for: Seconds since when it has held leases without a break; None if it holds none.
        ends_in: Seconds until its lease ends; None if it has ended.
        waiting_for: Seconds for which it has asked without being granted any; None if it does not.
        seen: Seconds since it asked last.
    """

    process: str
    leased: tuple[tuple[str, float], ...] = ()
    held_for: float | None = None
    ends_in: float | None = None
    waiting_for: float | None = None
    seen: float = 0.0


@record
class StoreScope(Record):
    """One scope that processes share.

    Attributes:
        id: A keyed hash of its origin, identity and category.
        limits: Its limits.
        holders: The processes that have a part in it, the one that has held leases for longest
            first.
        closed_for: Seconds for which the server wants no requests of anybody; None if it does not.
        rate: Requests a second that a server takes that limits in silence; None if it does not.
        probing_by: The process that finds out what is left; None if nobody does.
    """

    id: str
    limits: tuple[StoreLimit, ...] = ()
    holders: tuple[StoreHolder, ...] = ()
    closed_for: float | None = None
    rate: float | None = None
    probing_by: str | None = None


def read(keys: Keys) -> Generator[Sequence[Command], Replies, tuple[StoreScope, ...]]:
    """Read a namespace's scopes: yields what is to be run, is sent the replies.

    Raises:
        StoreError: The list of scopes could not be read.
    """
    (listed,) = yield [Command("index", keys.index, ())]
    if isinstance(listed, StoreError):
        raise listed
    scope_key = re.compile(keys.key_pattern("lease"))
    known = [key for key in dict.fromkeys(listed) if scope_key.fullmatch(key)]
    scopes = []
    for first in range(0, len(known), _AT_ONCE):
        some = known[first : first + _AT_ONCE]
        replies = yield [Command("status", key, ()) for key in some]
        for key, reply in zip(some, replies, strict=True):
            if not isinstance(reply, StoreError) and len(reply) > 1:
                scopes.append(_scope(_id_of(key), reply))
    return tuple(scopes)


def _id_of(key: str) -> str:
    return key.partition("{")[2].partition("}")[0].rpartition(":")[2]


def _scope(name: str, reply: Sequence[str]) -> StoreScope:
    now = _number(reply[0])
    fields = dict(zip(reply[1::2], reply[2::2], strict=False))
    meta = _values(META, fields.get("m", ""))
    holders = [_holder(each, words, now) for each, words in _named(fields, "p:")]
    leased = [units for holder in holders for units in holder.leased]
    probing = _number(meta.get("probe_until")) > now and _ID.fullmatch(meta.get("probe_by", ""))
    return StoreScope(
        id=name,
        limits=tuple(_limit(each, words, leased, now) for each, words in _named(fields, "r:")),
        holders=tuple(sorted(holders, key=lambda each: (-(each.held_for or 0.0), each.process))),
        closed_for=_after(meta.get("closed"), now),
        rate=_number(meta.get("rate")) or None,
        probing_by=meta["probe_by"] if probing else None,
    )


def _limit(name: str, words: str, leased: Sequence[tuple[str, float]], now: float) -> StoreLimit:
    row = _values(ROW, words)
    out = sum(units for limit, units in leased if limit == name)
    total = _number(row.get("total"), -1.0)
    return StoreLimit(
        id=name,
        limit=_number(row.get("limit")) or None,
        remaining=None if total < 0 else max(0.0, total - _number(row.get("settled")) - out),
        leased=out,
        reset_in=_after(row.get("high"), now),
    )


def _holder(name: str, words: str, now: float) -> StoreHolder:
    values = _values(PROCESS, words)
    rest = words.split()[len(PROCESS) :]
    ids = (each for each in rest[::3])
    units = [(each, _number(out)) for each, out in zip(ids, rest[1::3], strict=False)]
    leased = tuple((each, out) for each, out in units if out > 0 and _ID.fullmatch(each))
    ends_in = _after(values.get("until"), now)
    return StoreHolder(
        process=name,
        leased=leased,
        held_for=_before(values.get("held_since"), now) if leased or ends_in else None,
        ends_in=ends_in,
        waiting_for=_before(values.get("since"), now),
        seen=_before(values.get("seen"), now) or 0.0,
    )


def _named(fields: Mapping[str, str], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of the fields that begin so, by name."""
    for field in sorted(fields):
        name = field.removeprefix(prefix)
        if field.startswith(prefix) and _ID.fullmatch(name):
            yield name, fields[field]


def _values(names: Sequence[str], words: str) -> dict[str, str]:
    return dict(zip(names, words.split(), strict=False))


def _number(text: str | None, default: float = 0.0) -> float:
    """Return a finite number of at least 0; another one for everything else."""
    try:
        number = float(text or "")
    except ValueError:
        return default
    return number if math.isfinite(number) and number >= 0 else default


def _after(text: str | None, now: float) -> float | None:
    """Return the seconds until a time of the store's; None if it is past."""
    time = _number(text)
    return (time - now) / 1000 if time > now else None


def _before(text: str | None, now: float) -> float | None:
    """Return the seconds since a time of the store's; None if there was none."""
    time = _number(text)
    return max(0.0, (now - time) / 1000) if time > 0 else None
