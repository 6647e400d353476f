"""Questions to ``lease.lua`` as a process asks them, and its answers; in virtual time."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from httpx_resilience._core.outcome import Command
from httpx_resilience._core.throttle.limits.lease_reply import Reply, read_reply
from simulation.engine import Engine
from simulation.stores import SimulatedStore

KEY = "hr1:{team:0123456789abcdef}:lease"
LIMIT = "requests"


def known(
    remaining: int,
    *,
    base: float = 0,
    limit: int = 100,
    kind: str = "f",
    age: int = 0,
    nominal: int = 10_000,
    high: int = 10_000,
    kept: int = 0,
    pace: int = 0,
    refill: float = 0.0,
    reserve: int = 0,
    window: int = 10_000,
) -> dict[str, Any]:
    """What responses say of a limit; durations in milliseconds."""
    return {**locals(), "measured": 0}


class Fleet:
    """Processes that share a scope."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.store = SimulatedStore(self.engine)
        self._sequence: Iterator[int] = count(1)
        self.epochs: dict[str, str] = {}

    @property
    def stored(self) -> dict[str, str]:
        """The fields of the scope's hash."""
        return self.store.hashes.setdefault(KEY, {})

    def after(self, seconds: float) -> "Fleet":
        """Let time pass."""
        self.engine.now += seconds
        return self

    def words(
        self,
        process: str,
        *,
        want: int = 1,
        need: int = 1,
        flying: int = 0,
        answered: int = 0,
        evidence: dict[str, Any] | None = None,
        closed: int = 0,
        doubt: bool = False,
        silent: bool = False,
        rate: tuple[float, str, bool] = (0.0, "0", False),
        names: bool = True,
        sequence: int | None = None,
    ) -> tuple[str | int | float, ...]:
        """The arguments of a question."""
        paced, version, is_cut = rate
        e = evidence or known(0)
        row = (
            *(LIMIT, flying, answered, want, need, int(evidence is not None), e["kind"]),
            *(e["limit"], e["remaining"], e["base"], e["age"], e["measured"], e["nominal"]),
            *(e["high"], e["kept"], e["pace"], e["refill"], e["reserve"], e["window"], 1),
        )
        rows = row if evidence is not None or names else ()
        return (
            *(process, next(self._sequence) if sequence is None else sequence),
            *(self.epochs.get(process, "0"), closed, int(doubt), int(silent), want, need),
            *(paced, version, int(is_cut), paced, flying, len(rows) // 20, *rows),
        )

    def ask(self, process: str, **said: Any) -> Reply:
        """Ask for a lease."""
        (words,) = self.store.run([Command("lease", KEY, self.words(process, **said))])
        assert words is not None
        reply = read_reply(words)
        self.epochs[process] = reply.epoch
        return reply
