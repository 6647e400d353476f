"""The way a request goes: one generator per call, read top to bottom.

    request → throttle → send → classify → observe headers → decide → wait or return → log

It yields steps to a driver and is fed what they came to, with the time. It has no clock, no
randomness and no I/O, so that the same flow serves httpx on asyncio and Trio, the tests' virtual
clock and the simulator.

1. Every ``yield`` may be answered by ``Cancelled``. The flow then gives back what it holds and
   ends, returning the tickets to wake; the driver lets the cancellation go on. A wait may be
   answered by ``Closed``: the call ends with what it has.
2. What a retry costs is withdrawn when it is sent, and before its wait if it does not park. It is
   held until its attempt comes back: given back if that succeeds or is cancelled, gone if it fails.
3. The user gets the last outcome itself. Only where an attempt was cut off in the middle is that
   an earlier one, or the deadline's own error.
"""

from collections.abc import Callable, Generator

from .call_run import CallRun
from .call_state import Rules
from .outcome import Call, Cancelled, Closed, HookDone, Outcome, Woken
from .retry.budget import RetryBudget
from .retry.decision import Stop
from .retry.parking import Parking
from .steps import CallFlow, Reply, Step
from .telemetry.recorder import EventRecorder
from .telemetry.traffic import TrafficMeter
from .throttle import EXPIRED, GRANTED, WAITING, Route, Throttle, Ticket


def call_flow(
    call: Call,
    rules: Rules,
    budget: RetryBudget | None,
    recorder: EventRecorder,
    is_replayable: Callable[[], bool],
    now: float,
    throttle: Throttle | Route | None = None,
    traffic: TrafficMeter | None = None,
    parking: Parking | None = None,
) -> CallFlow:
    """Yield the steps of one call, from its arrival to its end.

    Args:
        call: What is known of the request.
        rules: What the call goes by.
        budget: The retry budget of its origin, or None for none.
        recorder: Takes the events; nothing is decided by what it does with them.
        is_replayable: Returns whether the request body can be sent (again) now.
        now: The driver's time.
        throttle: That of its scope, or the route that names one; None for none.
        traffic: Counts the calls of its origin, or None.
        parking: The parked calls of its origin, or None.
    """
    run = CallRun(call, rules, budget, recorder, is_replayable, throttle, traffic, parking)
    while True:
        if throttle is not None:
            ticket = run.reserve(throttle, now)
            if ticket.state != GRANTED:
                reply = yield from _queued(run, ticket, now)
                now = reply.at
                if isinstance(reply, Cancelled):
                    return run.cancelled(now, sent=False)
                if isinstance(reply, Closed) or ticket.state == EXPIRED:
                    yield run.not_admitted(ticket, reply)
                    return ()
        reply = yield run.begin(now)
        if not isinstance(reply, Outcome):
            return run.cancelled(reply.at, sent=True)
        failure = run.learn(reply)
        if failure is None:
            yield run.succeeded(reply)
            return ()
        if (floor := run.floor(failure, reply.at)) and not run.floored((yield floor)):
            return run.cancelled(reply.at, sent=False)
        decision = run.decide(reply, failure)
        if isinstance(decision, Stop):
            yield run.gave_up(reply, failure, decision)
            return ()
        reply = yield run.pause(reply.at + decision.delay)
        if run.is_unpaid and isinstance(reply, Woken):
            reply = yield from _parked(run, reply)
        now = reply.at
        if isinstance(reply, Cancelled):
            return run.cancelled(now, sent=False)
        if isinstance(reply, Closed) or run.is_unpaid:
            yield run.not_sent(reply)
            return ()
        if run.has_hook(failure):
            reply = yield run.recover(failure)
            now = reply.at
            if isinstance(reply, Closed):
                yield run.closed(now, run.attempt)
                return ()
            if not isinstance(reply, HookDone):
                return run.cancelled(now, sent=False)
            if not run.hooked(failure, reply):
                yield run.unrecovered(failure, reply)
                return ()
        run.attempt += 1


def _queued(run: CallRun, ticket: Ticket, now: float) -> Generator[Step, Reply, Reply]:
    """Wait for the rate limit until the ticket is granted or expires; return what ended it."""
    reply: Reply = Woken(now)
    while ticket.state == WAITING and isinstance(reply, Woken):
        lease = run.lease(ticket, reply.at)
        if lease is not None:
            reply = run.leased(ticket, (yield lease))
            continue
        reply = yield run.wait(ticket)
        if isinstance(reply, Woken):
            run.tick(ticket, reply.at)
    return reply


def _parked(run: CallRun, reply: Reply) -> Generator[Step, Reply, Reply]:
    """Wait until a retry may be sent, or its patience is over; return what ended the wait."""
    run.park(reply.at)
    while run.is_parked and isinstance(reply, Woken):
        reply = yield run.stay_parked()
        if isinstance(reply, Woken):
            run.tick_parked(reply.at)
    return reply
