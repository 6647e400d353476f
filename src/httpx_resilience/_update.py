"""Read, change, write: a change that survives others' changes in between."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from ._core import checks
from ._http.binding import Binding
from ._http.results import api_error, error_of, history_of, raise_for_error
from ._recovery import RECOVER, FailedAttempt
from .dialects.generic import GENERIC

if TYPE_CHECKING:
    from ._http import typed as http

Change = Callable[[Any], Any | Awaitable[Any]]
"""From a document to the body that is to be written; async for ``AsyncClient`` only."""


class Update:
    """One change of one document.

    Args:
        client: The client, of whichever kind.
        url: Of the document.
        change: From the document to the body of the PUT.
        code: The error code of a conflict.
        headers: For both requests.
    """

    def __init__(
        self,
        client: Any,
        url: str,
        change: Change,
        code: str,
        headers: Mapping[str, str] | None,
    ) -> None:
        self._client = client
        self._url = url
        self._change = change
        self._code = code
        self._headers = headers

    async def run_async(self, binding: Binding) -> Any:
        """Make the change with an ``AsyncClient``."""

        async def compose() -> http.Request:
            current = await self._client.get(self._url, headers=self._headers)
            raise_for_error(current, binding.errors)
            body = self._change(current.json())
            return self._put(await body if inspect.isawaitable(body) else body)

        async def again(_: FailedAttempt, __: http.Request) -> http.Request:
            return await compose()

        request = self._recovered(await compose(), again)
        return self._checked(await self._client.send(request), binding)

    def run(self, binding: Binding) -> Any:
        """Make the change with a ``Client``."""

        def compose() -> http.Request:
            current = self._client.get(self._url, headers=self._headers)
            raise_for_error(current, binding.errors)
            body = self._change(current.json())
            checks.no_awaitable("change", body)
            return self._put(body)

        def again(_: FailedAttempt, __: http.Request) -> http.Request:
            return compose()

        request = self._recovered(compose(), again)
        return self._checked(self._client.send(request), binding)

    def _put(self, body: object) -> http.Request:
        request: http.Request = self._client.build_request(
            "PUT", self._url, json=body, headers=self._headers
        )
        return request

    def _recovered(self, request: http.Request, again: object) -> http.Request:
        request.extensions = {**request.extensions, RECOVER: {self._code: again}}
        return request

    def _checked(self, response: http.Response, binding: Binding) -> http.Response:
        info = None if history_of(response) else error_of(response, GENERIC)
        if info is not None and info.code == self._code:
            prefix = "Async" if binding.is_async else ""
            raise RuntimeError(
                "read_change_write: the conflict cannot be retried, for the client has another "
                f"transport; allowed is {binding.name}.{prefix}Client("
                f"transport={prefix}ResilientTransport(...))"
            ) from api_error(response, binding.errors)
        return response
