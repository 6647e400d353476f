"""The processes of ``demo --scenario fleet``, as the one that starts them sees them."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream
from anyio.streams.buffered import BufferedByteReceiveStream

from .. import Event, Listener
from . import _fleet_process
from ._fleet_process import Assignment

_LONGEST = 1 << 20
"""Bytes of a line at the most."""


class Report(NamedTuple):
    """What came of a job.

    Attributes:
        endings: How many calls ended how.
        asks: How often the store was asked.
    """

    endings: dict[str, int]
    asks: int


class Member:
    """One process of a fleet."""

    def __init__(self, jobs: ByteSendStream, messages: ByteReceiveStream) -> None:
        self._jobs = jobs
        self._messages = BufferedByteReceiveStream(messages)

    async def is_ready(self) -> bool:
        """Return whether it has started; False if it ended instead."""
        return "ready" in await self._next()

    async def do(self, job: Assignment, listeners: Sequence[Listener]) -> Report | None:
        """Have a job done; return what came of it, or None if the process ended before.

        Args:
            job: Its.
            listeners: They are given the events that the process has for them.
        """
        try:
            await self._jobs.send(job.as_line())
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return None
        while message := await self._next():
            if "event" not in message:
                return Report(**message)
            event = _KINDS[message["event"]](**message["fields"])
            for listener in listeners:
                if event.level >= listener.level:
                    listener.callback(event)
        return None

    async def _next(self) -> dict[str, Any]:
        """Return the next message; an empty one if there is none, for the process has ended."""
        try:
            line = await self._messages.receive_until(b"\n", _LONGEST)
        except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return {}
        message: dict[str, Any] = json.loads(line)
        return message


@asynccontextmanager
async def started(count: int) -> AsyncIterator[list[Member]]:
    """Start processes, all at a time, and wait until they are ready; at the end none is left.

    Raises:
        OSError: One does not start.
    """
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(_process()) for _ in range(count)]
        if not all([await member.is_ready() for member in members]):
            raise OSError("it ended at once")
        yield members


@asynccontextmanager
async def _process() -> AsyncIterator[Member]:
    # In a session of its own, for Ctrl-C in a terminal reaches all processes of one.
    process = await anyio.open_process(
        [sys.executable, "-P", "-m", _fleet_process.__name__],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        if process.stdin is None or process.stdout is None:
            raise OSError("it has no pipes")
        yield Member(process.stdin, process.stdout)
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


def _kinds(kind: type[Event]) -> dict[str, Callable[..., Event]]:
    """Return the kinds of event, by name."""
    found: dict[str, Callable[..., Event]] = {}
    for below in kind.__subclasses__():
        found |= _kinds(below)
        if "name" in vars(below):
            found[below.name] = below
    return found


_KINDS = _kinds(Event)
