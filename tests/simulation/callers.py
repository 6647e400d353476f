"""What one process is in a simulation: the real core, and a network between it and a server.

A caller carries out the steps of its calls' flows as the driver would. Who calls when is decided by
others: tasks that call one after the other (``jobs``), or arrivals at random (``fleet``).
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import NamedTuple, Protocol

from httpx_resilience import SCAIVAULT, Event, Policy
from httpx_resilience._core.call_state import Rules
from httpx_resilience._core.flow import call_flow
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.outcome import (
    Call,
    Cancelled,
    Command,
    Leased,
    Outcome,
    RawHeaders,
    TransportFailure,
    Woken,
)
from httpx_resilience._core.retry.budget import RetryBudget
from httpx_resilience._core.retry.parking import Parking
from httpx_resilience._core.steps import Admit, CallFlow, Done, Lease, Pause, Reply, Send, Step
from httpx_resilience._core.telemetry.recorder import PendingEvent
from httpx_resilience._core.throttle import Throttle
from simulation.engine import EPOCH, Engine

REFUSED = TransportFailure("ConnectError", connection=True, sent=False)
TIMED_OUT = TransportFailure("ReadTimeout", connection=True, sent=True)


class Answer(NamedTuple):
    """What a server says to a request; ``transport_failure`` instead, if it cannot be reached."""

    status: int
    headers: RawHeaders = ()
    body: bytes = b""
    transport_failure: TransportFailure | None = None


Respond = Callable[[Answer], None]


class Server(Protocol):
    """Something that is sent requests, and answers when it likes to."""

    def receive(self, engine: Engine, respond: Respond) -> None:
        """Take a request that arrives now; ``respond`` when it is answered."""
        ...


class Store(Protocol):
    """What processes share limits by."""

    def ask(self, commands: Sequence[Command], reply: Callable[[Leased], None]) -> None:
        """Send commands; ``reply`` when they are answered, or the client waits no longer."""
        ...


class Watcher(Protocol):
    """Is told what goes over the network, on the client's side of it."""

    def sent(self, order: int, attempt: int, now: float) -> None:
        """A request leaves."""
        ...

    def received(self, order: int, answer: Answer, now: float) -> None:
        """An answer comes, or its attempt has timed out."""
        ...


@dataclass
class Latency:
    """One-way delays: fixed part, exponential part, and a share of answers that hang."""

    fixed: float = 0.02
    spread: float = 0.01
    hung_share: float = 0.0
    hung_for: tuple[float, float] = (2.0, 8.0)

    def draw(self, chance: Random) -> float:
        return self.fixed + (chance.expovariate(1 / self.spread) if self.spread else 0.0)

    def hang(self, chance: Random) -> float:
        return chance.uniform(*self.hung_for) if chance.random() < self.hung_share else 0.0


@dataclass(slots=True)
class Record:
    """What became of one call."""

    order: int
    arrived_at: float
    attempts: int = 0
    hit: bool = False
    waited: float = 0.0
    ended_at: float = math.inf
    reason: str = ""

    @property
    def succeeded(self) -> bool:
        return self.reason == "success"

    @property
    def took(self) -> float:
        """Seconds from its arrival to its end."""
        return self.ended_at - self.arrived_at

    def __str__(self) -> str:
        return f"call {self.order}: {self.reason} after {self.took:.1f} s, {self.attempts} sent"


@dataclass
class Report:
    """What a caller's calls came to."""

    finished_at: float = 0.0
    sent: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    refused_at: list[float] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    admitted: list[int] = field(default_factory=list)


class _Recorder:
    verbose = False

    def __init__(self, report: Report) -> None:
        self._report = report

    def record(self, pending: PendingEvent) -> None:
        self._report.events.append(pending.event())


class Caller:
    """A process: one retry budget, one throttle, and a way to the server."""

    def __init__(
        self,
        engine: Engine,
        server: Server,
        policy: Policy,
        chance: Random,
        *,
        latency: Latency | None = None,
        timeout: float = math.inf,
        throttle: Throttle | None = None,
        wall_skew: float = 0.0,
        watchers: Sequence[Watcher] = (),
        name: object = "",
        method: str = "GET",
    ) -> None:
        self.engine = engine
        self.server = server
        self.policy = policy
        self.chance = chance
        self.latency = latency or Latency()
        self.timeout = timeout
        self.wall_skew = wall_skew
        self.watchers = watchers
        self.name = name
        self.report = Report()
        self.budget = None if policy.budget is None else RetryBudget(policy.budget)
        if throttle is None and policy.throttle is not None:
            emit = self.report.events.append
            throttle = Throttle("https://sim", "all", policy.throttle, ServerClock(), emit)
        self.throttle = throttle
        self.parking = None
        if policy.park is not None and policy.budget is not None:
            emit = self.report.events.append
            own = Random(hash(chance.getstate()[1]))  # it takes nothing from the calls' chance
            self.parking = Parking("https://sim", own.random, emit)
        self._method = method
        self.store: Store | None = None
        self._orders = itertools.count()
        self.ended = Record(-1, 0.0)  # the call that ended last
        self._rules = Rules(policy, SCAIVAULT, RateLimitReader(), chance.random)
        self._recorder = _Recorder(self.report)

    def deliver(self, order: int, respond: Respond) -> None:
        """Hand the request of a call to the server, which answers when it likes to."""
        self.server.receive(self.engine, respond)

    def call(
        self,
        ended: Callable[[], None],
        *,
        cost: int = 1,
        units: Mapping[str, int] | None = None,
        cancel_after: float = math.inf,
    ) -> Record:
        """Begin a call; ``ended`` is called at its end. It may be cancelled after some time."""
        now = self.engine.now
        record = Record(next(self._orders), now)
        call = Call(
            "c",
            self._method,
            "https://sim",
            "/v1/secrets/a",
            order=record.order,
            cost=cost,
            units=units,
        )
        flow = call_flow(
            call,
            self._rules,
            self.budget,
            self._recorder,
            lambda: True,
            now,
            self.throttle,
            parking=self.parking,
        )
        carried = _Carried(self, flow, record, ended)
        if cancel_after < math.inf:
            self.engine.at(now + cancel_after, carried.cancel)
        carried.begin()
        return record


