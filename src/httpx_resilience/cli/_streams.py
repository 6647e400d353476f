"""The standard streams, where some are closed (``>&-``), full, or read by nobody any more."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


@contextmanager
def stderr_or_nowhere() -> Iterator[None]:
    """Send what is written on a closed stderr nowhere: ``print`` would put it on stdout."""
    if sys.stderr is not None:
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stderr = None


def say(message: str) -> None:
    """Write one line on stderr; if that fails, there is nobody to hear of it."""
    try:
        print(f"httpx-resilience: {message}", file=sys.stderr)
    except OSError:
        drop(sys.stderr)


def drop(stream: TextIO) -> None:
    """Drop what a stream still holds, or Python would try to write it once more at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
