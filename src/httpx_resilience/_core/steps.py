"""The steps that a call's flow yields to its driver, and what the driver answers.

Each step bears the waiters that are to be woken before it is carried out.
"""

from collections.abc import Generator, Sequence
from typing import Any, Literal, NamedTuple

from .dialect.classify import Failure
from .outcome import Cancelled, Closed, Command, HookDone, Leased, Outcome, Waiter, Woken

Result = Literal["this", "previous", "deadline", "throttled", "raised", "closed"]


class Send(NamedTuple):
    """Send the request; end the attempt at ``cut_at`` if its headers are not there by then."""

    attempt: int
    cut_at: float | None
    wake: Sequence[Waiter] = ()


class Admit(NamedTuple):
    """Wait until somebody wakes it, or until ``until`` if this call keeps the time."""

    waiter: Waiter
    until: float | None
    wake: Sequence[Waiter] = ()


class Pause(NamedTuple):
    """Give the connection back, then sleep until ``until``."""

    until: float
    wake: Sequence[Waiter] = ()


class Lease(NamedTuple):
    """Run scripts in the store that processes share limits by, in one round trip."""

    commands: Sequence[Command]
    wake: Sequence[Waiter] = ()


class Recover(NamedTuple):
    """Run the hook for a failure's code, until ``cut_at`` at most; send what it returns."""

    failure: Failure
    attempt: int
    cut_at: float
    wake: Sequence[Waiter] = ()


class Done(NamedTuple):
    """Return or raise: this attempt's outcome, the previous one's, or an error of our own.

    Attributes:
        reason: Why the call ends, of ``decision.REASONS``.
        result: Which outcome the user gets.
        attempts: How many attempts were made.
        retry_in: Seconds the server wants to pass first, where that ended the call.
        scope: Whose rate-limit budget ended it, where one did.
        forbids_retry: Layers above should not send it again: the response is to say so.
        wake: Who is to be woken.
        detail: Why the rate limit can never allow the call, for people.
    """

    reason: str
    result: Result = "this"
    attempts: int = 1
    retry_in: float | None = None
    scope: str = ""
    wake: Sequence[Waiter] = ()
    forbids_retry: bool = False
    detail: str = ""


Step = Admit | Send | Pause | Lease | Recover | Done
Reply = Outcome | Woken | Leased | HookDone | Cancelled | Closed
CallFlow = Generator[Step, Reply, Sequence[Waiter]]
"""A call's way. It returns whom to wake, where it ends without a ``Done``."""

START: Any = None
"""What a flow is sent first."""
