"""The vault for a synchronous client, in process: ASGI is for event loops, so it lends it one."""

import asyncio
import threading
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, ClassVar

from .._runtime.fork import reset_in_children
from ._loop import SharedLoop

if TYPE_CHECKING:
    from ._vault import Vault


class InProcess:
    """What ``Vault.sync_transport`` returns, but for the base class of the client's library.

    A request waits for no longer than its read timeout, as over a network. Closing it ends the
    requests that are under way; the next one opens it again.
    """

    library: ClassVar[Any]

    def __init__(self, vault: "Vault[Any, Any]", loop: SharedLoop) -> None:
        self._asgi = self.library.ASGITransport(vault)
        self._shared = loop
        self._reset()
        reset_in_children(self._reset)

    def _reset(self) -> None:
        """Start afresh: nothing is under way."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way: set[Future[Any]] = set()

    def handle_request(self, request: Any) -> Any:
        """Answer a request, of any thread.

        Raises:
            Exception: What the client's library would raise for a connection that ends too early,
                or a ``ReadTimeout`` of it.
        """
        answer = self._begin(request, b"".join(request.stream))
        seconds = request.extensions.get("timeout", {}).get("read")
        try:
            return answer.result(seconds)
        except TimeoutError:
            raise self.library.ReadTimeout("The read operation timed out") from None
        except CancelledError:
            raise self.library.ReadError("The transport was closed") from None
        finally:
            answer.cancel()  # if it is still under way: a timeout, or Ctrl-C
            self._under_way.discard(answer)

    def _begin(self, request: Any, body: bytes) -> "Future[Any]":
        with self._lock:
            if self._loop is None:
                self._loop = self._shared.enter()
            answer = asyncio.run_coroutine_threadsafe(self._answer(request, body), self._loop)
            self._under_way.add(answer)
        return answer

    async def _answer(self, request: Any, body: bytes) -> Any:
        """Return the answer, whole, as ``ASGITransport`` has it."""
        sent = self.library.Request(
            request.method,
            request.url,
            headers=request.headers,
            stream=self.library.ByteStream(body),
            extensions=request.extensions,
        )
        response = await self._asgi.handle_async_request(sent)
        content = b"".join([piece async for piece in response.stream])
        return self.library.Response(
            response.status_code,
            headers=response.headers,
            stream=self.library.ByteStream(content),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """End what is under way, and the loop, if no other transport of the vault uses it."""
        with self._lock:
            loop, self._loop = self._loop, None
            ended, self._under_way = self._under_way, set()
        for answer in ended:
            answer.cancel()
        if loop is not None:
            self._shared.leave()
