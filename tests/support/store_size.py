"""What a scope takes in a store, and what an answer takes of its time: figures for people.

``PYTHONPATH=tests python -m support.store_size`` prints them, by a real server.
"""

import sys
import time
from importlib.resources import files
from itertools import count

import httpx_resilience
from support.lease_asks import KEY, Fleet, known
from support.stores import Server, any_engine, serving

SCRIPTS = files(httpx_resilience) / "_store" / "scripts"
PROCESSES = (1, 4, 50, 200, 1000)
ASKS = 1000


def ask_as(server: Server, processes: int) -> float:
    """Have so many processes ask for a scope in turns; return the microseconds of an answer."""
    server.command("FLUSHALL")
    sha = str(server.command("SCRIPT", "LOAD", (SCRIPTS / "lease.lua").read_text(encoding="utf-8")))
    fleet, numbers = Fleet(), count()

    def asks(how_many: int) -> list[list[str | int]]:
        return [
            ["EVALSHA", sha, 1, KEY, *(str(word) for word in words(fleet, next(numbers)))]
            for _ in range(how_many)
        ]

    def words(fleet: Fleet, number: int) -> tuple[str | int | float, ...]:
        name = f"{number % processes:016x}"
        evidence = known(10_000, limit=10_000)
        return fleet.words(name, want=3, answered=1000, evidence=evidence)

    server.commands(asks(processes))
    measured = asks(ASKS)
    began = time.perf_counter()
    server.commands(measured)
    return 1e6 * (time.perf_counter() - began) / ASKS


def main() -> None:
    """Print the figures."""
    engine = any_engine()
    sys.stdout.write(f"{engine.name}\n{'processes':>9} {'bytes':>7} {'µs':>6}\n")
    with serving(engine) as server:
        for processes in PROCESSES:
            took = ask_as(server, processes)
            size = server.command("MEMORY", "USAGE", KEY, "SAMPLES", 0)
            sys.stdout.write(f"{processes:9} {size:7} {took:6.0f}\n")


if __name__ == "__main__":
    main()
