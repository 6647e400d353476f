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


def mark() -> None:
    """Let callgrind write down what it counted since the last mark."""
    os.getpriority(os.PRIO_PROCESS, 0)


async def send(contender: Contender) -> None:
    """Send both lots by one contender."""
    vault = InProcessVault()
    transport = contender.wrap(vault)
    request = request_for(contender)
    vault.stock(WARM_UP + sum(LOTS))

    async def lot(count: int) -> None:
        for _ in range(count):
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
        asyncio.run(send(field[name]))


if __name__ == "__main__":
    main(sys.argv[1:])
