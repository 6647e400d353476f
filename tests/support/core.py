"""Drives the core's flow by hand: literal time, literal chance, answers from a script."""

import json
from collections.abc import Callable, Container, Sequence
from typing import Any, Literal, NamedTuple

from httpx_resilience import SCAIVAULT, Dialect, Event, Policy
from httpx_resilience._core.call_state import Rules
from httpx_resilience._core.flow import call_flow
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.outcome import (
    Call,
    HookDone,
    Outcome,
    RawHeaders,
    TransportFailure,
    Woken,
)
from httpx_resilience._core.retry.budget import RetryBudget
from httpx_resilience._core.steps import Done, Pause, Recover, Send
from httpx_resilience._core.telemetry.events import GaveUp, RetryScheduled
from httpx_resilience._core.telemetry.recorder import EventRecorder, PendingEvent

START = 100.0
"""When every call of these tests begins, on the driver's clock."""

WALL = 1_700_000_000.0
"""What the client's wall clock shows then: Tue, 14 Nov 2023 22:13:20 GMT."""

CONNECTION_REFUSED = TransportFailure("ConnectError", connection=True, sent=False)
CONNECTION_LOST = TransportFailure("ReadError", connection=True, sent=True)


class Answer(NamedTuple):
    """What one attempt comes to, and after how many seconds."""

    status: int = 0
    body: bytes = b""
    headers: RawHeaders = ()
    transport_failure: TransportFailure | None = None
    takes: float = 0.0


OK = Answer(200)

HookOutcome = Literal["request", "stopped", "raised", "cut"]


def envelope(code: str, request_id: str = "req_abc123") -> bytes:
    """Return an error body as ScaiVault sends it."""
    error = {"code": code, "message": "words for people", "request_id": request_id}
    return json.dumps({"error": error}).encode()


def coded(status: int, code: str, headers: RawHeaders = (), takes: float = 0.0) -> Answer:
    """Return an error answer with a code in its body."""
    return Answer(status, envelope(code), headers, takes=takes)


class Ear:
    """Keeps every event."""

    verbose = True

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, pending: PendingEvent) -> None:
        self.events.append(pending.event())

    def only(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]


class Played(NamedTuple):
    """One call, from its first send to its end."""

    done: Done
    sent_at: list[float]
    cuts: list[float | None]
    ended_at: float
    ear: Ear
    budget: RetryBudget | None

    @property
    def attempts(self) -> int:
        return len(self.sent_at)

    @property
    def gaps(self) -> list[float]:
        """Seconds from one send to the next, for answers that take no time."""
        return [round(b - a, 6) for a, b in zip(self.sent_at, self.sent_at[1:], strict=False)]

    @property
    def scheduled(self) -> list[RetryScheduled]:
        return self.ear.only(RetryScheduled)

    @property
    def gave_up(self) -> GaveUp:
        (event,) = self.ear.only(GaveUp)
        assert isinstance(event, GaveUp)
        return event


def call_of(method: str = "GET", *, keyed: bool = False) -> Call:
    """Return what the core knows of a request."""
    return Call("c1", method, "https://vault.example", "/v1/secrets/app", keyed)


def play(
    *answers: Answer,
    method: str = "GET",
    keyed: bool = False,
    policy: Policy | None = Policy(),  # noqa: B008 - frozen
    dialect: Dialect = SCAIVAULT,
    budget: RetryBudget | None = None,
    rand: float = 0.5,
    is_replayable: Callable[[], bool] = lambda: True,
    wall: float = WALL,
    recover: Container[str] = (),
    hook: HookOutcome = "stopped",
    recorder: EventRecorder | None = None,
) -> Played:
    """Run one call; the last answer is repeated for as long as the flow asks.

    A hook, for the codes of ``recover``, takes no time and comes to ``hook``.
    """
    ear = Ear()
    rules = Rules(policy, dialect, RateLimitReader(), lambda: rand, recover)
    call = call_of(method, keyed=keyed)
    flow = call_flow(call, rules, budget, recorder or ear, is_replayable, START)
    now, sent_at, cuts = START, list[float](), list[float | None]()
    step = next(flow)
    while not isinstance(step, Done):
        if isinstance(step, Send):
            sent_at.append(now)
            cuts.append(step.cut_at)
            answer = answers[min(len(sent_at), len(answers)) - 1]
            outcome = _outcome(answer, now, step.cut_at, wall)
            now = outcome.at
            step = flow.send(outcome)
        elif isinstance(step, Recover):
            step = flow.send(HookDone(now, hook))
        else:
            assert isinstance(step, Pause)
            assert step.until >= now
            now = step.until
            step = flow.send(Woken(now))
    assert next(flow, None) is None
    return Played(step, sent_at, cuts, now, ear, budget)


def _outcome(answer: Answer, now: float, cut_at: float | None, wall: float) -> Outcome:
    at = now + answer.takes
    if cut_at is not None and at > cut_at:
        return Outcome(now, cut_at, cut_at, wall + cut_at - START, cut=True)
    return Outcome(
        sent_at=now,
        received_at=at,
        at=at,
        wall=wall + at - START,
        status=answer.status,
        headers=answer.headers,
        body=answer.body,
        transport_failure=answer.transport_failure,
    )


def reasons(played: Sequence[Played]) -> list[str]:
    """Return why each call ended."""
    return [one.done.reason for one in played]
