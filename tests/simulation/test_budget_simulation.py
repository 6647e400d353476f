"""The retry budget under outages, blips and noise: the table of the design, in virtual time."""

from collections.abc import Callable
from functools import cache
from random import Random
from statistics import median
from typing import NamedTuple

import pytest

from httpx_resilience import Policy
from simulation.engine import Engine
from simulation.fleet import Client, Record
from simulation.outages import Outage, Server, Unreliable

SEEDS = range(5)
WARM = 65.0
"""Seconds of well-being before anything happens: budgets are full then."""


class Scene(NamedTuple):
    """Clients that call a server, which makes trouble for some seconds."""

    clients: int
    rate: float
    trouble: float
    server: Callable[[Random], Server]


def outage(clients: int, rate: float, seconds: float) -> Scene:
    return Scene(clients, rate, seconds, lambda chance: Outage(WARM, seconds, chance))


def noise(rate: float, seconds: float, share: float) -> Scene:
    return Scene(1, rate, seconds, lambda chance: Unreliable(share, chance))


LONG_OUTAGE = outage(1, 100.0, 60.0)
SMALL_OUTAGE = outage(1, 20.0, 30.0)
FLEET_OUTAGE = outage(500, 0.2, 60.0)
BRIEF_BLIP = outage(1, 100.0, 1.0)
SMALL_BLIP = outage(1, 20.0, 2.0)
NOISE = noise(50.0, 60.0, 0.1)
SCENES = {
    "an outage of 60 s at 100/s": LONG_OUTAGE,
    "an outage of 30 s at 20/s": SMALL_OUTAGE,
    "an outage of 60 s for 500 clients": FLEET_OUTAGE,
    "a blip of 1 s at 100/s": BRIEF_BLIP,
    "a blip of 2 s at 20/s": SMALL_BLIP,
    "one failure in ten": NOISE,
}


class Result(NamedTuple):
    """What became of the calls that arrived while there was trouble."""

    attempts_per_call: float
    success: float
    saved: float
    trace: str


def play(scene: Scene, seed: int) -> Result:
    engine, chance = Engine(), Random(seed)
    server, until = scene.server(chance), WARM + scene.trouble
    clients = [
        Client(
            name, engine, server, Random(chance.random()), Policy(), rate=scene.rate, until=until
        )
        for name in range(scene.clients)
    ]
    engine.run()
    records = [r for client in clients for r in client.records if r.arrived_at >= WARM]
    hit = [record for record in records if record.hit]
    return Result(
        attempts_per_call=sum(record.attempts for record in records) / len(records),
        success=_share(records),
        saved=_share(hit),
        trace=engine.trace,
    )


def _share(records: list[Record]) -> float:
    return sum(record.succeeded for record in records) / max(1, len(records))


@cache
def results(scene: Scene) -> dict[int, Result]:
    return {seed: play(scene, seed) for seed in SEEDS}


def check(scene: Scene, what: str, low: float, high: float) -> None:
    by_seed = {seed: getattr(result, what) for seed, result in results(scene).items()}
    found = median(by_seed.values())
    assert low <= found <= high, f"{what}: median {found:.4f}, by seed {by_seed}"


def test_an_outage_of_a_minute_is_not_amplified() -> None:
    check(LONG_OUTAGE, "attempts_per_call", 1.0, 1.05)


def test_an_outage_of_a_small_client_is_not_amplified() -> None:
    check(SMALL_OUTAGE, "attempts_per_call", 1.0, 1.25)


def test_an_outage_is_not_amplified_by_a_fleet_of_small_clients() -> None:
    check(FLEET_OUTAGE, "attempts_per_call", 1.0, 1.3)


def test_independent_failures_are_ridden_out() -> None:
    check(NOISE, "success", 0.998, 1.0)
    check(NOISE, "attempts_per_call", 1.0, 1.12)


def test_a_blip_of_a_second_is_ridden_out() -> None:
    check(BRIEF_BLIP, "saved", 0.95, 1.0)
    check(BRIEF_BLIP, "attempts_per_call", 1.0, 3.2)


def test_a_blip_of_two_seconds_is_ridden_out_by_a_small_client() -> None:
    check(SMALL_BLIP, "saved", 0.95, 1.0)
    check(SMALL_BLIP, "attempts_per_call", 1.0, 3.2)


@pytest.mark.parametrize("name", SCENES)
def test_a_seed_run_twice_gives_the_same_trace(name: str) -> None:
    scene, seed = SCENES[name]._replace(rate=SCENES[name].rate / 10), 3
    first = play(scene, seed).trace
    assert play(scene, seed).trace == first, f"seed {seed}"
    assert play(scene, seed + 1).trace != first, f"seed {seed + 1}"
