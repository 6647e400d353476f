"""Headers of a response in, what they say out.

This runs for every response, so it is quick: a name is recognised by one dictionary lookup of its
raw bytes, once it has been seen; what servers repeat (a Date for a second, a limit for ever, a
reset for a window) is parsed once. Where a response differs from one of the last in what remains,
and in nothing else that counts, that is all that is read of it.
"""

from collections.abc import Callable, Iterable
from operator import itemgetter

from .. import checks
from .families import Fields, HeaderFamily, readable_name
from .layout import LONGEST_DATE, Found, Headers, Layout, layout_of
from .limits import MAX_LIMITS, RateLimit, Reading, merged
from .resets import Context
from .roles import MAX_NAMES, Roles, Slot
from .values import MAX_FIELD, clipped, http_date, number, unquoted

_NOTHING = Reading()

_name_of: Callable[[tuple[bytes, bytes]], bytes] = itemgetter(0)


class RateLimitReader:
    """Reads the rate-limit headers of responses; every kind that servers are known to send.

    It keeps nothing of a response but what it remembers to be quick, so one reader serves any
    number of servers.

    Args:
        families: Yours, which come before the built-in ones; at most 64.

    Raises:
        TypeError: A family is not a ``HeaderFamily``.
        ValueError: There are more than 64.

    >>> reader = RateLimitReader()
    >>> reading = reader.read(
    ...     [
    ...         (b"Date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
    ...         (b"X-RateLimit-Limit", b"100"),
    ...         (b"X-RateLimit-Remaining", b"7"),
    ...         (b"X-RateLimit-Reset", b"1700000030"),
    ...     ],
    ...     wall=0.0,
    ... )
    >>> reading.limits[0].remaining, reading.limits[0].reset_in
    (7, 30.0)
    """

    __slots__ = ("_families", "_layout", "_roles")

    def __init__(self, families: Iterable[HeaderFamily] = ()) -> None:
        self._families = tuple(families)
        checks.integer("RateLimitReader: number of families", len(self._families), low=0, high=64)
        for at, family in enumerate(self._families):
            checks.instance(
                f"RateLimitReader.families[{at}]", family, HeaderFamily, "a HeaderFamily"
            )
        self._roles = Roles(self._families)
        self._layout: Layout | None = None

    def __repr__(self) -> str:
        return f"RateLimitReader(families={self._families!r})"

    def read(
        self,
        headers: Headers,
        *,
        wall: float,
        from_cache: bool = False,
    ) -> Reading:
        """Return what a response's headers say; never raise, whatever they hold.

        Of a field at most 8 KiB are read, of a number 20 digits, of all policies 32.

        Args:
            headers: Raw names and values as received, in any case, duplicates and all.
            wall: Epoch seconds, which stand in for the server's time if there is no usable Date.
            from_cache: The response comes out of a cache of ours. Then, as with ``Age`` above 0,
                it says nothing: its limits are those of another time (gh froze for a day on a
                cached ``remaining: 0``, cli/cli#12812).
        """
        if from_cache or not headers:
            return _NOTHING
        names, layout = list(map(_name_of, headers)), self._layout
        if layout is not None and names == layout.names:  # in place: the way of most responses
            in_place = layout.read(headers)
            if in_place is not None:
                return in_place
            found = layout.found(headers)
        else:
            found = self._found(headers)
        if not found:
            return _NOTHING
        reading = self._read(found, wall)
        if reading.limits:
            self._remember(names, headers, found, reading)
        return reading

    def _found(self, headers: Headers) -> Found:
        roles = self._roles
        if len(roles) > MAX_NAMES:
            roles.forget()
        return [(role, value) for name, value in headers if (role := roles[name]) is not None]

    def _remember(
        self, names: list[bytes], headers: Headers, found: Found, reading: Reading
    ) -> None:
        layout = self._layout
        if layout is None or names != layout.names:
            layout = self._layout_of(names, found)
            if layout is None:
                return
            self._layout = layout
        layout.remember(headers, found, reading)

    def _layout_of(self, names: list[bytes], found: Found) -> Layout | None:
        if len(names) > MAX_NAMES:  # some of them may not have been looked up
            return None
        places = [place for place, name in enumerate(names) if self._roles[name] is not None]
        return layout_of(names, [role for role, _ in found], places)

    @staticmethod
    def _read(found: Found, wall: float) -> Reading:
        slots: dict[Slot | None, Fields] = {}
        for (slot, part), value in found:
            text = value if len(value) <= MAX_FIELD else clipped(value)
            fields = slots.get(slot)
            if fields is None:
                slots[slot] = {part: text}
            else:
                fields[part] = _joined(fields[part], text) if part in fields else text
        return _reading(slots, wall)


def _joined(first: bytes, second: bytes) -> bytes:
    """Merge duplicates as a proxy would (RFC 9110, section 5.3)."""
    return clipped(first + b", " + second)


def _reading(slots: dict[Slot | None, Fields], wall: float) -> Reading:
    whole = slots.pop(None, {})
    if "age" in whole and _is_aged(whole["age"]):
        return _NOTHING
    date = http_date(whole["date"][:LONGEST_DATE]) if "date" in whole else None
    if not slots:
        return Reading((), date, _scope(whole))
    now = wall if date is None else date
    context = Context(now, whole.get("retry_after"), whole.get("policy"))
    limits = _limits(slots, context)
    if "cost" in whole:
        limits = _with_cost(limits, whole["cost"])
    return Reading(limits, date, _scope(whole) if len(whole) > 1 else None)


def _limits(slots: dict[Slot | None, Fields], context: Context) -> tuple[RateLimit, ...]:
    limits: list[RateLimit] = []
    read = [slot for slot in slots if slot is not None]
    for slot in read if len(read) == 1 else sorted(read, key=_rank):
        found = slot.read(slot.facts, slots[slot], context)
        limits += [limit for limit in found if limit is not None]
    return tuple(merged(limits[:MAX_LIMITS]) if len(limits) > 1 else limits)


def _with_cost(limits: tuple[RateLimit, ...], value: bytes) -> tuple[RateLimit, ...]:
    """Return the policies, those of tokens with what the request took of them."""
    cost = number(value.decode("latin-1"))
    if not isinstance(cost, int) or cost < 0:
        return limits
    return tuple(limit._replace(cost=cost) if limit.unit == "tokens" else limit for limit in limits)


def _rank(slot: Slot) -> int:
    return slot.rank


def _is_aged(value: bytes) -> bool:
    age = number(value.decode("latin-1"))
    return age is not None and age > 0


def _scope(whole: Fields) -> str | None:
    if "global" in whole and whole["global"].strip().lower() == b"true":
        return "global"
    return (
        readable_name(unquoted(whole["scope"].decode("latin-1").lower()))
        if "scope" in whole
        else None
    )
