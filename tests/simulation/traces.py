"""What happens in simulations, seed by seed, as digests: a change of the core that should change
nothing that happens is known by them.

``PYTHONPATH=tests python -m simulation.traces silent`` writes those of one group into
``traces.json`` anew (``shape``, ``silent``, ``fleet``; without a word all of them). That is done
only for a change that is meant to change what happens, and its commit says why.

A digest covers what is sent and when (times rounded to a microsecond), what is answered, why calls
end, and the events of the kinds that there were when this file was made.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from httpx_resilience import Event, Policy
from simulation.callers import Latency, Server
from simulation.fleet import Scene, play
from simulation.jobs import AtOnce, Job
from simulation.machines import CODED, UNCODED, UNREACHABLE, Fault, Machine, slow_recovery
from simulation.servers import LIMITERS, RateLimitedServer, TokenBucket
from simulation.shapes import PATIENT, any_shape
from simulation.shapes import play as play_shape
from simulation.weather import LATER

FILE = Path(__file__).with_name("traces.json")

SHAPES = 260
"""Random rate-limited servers, by turns for a patient client and for the default policy."""

KINDS = {
    *("gave_up", "rate_limit_changed", "rate_limit_low", "recovered", "retry_scheduled"),
    *("throttle_held", "throttle_released"),
}
"""Events that are part of a digest; others may come and go."""

FIELDS = ("scope", "reason", "delay", "attempt", "status", "rate_limit", "rate_remaining")


class Case(NamedTuple):
    """A simulation, and what makes its digest."""

    name: str
    digest: Callable[[], str]


def cases() -> Iterator[Case]:
    """Return every simulation."""
    for seed in range(SHAPES):
        yield Case(f"shape {seed}", partial(_of_shape, seed))
    limiters = ((5, 10, 429), (30, 10, 429), (100, 30, 429), (5, 10, 503), (30, 10, 503))
    for seed, (rate, burst, refusal) in enumerate(2 * (*limiters, (100, 30, 503))):
        yield Case(f"silent {seed}", partial(_of_silent, rate, burst, refusal, seed))
    for seed, scene in enumerate(_scenes()):
        yield Case(f"fleet {seed}", partial(_of_fleet, scene, seed))


def _of_shape(seed: int) -> str:
    policy = Policy() if seed % 2 else PATIENT
    run = play_shape(any_shape(seed), seed, requests=60, fewest=1.5, policy=policy)
    sent = [(order, f"{at:.6f}") for order, at in run.throttle.grants]
    arrived = [f"{at:.6f}" for at in run.report.arrivals]
    return _hash(sent, arrived, sorted(run.report.statuses.items()), sorted(run.report.reasons))


def _of_silent(rate: int, burst: int, refusal: int, seed: int) -> str:
    limiter = TokenBucket(burst, burst / rate, full=True)
    server = RateLimitedServer(limiter, burst, has_headers=False, refusal=refusal)
    job = Job(
        server.handle, calls=6 * rate, tasks=20, seed=seed, latency=Latency(), policy=Policy()
    )
    report = job.run()
    arrived = [f"{at:.6f}" for at in report.arrivals]
    return _hash(arrived, sorted(report.statuses.items()), _events(report.events))


def _scenes() -> Iterator[Scene]:
    for clients in (1, 5, 40):
        for rate in (10.0, 60.0):
            for faults in _weathers():
                server = partial(Machine, faults=faults, capacity=3 * rate, queue=3 * rate)
                yield Scene(clients, rate, server, 40.0, timeout=2.0)
    for kind in LIMITERS:
        yield Scene(3, 30.0, partial(_shared, kind), 40.0)


def _shared(kind: str, chance: Random) -> Server:
    """Return a rate limit that several processes share."""
    return AtOnce(RateLimitedServer(LIMITERS[kind](200, 10.0), 200).handle)


def _weathers() -> Sequence[list[Fault]]:
    return (
        [Fault("outage", 10.0, 12.0)],
        [Fault("outage", 10.0, 25.0, answer=UNREACHABLE)],
        [Fault("outage", 10.0, 18.0, answer=LATER)],
        [Fault("stall", 10.0, 16.0)],
        [Fault("brown_out", 5.0, 35.0, 0.2, UNCODED)],
        [*slow_recovery(10.0, 20.0), Fault("outage", 8.0, 10.0, answer=CODED)],
    )


def _of_fleet(scene: Scene, seed: int) -> str:
    played = play(scene, seed)
    calls = [
        (f"{r.arrived_at:.6f}", r.attempts, f"{r.waited:.6f}", f"{r.ended_at:.6f}", r.reason)
        for r in played.records
    ]
    return _hash(calls, [_events(caller.report.events) for caller in played.callers])


def _events(events: Sequence[Event]) -> list[tuple[object, ...]]:
    return [
        (event.name, *(getattr(event, field, None) for field in FIELDS))
        for event in events
        if event.name in KINDS
    ]


def _hash(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def main() -> None:
    """Write the digests of the groups that are named anew, or every digest; keep the others."""
    groups = sys.argv[1:]
    known = json.loads(FILE.read_text(encoding="utf-8")) if groups else {}
    digests = {
        case.name: case.digest() for case in cases() if not groups or case.name.split()[0] in groups
    }
    changed = sum(known.get(name) != digest for name, digest in digests.items())
    FILE.write_text(json.dumps({**known, **digests}, indent=0) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {len(digests)} digests, {changed} of which changed\n")


if __name__ == "__main__":
    main()
