"""What needs a person: what no retry mends, and what is worth a ticket."""

from dataclasses import dataclass, field

from .records import Record

INTERNAL = "internal error of the server"
UNCLEAR = "write that may have been done"
TOKEN = "token refused"  # noqa: S105 - no password, but what is said of one
QUOTA = "quota used up"
PERMANENT = "permanent error"
NESTED = "two transports"
AWAY = "origin still unavailable"
STORE = "store still away"

ORDER = (INTERNAL, AWAY, UNCLEAR, TOKEN, QUOTA, STORE, NESTED, PERMANENT)
"""The kinds, the more urgent first."""

_ADVICE = {
    UNCLEAR: "Find out whether the server did it before you send it again.",
    AWAY: "The log ends before it recovered: see whether it is back.",
    STORE: "The log ends while each process goes on with its own part of what is left.",
}
MOST_GROUPS = 2000
_MOST_IDS = 10
_QUOTA_WORDS = ("quota", "billing", "credit", "insufficient_funds")


@dataclass(slots=True)
class Attention:
    """Calls, or an origin, that a person should look at.

    Attributes:
        kind: Why.
        origin: Where.
        what: Code, exception or status.
        count: How often.
        first, last: When, in seconds since 1970.
        request_ids: The server's ids, ten at the most, ready for a ticket.
        call_ids: Of such calls, ten at the most.
        paths: Three at the most.
        advice: What the log says that a person can do.
    """

    kind: str
    origin: str
    what: str
    count: int = 0
    first: float | None = None
    last: float | None = None
    request_ids: list[str] = field(default_factory=list)
    call_ids: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    advice: str | None = None


class Attentions:
    """All of them."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, str], Attention] = {}

    def add(self, kind: str, record: Record, what: str) -> None:
        """Count something that needs a person."""
        key = (kind, record["origin"], what)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MOST_GROUPS:
                return
            group = self._groups[key] = Attention(*key)
        group.count += 1
        at = record["at"]
        if at is not None:
            group.first = at if group.first is None else min(group.first, at)
            group.last = at if group.last is None else max(group.last, at)
        group.advice = _ADVICE.get(kind) or record.get("advice") or group.advice
        _keep(group.request_ids, record.get("request_id"), _MOST_IDS)
        _keep(group.call_ids, record.get("call_id"), _MOST_IDS)
        _keep(group.paths, _request(record), 3)

    def gave_up(self, record: Record, what: str) -> None:
        """Count a call that failed for good, if that needs a person."""
        kind = _kind_of(record, what)
        if kind is not None:
            self.add(kind, record, what)

    def found(self) -> list[Attention]:
        """Return them, the most urgent first."""
        return sorted(self._groups.values(), key=lambda each: (ORDER.index(each.kind), -each.count))


def _kind_of(record: Record, what: str) -> str | None:
    if record.get("escalated"):
        return INTERNAL
    if record.get("maybe_applied"):
        return UNCLEAR
    status = record.get("status")
    if status in (401, 407) or what.startswith("token_"):
        return TOKEN
    if record.get("error_class") != "permanent":
        return None
    if status == 402 or any(word in what for word in _QUOTA_WORDS):
        return QUOTA
    return PERMANENT if record.get("advice") else None


def _keep(kept: list[str], value: str | None, most: int) -> None:
    if value is not None and len(kept) < most and value not in kept:
        kept.append(value)


def _request(record: Record) -> str | None:
    return f"{record.get('method', '-')} {record['path']}" if "path" in record else None
