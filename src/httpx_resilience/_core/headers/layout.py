"""Where the headers stand that count, and what can be read there without looking at the others.

A server's responses have the same headers in the same order, and differ in few of them. What one of
them said of a policy beside the remainder is known by what stood there, so it is read once. This
holds for any number of policies, with a header for the remainder each or within a structured field.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from .families import Fields
from .limits import RateLimit, Reading, make_limit, make_reading
from .resets import Context
from .roles import Role, Slot
from .structured import read_structured
from .triplets import read_trio
from .values import http_date

LONGEST_DATE = 64

_KEPT, _LONGEST_KEPT = 64, 512
"""Responses that are remembered of a policy, before all are forgotten; bytes of what counts in one
of them."""

_DIGITS = 18
"""Of a number that is read in place."""

_USED = "used"
"""A part that says nothing more where limit and remainder are given."""

_MARKS = (b";r=", b"remaining=")
"""What stands before the remainder in a structured field."""

_BESIDE = frozenset({"date", "policy"})
"""Parts of the whole response that may stand beside a structured field that is read in place."""

Found = Sequence[tuple[Role, bytes]]
Headers = Sequence[tuple[bytes, bytes]]
value_of: Callable[[tuple[bytes, bytes]], bytes] = itemgetter(1)


class Known(NamedTuple):
    """What a response announced of a policy, as far as the next ones may repeat it.

    Attributes:
        limit: The limit.
        rest: All that comes after the remainder.
        date: The date.
    """

    limit: int
    rest: tuple[object, ...]
    date: float


class Place:
    """Where one policy stands, whose remainder has a header of its own.

    Args:
        slot: Whose format it is; None if what else it says is only remembered.
        parts: The parts of the policy and where they stand.
        date: Where the Date stands.
        others: Where all stands that counts, but for the remainder.
    """

    __slots__ = ("_date", "_known", "_parts", "_pick", "_remaining", "_slot")

    def __init__(
        self, slot: Slot | None, parts: dict[str, int], date: int, others: list[int]
    ) -> None:
        self._slot = slot
        self._parts = parts
        self._date = date
        self._remaining = parts["remaining"]
        self._pick: Callable[[Headers], object] = itemgetter(*others)
        # The reset of a bucket moves to and fro.
        self._known: dict[object, Known] = {}

    def read(self, headers: Headers) -> Reading | None:
        """Return what a response says; None if that takes a closer look."""
        value = headers[self._remaining][1]
        others = self._pick(headers)
        known = self._known.get(others) or self._learned(headers, others)
        if known is None or len(value) > _DIGITS or not value.isdigit():
            return None
        limit, rest, date = known
        remaining = int(value)
        if remaining > limit:
            return None
        announced = make_limit((limit, remaining) + rest)  # noqa: RUF005 - half the price
        return make_reading(((announced,), date, None))

    def remember(self, headers: Headers, limit: RateLimit, date: float) -> None:
        """Remember what a response said that was looked at closely."""
        if _is_number(headers[self._remaining][1]):
            _kept(self._known, self._pick(headers), limit, date)

    def _learned(self, headers: Headers, others: object) -> Known | None:
        if self._slot is None or not _is_number(headers[self._remaining][1]):
            return None
        fields = {part: headers[at][1] for part, at in self._parts.items()}
        date = _date_of(headers[self._date][1], fields)
        if date is None:
            return None
        found = list(self._slot.read(self._slot.facts, fields, Context(date)))
        if len(found) != 1 or found[0] is None:
            return None
        return _kept(self._known, others, found[0], date)


class ItemPlace:
    """Where one policy stands, whose remainder is within a structured field.

    Args:
        slot: Whose format it is.
        field: Where the field stands.
        date: Where the Date stands.
        policy: Where the field of the policies stands; -1 if there is none.
    """

    __slots__ = ("_date", "_field", "_known", "_policy", "_slot")

    def __init__(self, slot: Slot, field: int, date: int, policy: int) -> None:
        self._slot = slot
        self._field = field
        self._date = date
        self._policy = policy
        self._known: dict[object, Known] = {}

    def read(self, headers: Headers) -> Reading | None:
        """Return what a response says; None if that takes a closer look."""
        value = headers[self._field][1]
        head, mark, rest = value.partition(_MARKS[0])
        if not mark:
            head, mark, rest = value.partition(_MARKS[1])
        digits = rest[: len(rest) - len(rest.lstrip(b"0123456789"))]
        if not 0 < len(digits) <= _DIGITS:
            return None
        tail = rest[len(digits) :]
        policy = headers[self._policy][1] if self._policy >= 0 else None
        key = head, tail, policy, headers[self._date][1]
        known = self._known.get(key) or self._learned(head + mark, *key)
        if known is None:
            return None
        limit, others, date = known
        remaining = int(digits)
        if remaining > limit:
            return None
        announced = make_limit((limit, remaining) + others)  # noqa: RUF005 - half the price
        return make_reading(((announced,), date, None))

    def _learned(
        self, start: bytes, head: bytes, tail: bytes, policy: bytes | None, date: bytes
    ) -> Known | None:
        """Return what it says beside the remainder, if that is all that these digits mean."""
        fields: Fields = {"head": start, "tail": tail, "policy": policy or b""}
        epoch = _date_of(date, fields)
        if epoch is None:
            return None
        context = Context(epoch, None, policy)
        none, one = (self._read(start + digit + tail, context) for digit in (b"0", b"1"))
        if none is None or one is None or (none.remaining, one.remaining) != (0, 1):
            return None
        return _kept(self._known, (head, tail, policy, date), none, epoch)

    def _read(self, value: bytes, context: Context) -> RateLimit | None:
        found = self._slot.read(self._slot.facts, {"limit": value}, context)
        limits = [limit for limit in found if limit is not None]
        return limits[0] if len(limits) == 1 else None


def _kept(
    memory: dict[object, Known], others: object, limit: RateLimit, date: float
) -> Known | None:
    """Remember what a response announced, if it gave a limit; return it."""
    if limit.limit is None:
        return None
    if len(memory) >= _KEPT:
        memory.clear()
    known = memory[others] = Known(limit.limit, limit[2:], date)
    return known


def _is_number(value: bytes) -> bool:
    return len(value) <= _DIGITS and value.isdigit()


def _date_of(value: bytes, fields: Fields) -> float | None:
    """Return the Date; None if it cannot be read, or if there is too much to remember."""
    if len(value) + sum(map(len, fields.values())) > _LONGEST_KEPT:
        return None
    return http_date(value[:LONGEST_DATE])


class Places:
    """Where several policies stand, best first."""

    __slots__ = ("_places",)

    def __init__(self, places: Sequence[Place | ItemPlace]) -> None:
        self._places = places

    def read(self, headers: Headers) -> Reading | None:
        """Return what a response says; None if that takes a closer look."""
        limits: list[RateLimit] = []
        date: float | None = None
        for place in self._places:
            reading = place.read(headers)
            if reading is None:
                return None
            limits += reading.limits
            date = reading.date
        if len({limit.remaining for limit in limits}) < len(limits):
            return None  # they may be one policy, given twice
        return make_reading((tuple(limits), date, None))


class Layout:
    """Where the headers stand that count, at least one of which says what remains.

    Args:
        names: Of all headers of a response, in order.
        roles: Of those that count.
        places: Where these stand among all.
        policies: Where the policies stand.

    Attributes:
        read: Returns what a response says whose headers stand so; None if that takes a closer look.
    """

    __slots__ = ("_pick", "names", "policies", "read", "roles")

    def __init__(
        self,
        names: list[bytes],
        roles: list[Role],
        places: list[int],
        policies: Place | ItemPlace | Places,
    ) -> None:
        self.names = names
        self.roles = roles
        self.policies = policies
        self.read: Callable[[Headers], Reading | None] = policies.read
        self._pick: Callable[[Headers], Any] = itemgetter(*places)

    def found(self, headers: Headers) -> Found:
        """Return what counts of a response whose headers stand so."""
        return list(zip(self.roles, map(value_of, self._pick(headers)), strict=True))

    def remember(self, headers: Headers, found: Found, reading: Reading) -> None:
        """Keep what the next responses may repeat, if one policy gives all of it."""
        place = self.policies
        if not isinstance(place, Place) or len(reading.limits) != 1 or reading.date is None:
            return
        if reading.scope is None and sum(len(value) for _, value in found) <= _LONGEST_KEPT:
            place.remember(headers, reading.limits[0], reading.date)


def layout_of(names: list[bytes], roles: list[Role], places: list[int]) -> Layout | None:
    """Return the layout of a response's headers; None unless each that counts is there once.

    Args:
        names: Of all headers.
        roles: Of those that count.
        places: Where these stand among all.
    """
    if len(set(roles)) != len(roles):  # duplicates, which are merged
        return None
    whole: dict[str, int] = {}
    slots: dict[Slot, dict[str, int]] = {}
    for (slot, part), at in zip(roles, places, strict=True):
        (whole if slot is None else slots.setdefault(slot, {}))[part] = at
    if "date" not in whole or not slots:
        return None
    policies = [_place(slot, parts, whole) for slot, parts in sorted(slots.items(), key=_rank)]
    plain = [policy for policy in policies if policy is not None]
    if len(plain) == len(policies):
        return Layout(names, roles, places, plain[0] if len(plain) == 1 else Places(plain))
    remembered = _remembered(roles, places, whole["date"])
    return Layout(names, roles, places, remembered) if remembered is not None else None


def _rank(item: tuple[Slot, dict[str, int]]) -> int:
    return item[0].rank


def _place(slot: Slot, parts: dict[str, int], whole: dict[str, int]) -> Place | ItemPlace | None:
    """Return where a policy stands that can be read by itself."""
    date = whole["date"]
    if slot.read is read_structured and parts.keys() == {"limit"} and whole.keys() <= _BESIDE:
        return ItemPlace(slot, parts["limit"], date, whole.get("policy", -1))
    is_trio = slot.read is read_trio and {"limit", "remaining"} <= parts.keys()
    if not is_trio or len(whole) > 1:
        return None
    parts = {part: at for part, at in parts.items() if part != _USED}
    others = [date, *(at for part, at in parts.items() if part != "remaining")]
    return Place(slot, parts, date, others)


def _remembered(roles: list[Role], places: list[int], date: int) -> Place | None:
    """Return where the one remainder stands, of which all else can only be remembered."""
    parts = [part for _, part in roles]
    if parts.count("remaining") != 1 or _USED in parts:
        return None
    at = places[parts.index("remaining")]
    return Place(None, {"remaining": at}, date, [place for place in places if place != at])
