"""What the core is given: the call, and what each attempt came to, as plain data.

Named tuples rather than frozen dataclasses: as immutable, and three times cheaper to make, which
counts for what is made once per request.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from .tuples import maker

RawHeaders = Sequence[tuple[bytes, bytes]]


class Call(NamedTuple):
    """One call, as far as decisions and log lines need to know it.

    Attributes:
        call_id: Ours, one per call.
        method: In capitals, as httpx has it.
        origin: ``scheme://host:port``, without userinfo.
        path: As sent, without the query.
        has_idempotency_key: It carries an ``Idempotency-Key`` or the dialect's own such header.
        redact: What ``path`` goes through before it is logged or recorded.
        cost: How many requests the request counts as.
        units: What it takes of other units, by unit; None if nothing is said.
        category: The rate-limit budget that it is counted against, where rules name it.
        order: Its arrival among the calls of its transport; the throttle's queue goes by it.
    """

    call_id: str
    method: str
    origin: str
    path: str
    has_idempotency_key: bool = False
    redact: Callable[[str], str] | None = None
    order: int = 0
    cost: int = 1
    units: Mapping[str, int] | None = None
    category: str | None = None


make_call = maker(Call)


class TransportFailure(NamedTuple):
    """An exception instead of a response.

    Attributes:
        exception_type: The name of its class.
        connection: It came from the network, so that another attempt may fare better.
        sent: The request may have reached the server.
    """

    exception_type: str
    connection: bool
    sent: bool


class Outcome(NamedTuple):
    """What one attempt came to. Times are the driver's clock, in seconds.

    Attributes:
        sent_at: When the request was handed to the inner transport.
        received_at: When the headers, or the exception, were there.
        at: When the error body, too, had been looked at.
        wall: Wall-clock time at ``received_at``, in epoch seconds; failures only.
        status: HTTP status, or 0 if there was no response.
        headers: The response's raw headers.
        body: The decoded beginning of an error body; or the whole body of a success in which the
            dialect looks for an error.
        transport_failure: The exception, if there was no response.
        cut: The attempt was still running at the step's ``cut_at`` and was ended.
    """

    sent_at: float
    received_at: float
    at: float
    wall: float = 0.0
    status: int = 0
    headers: RawHeaders = ()
    body: bytes = b""
    transport_failure: TransportFailure | None = None
    cut: bool = False


make_outcome = maker(Outcome)


class Waiter(Protocol):
    """Something that a call waits for: a ticket of the throttle, or its place among the parked.

    Attributes:
        wake: The driver's own: by what it wakes whoever waits.
    """

    wake: Any


class Woken(NamedTuple):
    """A wait is over."""

    at: float


class HookDone(NamedTuple):
    """A recovery hook came back.

    Attributes:
        at: When.
        outcome: It made a ``request`` to send now, it ``stopped`` the call by returning None, it
            ``raised``, or it was still running when the call's time was up (``cut``).
        exception_type: Class name of what it raised.
        call: What is known of the request it made.
    """

    at: float
    outcome: Literal["request", "stopped", "raised", "cut"]
    exception_type: str | None = None
    call: Call | None = None


class Command(NamedTuple):
    """A script that a store is to run.

    Attributes:
        script: Its name.
        key: The one key that it reads and writes.
        args: Its arguments.
    """

    script: str
    key: str
    args: tuple[str | int | float, ...] = ()


class Leased(NamedTuple):
    """A store has answered, or not in time.

    Attributes:
        at: When.
        replies: What each script returned, or None for one that failed; None if all did.
        error: What kind of error it was, for people; no credential.
    """

    at: float
    replies: Sequence[Sequence[str] | None] | None
    error: str = ""


class Closed(NamedTuple):
    """The transport was closed while the call waited: nothing more may be sent."""

    at: float


class Cancelled(NamedTuple):
    """The call was cancelled while the driver carried out a step."""

    at: float
