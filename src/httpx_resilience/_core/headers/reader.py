"""Headers of a response in, what they tell out.

This runs for every response, so it is quick: a name is recognised by one dictionary lookup of its
raw bytes, once it has been seen; what servers repeat (a Date for a second, a limit for ever, a
reset for a window) is parsed once.
"""

from collections.abc import Iterable, Sequence

from .. import checks
from .families import Fields, HeaderFamily, readable_name
from .limits import MAX_LIMITS, RateLimit, Reading, merged
from .resets import Context
from .roles import MAX_NAMES, Roles, Slot
from .values import MAX_FIELD, clipped, http_date, number

_NOTHING = Reading()
_LONGEST_DATE = 64


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

    __slots__ = ("_families", "_roles")

    def __init__(self, families: Iterable[HeaderFamily] = ()) -> None:
        self._families = tuple(families)
        checks.integer("RateLimitReader: number of families", len(self._families), low=0, high=64)
        for at, family in enumerate(self._families):
            checks.instance(
                f"RateLimitReader.families[{at}]", family, HeaderFamily, "a HeaderFamily"
            )
        self._roles = Roles(self._families)

    def __repr__(self) -> str:
        return f"RateLimitReader(families={self._families!r})"

    def read(
        self,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        wall: float,
        from_cache: bool = False,
    ) -> Reading:
        """Return what a response's headers tell; never raise, whatever they hold.

        Of a field at most 8 KiB are read, of a number 20 digits, of all policies 32.

        Args:
            headers: Raw names and values as received, in any case, duplicates and all.
            wall: Epoch seconds, which stand in for the server's time if there is no usable Date.
            from_cache: The response comes out of a cache of ours. Then, as with ``Age`` above 0,
                it tells nothing: its limits are those of another time (gh froze for a day on a
                cached ``remaining: 0``, cli/cli#12812).
        """
        roles = self._roles
        if len(roles) > MAX_NAMES:
            roles.forget()
        found = [(role, value) for name, value in headers if (role := roles[name]) is not None]
        if from_cache or not found:
            return _NOTHING
        slots: dict[Slot | None, Fields] = {}
        for (slot, part), value in found:
            told = value if len(value) <= MAX_FIELD else clipped(value)
            fields = slots.get(slot)
            if fields is None:
                slots[slot] = {part: told}
            else:
                fields[part] = _joined(fields[part], told) if part in fields else told
        return _reading(slots, wall)


def _joined(first: bytes, second: bytes) -> bytes:
    """Merge duplicates as a proxy would (RFC 9110, section 5.3)."""
    return clipped(first + b", " + second)


def _reading(slots: dict[Slot | None, Fields], wall: float) -> Reading:
    whole = slots.pop(None, {})
    if "age" in whole and _is_aged(whole["age"]):
        return _NOTHING
    date = http_date(whole["date"][:_LONGEST_DATE]) if "date" in whole else None
    if not slots:
        return Reading((), date, _scope(whole))
    now = wall if date is None else date
    context = Context(now, whole.get("retry_after"), whole.get("policy"))
    return Reading(_limits(slots, context), date, _scope(whole) if len(whole) > 1 else None)


def _limits(slots: dict[Slot | None, Fields], context: Context) -> tuple[RateLimit, ...]:
    limits: list[RateLimit] = []
    for slot in slots if len(slots) == 1 else sorted(slots, key=_rank):
        if slot is not None:
            told = slot.read(slot.facts, slots[slot], context)
            limits += [limit for limit in told if limit is not None]
    return tuple(merged(limits[:MAX_LIMITS]) if len(limits) > 1 else limits)


def _rank(slot: Slot | None) -> int:
    return slot.rank if slot is not None else -1


def _is_aged(value: bytes) -> bool:
    age = number(value.decode("latin-1"))
    return age is not None and age > 0


def _scope(whole: Fields) -> str | None:
    if "global" in whole and whole["global"].strip().lower() == b"true":
        return "global"
    return readable_name(whole["scope"].decode("latin-1").lower()) if "scope" in whole else None
