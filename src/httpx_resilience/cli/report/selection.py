"""Which records a report is about."""

from dataclasses import dataclass

from .records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was asked for; None asks for everything.

    Attributes:
        since, until: Seconds since 1970; records without a time are then left out.
        code: An error code, a status or the class name of an exception.
        origin: An origin, or its host.
        call: A call's id.
    """

    since: float | None = None
    until: float | None = None
    code: str | None = None
    origin: str | None = None
    call: str | None = None

    def takes(self, record: Record) -> bool:
        """Return whether a record is one of them, but for its code.

        >>> Selection(origin="a.example").takes({"origin": "https://a.example:8443", "at": None})
        True
        """
        at = record["at"]
        if self.since is not None and (at is None or at < self.since):
            return False
        if self.until is not None and (at is None or at >= self.until):
            return False
        if self.call is not None and record.get("call_id") != self.call:
            return False
        return self.origin is None or self.origin in _names(record["origin"])

    @property
    def is_of_calls(self) -> bool:
        """Whether only records of calls can be among them."""
        return self.code is not None or self.call is not None


def _names(origin: str) -> tuple[str, str, str]:
    host = origin.partition("://")[2]
    name, colon, port = host.rpartition(":")
    return origin, host, name if colon and port.isdecimal() else host
