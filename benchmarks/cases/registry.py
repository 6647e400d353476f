"""Which benchmarks there are."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from ..harness.rounds import Effort, Report
from ..harness.rows import Row
from . import (
    costs,
    growth,
    happy,
    httpx2,
    imports,
    inflight,
    instructions,
    loopback,
    queueing,
    report,
    retry,
    shapes,
    store,
    sync,
    threads,
    throttle,
)

Run = Callable[[Effort, Report], list[Row]]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark: its name, what it measures in one line, and how it is run."""

    name: str
    about: str
    run: Run


def _benchmark(module: ModuleType) -> Benchmark:
    about = (module.__doc__ or "").partition("\n")[0].rstrip(".")
    return Benchmark(module.NAME, about, module.run)


BENCHMARKS: dict[str, Benchmark] = {
    each.name: each
    for each in map(
        _benchmark,
        (
            *(happy, sync, httpx2, shapes, costs, store, instructions, retry, queueing, threads),
            *(loopback, inflight, throttle, growth, imports, report),
        ),
    )
}
"""By name, in the order in which they run."""
