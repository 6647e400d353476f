"""One call, from the request to the end of its body, and what it came to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import CallHistory, history_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a call came to for whoever made it.

    Attributes:
        status: HTTP status, or None if an exception came instead.
        error: The exception, also one that came while the body was read.
        history: The transport's account of it.
    """

    status: int | None = None
    error: Exception | None = None
    history: CallHistory | None = None

    @property
    def is_failure(self) -> bool:
        """Whether it ended with an exception, a 4xx or a 5xx, or with an error in a success."""
        if self.error is not None or self.status is None or self.status >= 400:
            return True
        return self.history is not None and self.history.reason not in (None, "success")

    @property
    def has_lost_body(self) -> bool:
        """Whether a success broke off after its headers, when the transport had ended its call."""
        return self.error is not None and self.status is not None and self.status < 400

    @property
    def word(self) -> str:
        """The status, or the exception's name."""
        return str(self.status) if self.error is None else type(self.error).__name__


def _drop(chunk: bytes) -> None:
    pass


async def exchange(
    client: Any, request: Any, on_chunk: Callable[[bytes], object] = _drop
) -> Result:
    """Send a request and read its response to the end.

    Args:
        client: An ``AsyncClient`` of either library, over our transport.
        request: What to send.
        on_chunk: Is given the decoded body, piece by piece; what it raises goes through.
    """
    try:
        response = await client.send(request, stream=True)
    except Exception as error:  # noqa: BLE001 - any failure is a result here
        return Result(error=error, history=history_of(error))
    history, status = history_of(response), response.status_code
    try:
        chunks = response.aiter_bytes()
        while True:
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                return Result(status=status, history=history)
            except Exception as error:  # noqa: BLE001 - likewise
                return Result(status=status, error=error, history=history)
            on_chunk(chunk)
    finally:
        await response.aclose()


def exchange_sync(client: Any, request: Any, on_chunk: Callable[[bytes], object]) -> Result:
    """Do as ``exchange``, with a ``Client``."""
    try:
        response = client.send(request, stream=True)
    except Exception as error:  # noqa: BLE001 - any failure is a result here
        return Result(error=error, history=history_of(error))
    history, status = history_of(response), response.status_code
    try:
        chunks = response.iter_bytes()
        while True:
            try:
                chunk = next(chunks)
            except StopIteration:
                return Result(status=status, history=history)
            except Exception as error:  # noqa: BLE001 - likewise
                return Result(status=status, error=error, history=history)
            on_chunk(chunk)
    finally:
        response.close()
