"""An inner transport that answers from a script, but for the classes of the client's library."""

import inspect
from collections.abc import Awaitable, Iterable
from typing import Any, ClassVar, Self


class Scripted:
    """What ``ScriptedTransport`` is for both libraries."""

    library: ClassVar[Any]

    def __init__(self, script: Iterable[Any]) -> None:
        self._script = list(script)
        for number, line in enumerate(self._script):
            self._check(number, line)
        self.requests: list[Any] = []

    def _check(self, number: int, line: object) -> None:
        is_status = type(line) is int and 100 <= line <= 599
        kinds = (self.library.Response, Exception)
        if not (is_status or isinstance(line, kinds) or callable(line)):
            raise TypeError(
                f"script[{number}]: got {type(line).__name__}, allowed are a status from 100 to "
                f"599, a {self.library.__name__}.Response, an exception, or a function of a request"
            )

    @property
    def left(self) -> int:
        """How many lines were not used."""
        return max(0, len(self._script) - len(self.requests))

    def _next(self, request: Any) -> Any:
        number = len(self.requests)
        self.requests.append(request)
        if number >= len(self._script):
            # Neither query nor header is named: this is printed.
            raise AssertionError(
                f"the script has {len(self._script)} lines, and this is request {number + 1}: "
                f"{request.method} {request.url.path}"
            )
        line = self._script[number]
        return line(request) if callable(line) and not isinstance(line, type) else line

    def _made(self, line: Any) -> Any:
        if isinstance(line, Exception):
            raise line
        if isinstance(line, int):
            return self.library.Response(line)
        return line

    def handle_request(self, request: Any) -> Any:
        """Answer by the next line of the script.

        Raises:
            AssertionError: The script is used up.
            Exception: What the line is.
        """
        request.read()
        line = self._next(request)
        if inspect.isawaitable(line):
            raise TypeError("script: a synchronous client needs plain functions")
        return self._made(line)

    async def handle_async_request(self, request: Any) -> Any:
        """Answer by the next line of the script, as ``handle_request`` does."""
        await request.aread()
        line = self._next(request)
        return self._made(await _awaited(line) if inspect.isawaitable(line) else line)

    def __enter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<ScriptedTransport: {len(self.requests)} requests, {self.left} lines left>"


async def _awaited(line: Awaitable[Any]) -> Any:
    return await line
