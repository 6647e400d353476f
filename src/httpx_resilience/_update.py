"""Read, change, write: a change that survives others' changes in between."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ._http import binding as http
from ._http.results import api_error, error_of, history_of, raise_for_error
from ._recovery import RECOVER, FailedAttempt
from .dialects.generic import GENERIC

Change = Callable[[Any], Any | Awaitable[Any]]


async def read_change_write(
    client: http.AsyncClient,
    url: str,
    change: Change,
    *,
    code: str = "version_conflict",
    headers: Mapping[str, str] | None = None,
) -> http.Response:
    """Fetch a document, change it and write it back; on a conflict, re-read, re-apply and retry.

    The attempts are those of one call: bounded by the policy's backoff for ``CONFLICT`` and by
    ``max_attempts``, spaced by its jitter, logged as its retries. Inside a recovery hook it works
    as elsewhere.

    Args:
        client: A client over ``AsyncResilientTransport``; over another transport nothing is
            retried, which the first conflict says.
        url: Of the document, for GET and PUT.
        change: From the document (parsed JSON) to the body of the PUT, which should name the
            version that it was made from; may be async. It may run more than once.
        code: The error code that says that somebody else was faster.
        headers: For both requests.

    Returns:
        The response to the last PUT, be it a success or not: pass it to ``raise_for_error``.

    Raises:
        ApiError: The document could not be read.
        RuntimeError: There was a conflict, and the client is not over ``AsyncResilientTransport``:
            the document was not written.

    >>> import anyio, httpx
    >>> from httpx_resilience import AsyncResilientTransport
    >>> from httpx_resilience.testing import FakeScaiVault
    >>> def count_up(current):
    ...     return {"value": current["value"] + 1, "cas": current["version"]}
    >>> async def main() -> int:
    ...     transport = AsyncResilientTransport(httpx.ASGITransport(FakeScaiVault(anonymous=True)))
    ...     async with httpx.AsyncClient(transport=transport, base_url="http://vault") as client:
    ...         await client.put("/v1/secrets/hits", json={"value": 1})
    ...         written = await read_change_write(client, "/v1/secrets/hits", count_up)
    ...         return (await client.get("/v1/secrets/hits")).json()["value"]
    >>> anyio.run(main)
    2
    """

    async def compose() -> http.Request:
        current = raise_for_error(await client.get(url, headers=headers)).json()
        body = change(current)
        if inspect.isawaitable(body):
            body = await body
        return client.build_request("PUT", url, json=body, headers=headers)

    async def again(_: FailedAttempt, __: http.Request) -> http.Request:
        return await compose()

    request = await compose()
    request.extensions = {**request.extensions, RECOVER: {code: again}}
    response = await client.send(request)
    info = None if history_of(response) else error_of(response, dialect=GENERIC)
    if info is not None and info.code == code:
        raise RuntimeError(
            "read_change_write: the conflict cannot be retried, for the client has another "
            "transport; allowed is httpx.AsyncClient(transport=AsyncResilientTransport(...))"
        ) from api_error(response)
    return response
