"""The child that callgrind watches: ``python -m benchmarks._counted NAME ...``."""

import asyncio
import gc
import os
import sys

from ._contenders import Contender, bare, ours, parts_off, peers, request_for
from ._vault import InProcessVault

WARM_UP = 100
N1, N2 = 50, 200
LOTS = (N1, N2)
MARKS = 1 + len(LOTS)
"""Per contender: one before the first lot, and one after each."""


EACH = 25e-6
"""Seconds that a request takes: callgrind slows the real clock fifty-fold, and what is done once
in so many seconds would be counted fifty times too often."""


class SteadyLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves only when it is set."""

    now = 1000.0

    def time(self) -> float:
        return self.now


def mark() -> None:
    """Let callgrind write down what it counted since the last mark."""
    os.getpriority(os.PRIO_PROCESS, 0)


async def send(contender: Contender) -> None:
    """Send both lots by one contender."""
    vault = InProcessVault()
    transport = contender.wrap(vault)
    request = request_for(contender)
    vault.stock(WARM_UP + sum(LOTS))

    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteadyLoop)

    async def lot(count: int) -> None:
        for _ in range(count):
            loop.now += EACH
            await transport.handle_async_request(request)

    with contender.around():
        await lot(WARM_UP)
        mark()
        for count in LOTS:
            await lot(count)
            mark()


def main(names: list[str]) -> None:
    """Send by each contender named, in that order."""
    field = {each.name: each for each in [bare(), ours(), *parts_off(), *peers()[0]]}
    gc.disable()
    for name in names:
        with asyncio.Runner(loop_factory=SteadyLoop) as runner:
            runner.run(send(field[name]))


if __name__ == "__main__":
    main(sys.argv[1:])
