"""Which benchmarks there are."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from . import growth, happy, imports, instructions, loopback, queueing, retry, throttle
from ._rounds import Announce, Effort
from ._rows import Row

Run = Callable[[Effort, Announce], list[Row]]


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
        _benchmark, (happy, instructions, retry, queueing, loopback, throttle, growth, imports)
    )
}
"""By name, in the order in which they run."""
