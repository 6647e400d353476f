"""Clients that call a server at random times, each with its own retry budget and the real core."""

from dataclasses import dataclass
from random import Random

from httpx_resilience import SCAIVAULT, Event, Policy
from httpx_resilience._core.budget import RetryBudget
from httpx_resilience._core.flow import CallFlow, Done, Pause, Rules, Send, Step, call_flow
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.outcome import Call, Outcome, Woken
from simulation.engine import Engine
from simulation.outages import Server


class _Deaf:
    """Nobody listens."""

    verbose = False

    def tell(self, event: Event) -> None:
        pass


@dataclass
class Record:
    """What became of one call."""

    arrived_at: float
    attempts: int = 0
    hit: bool = False
    succeeded: bool = False


class Client:
    """Calls at a mean rate, the gaps exponentially distributed, until a time."""

    def __init__(
        self,
        name: int,
        engine: Engine,
        server: Server,
        chance: Random,
        policy: Policy,
        *,
        rate: float,
        until: float,
    ) -> None:
        self.records: list[Record] = []
        self._name = name
        self._engine = engine
        self._server = server
        self._chance = chance
        self._rate = rate
        self._until = until
        self._rules = Rules(policy, SCAIVAULT, RateLimitReader(), chance.random)
        self._budget = None if policy.budget is None else RetryBudget(policy.budget)
        self._arrange()

    def _arrange(self) -> None:
        when = self._engine.now + self._chance.expovariate(self._rate)
        if when <= self._until:
            self._engine.at(when, self._arrive)

    def _arrive(self) -> None:
        record = Record(self._engine.now)
        self.records.append(record)
        call = Call("c", "GET", "http://server", "/v1/secrets/x")
        flow = call_flow(call, self._rules, self._budget, _Deaf(), lambda: True, self._engine.now)
        self._carry_out(next(flow), flow, record)
        self._arrange()

    def _carry_out(self, step: Step, flow: CallFlow, record: Record) -> None:
        engine = self._engine
        if isinstance(step, Send):
            sent_at = engine.now
            record.attempts += 1
            answer = self._server.answer(sent_at)
            record.hit = record.hit or answer.status >= 400
            engine.note(self._name, answer.status)
            at = sent_at + answer.takes
            outcome = Outcome(sent_at, at, at, at, status=answer.status, body=answer.body)
            engine.at(at, lambda: self._carry_out(flow.send(outcome), flow, record))
        elif isinstance(step, Pause):
            until = step.until
            engine.at(until, lambda: self._carry_out(flow.send(Woken(until)), flow, record))
        else:
            assert isinstance(step, Done)
            record.succeeded = step.reason == "success"
            engine.note(self._name, step.reason)
            flow.close()