class _Carried:
    """One call, carried out step by step; ``_turn`` tells whether what it waits for is past."""

    __slots__ = ("_caller", "_ended", "_flow", "_record", "_turn")

    def __init__(
        self, caller: Caller, flow: CallFlow, record: Record, ended: Callable[[], None]
    ) -> None:
        self._caller, self._flow, self._record, self._ended = caller, flow, record, ended
        self._turn = 0

    def begin(self) -> None:
        self._carry_out(next(self._flow))

    def _reply(self, turn: int, reply: Callable[[], Reply]) -> None:
        """Go on, unless something else came first."""
        if turn == self._turn:
            self._turn += 1
            self._carry_out(self._flow.send(reply()))

    def _carry_out(self, step: Step) -> None:
        engine, turn = self._caller.engine, self._turn
        for waiter in step.wake:
            if waiter.wake is not None:
                waiter.wake()
        if isinstance(step, Send):
            self._send(step)
        elif isinstance(step, Pause):
            engine.at(step.until, partial(self._reply, turn, self._woken))
        elif isinstance(step, Admit):
            step.waiter.wake = lambda: engine.at(
                engine.now, partial(self._reply, turn, self._woken)
            )
            if step.until is not None:
                engine.at(step.until, partial(self._reply, turn, self._woken))
        elif isinstance(step, Lease):
            assert self._caller.store is not None
            self._caller.store.ask(step.commands, lambda leased: self._reply(turn, lambda: leased))
        else:
            assert isinstance(step, Done)
            self._end(step.reason)

    def _woken(self) -> Woken:
        return Woken(self._caller.engine.now)

    def _send(self, step: Send) -> None:
        caller, engine, record, turn = self._caller, self._caller.engine, self._record, self._turn
        sent_at = engine.now
        if step.attempt == 1:
            record.waited = sent_at - record.arrived_at
        record.attempts += 1
        caller.report.sent += 1
        caller.report.admitted.append(record.order)
        for watcher in caller.watchers:
            watcher.sent(record.order, step.attempt, sent_at)
        engine.at(
            sent_at + caller.latency.draw(caller.chance), partial(self._arrive, sent_at, turn)
        )
        until = sent_at + caller.timeout
        if until < math.inf:
            late = partial(
                self._outcome, Answer(0, transport_failure=TIMED_OUT), sent_at, cut=False
            )
            engine.at(until, partial(self._reply, turn, late))
        if step.cut_at is not None and step.cut_at < until:
            cut = partial(self._outcome, Answer(0), sent_at, cut=True)
            engine.at(step.cut_at, partial(self._reply, turn, cut))

    def _arrive(self, sent_at: float, turn: int) -> None:
        caller, engine = self._caller, self._caller.engine
        caller.report.arrivals.append(engine.now)

        def respond(answer: Answer) -> None:
            report, status = caller.report, answer.status
            report.statuses[status] = report.statuses.get(status, 0) + 1
            if status in (429, 503):
                report.refused_at.append(engine.now)
            back = caller.latency.draw(caller.chance) + caller.latency.hang(caller.chance)
            outcome = partial(self._outcome, answer, sent_at, cut=False)
            engine.at(engine.now + back, partial(self._reply, turn, outcome))

        caller.deliver(self._record.order, respond)

    def cancel(self) -> None:
        """Cancel the call, wherever it is; nothing happens if it has ended."""
        if self._record.reason:
            return
        self._turn += 1
        try:
            self._flow.send(Cancelled(self._caller.engine.now))
        except StopIteration as ended:
            for waiter in ended.value:
                if waiter.wake is not None:
                    waiter.wake()
        self._end("cancelled")

    def _outcome(self, answer: Answer, sent_at: float, *, cut: bool) -> Outcome:
        caller, now, record = self._caller, self._caller.engine.now, self._record
        record.hit = record.hit or answer.status >= 400 or answer.status == 0
        caller.engine.note(caller.name, answer.status)
        for watcher in caller.watchers:
            watcher.received(record.order, answer, now)
        wall = EPOCH + now + caller.wall_skew
        return Outcome(
            sent_at,
            now,
            now,
            wall,
            answer.status,
            answer.headers,
            answer.body,
            transport_failure=answer.transport_failure,
            cut=cut,
        )

    def _end(self, reason: str) -> None:
        caller = self._caller
        report, record = caller.report, self._record
        report.reasons[reason] = report.reasons.get(reason, 0) + 1
        report.finished_at = record.ended_at = caller.engine.now
        record.reason = reason
        caller.ended = record
        caller.engine.note(caller.name, reason)
        self._flow.close()
        self._ended()
