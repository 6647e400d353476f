"""Where things are shown: results on stdout, everything about them on stderr."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from ..instrumentation.log import LOGGER_NAME
from ._streams import say


def console(*, stderr: bool = False) -> Console:
    """Return a console that shows texts as they are: nothing in them is markup."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


class Misuse(typer.BadParameter):
    """An argument that cannot be used: one line on stderr, exit status 2."""

    def format_message(self) -> str:
        """Return the line as it is; typer would put words in front of it."""
        return self.message


def in_one_line(text: str) -> str:
    """Return a text without line breaks, and without characters that steer a terminal."""
    return "".join(mark for mark in " ".join(text.split()) if mark.isprintable())


def complain(message: str) -> None:
    """Say in one line on stderr what is wrong."""
    say(in_one_line(message))


@contextmanager
def quiet_log() -> Iterator[None]:
    """Keep the library's own log lines off the screen: a command listens by ``on_event``."""
    logger = logging.getLogger(LOGGER_NAME)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
