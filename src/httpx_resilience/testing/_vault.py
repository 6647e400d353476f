"""A secrets service to misbehave in front of one's own code: an ASGI application.

The way of a request, top to bottom: fault picked → delay → limiter → endpoint → headers → log.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from importlib import import_module
from typing import ClassVar, Generic, TypeVar, cast

import anyio

from .._core import checks
from .._runtime import instant
from ..dialects.scaivault import category_of
from ._api import Api
from ._drops import CUT, beginning, exception_of
from ._exchange import ANONYMOUS, Exchange, SeenRequest
from ._extras import (
    ClientDisconnect,
    JSONResponse,
    Receive,
    Request,
    Response,
    Router,
    Scope,
    Send,
)
from ._faults import CodedError, Drop, Fault, Reply, Script, Target
from ._limits import Limit, Limiter, ResetStyle
from ._loop import SharedLoop
from ._refusal import Refusal
from ._store import Store
from ._tokens import Client, Tokens

AsyncTransport = TypeVar("AsyncTransport")
SyncTransport = TypeVar("SyncTransport")


@dataclass(frozen=True, slots=True)
class _Answer:
    response: Response
    code: str | None = None


class Vault(Generic[AsyncTransport, SyncTransport]):
    """What ``FakeScaiVault`` does, for whichever library its clients are of.

    Attributes:
        library: The name of that library.
        log: What the server saw, in the order in which it was done with it.
    """

    library: ClassVar[str]

    def __init__(
        self,
        *,
        limits: Mapping[str, Limit] | None = None,
        reset: ResetStyle = "full",
        decimals: int = 0,
        anonymous: bool = False,
        retention: float = 30 * 86400.0,
        clock: Callable[[], float] = instant.monotonic,
        wall: Callable[[], float] = instant.wall,
    ) -> None:
        checks.number("retention", retention, low=0)
        self.log: list[SeenRequest] = []
        self._clock = clock
        self._wall = wall
        self._limiter = Limiter(limits or {}, reset, decimals)
        self._tokens = Tokens()
        self._api = Api(Store(retention), self._tokens, clock, anonymous=anonymous)
        self._script = Script()
        self._lifespan = Router()
        self._arrivals = 0
        self._loop = SharedLoop("FakeScaiVault")

    def transport(self) -> AsyncTransport:
        """Return a transport for an ``AsyncClient`` that serves the vault in process."""
        return cast("AsyncTransport", import_module(self.library).ASGITransport(self))

    def sync_transport(self) -> SyncTransport:
        """Return a transport for a ``Client`` that serves the vault in process.

        For any number of threads at once. The vault runs in an event loop of a thread of its own,
        from the first request until all such transports of it are closed. As there is no network,
        only the timeout for reading counts: it bounds the wait for an answer.
        """
        made = import_module(f"._with_{self.library}", __package__)
        return cast("SyncTransport", made.InProcessTransport(self, self._loop))

    def issue_token(self, identity: str = "alice", *, lifetime: float | None = None) -> str:
        """Return a new bearer token.

        Args:
            identity: Who holds it.
            lifetime: Seconds until it expires, at least 0; None for ever.
        """
        checks.number("issue_token.lifetime", lifetime, low=0, optional=True)
        return self._tokens.issue(identity, lifetime, self._clock())

    def issue_refresh_token(self, identity: str = "alice", *, lifetime: float = 300.0) -> str:
        """Return a refresh token; the access tokens it brings live for ``lifetime`` seconds."""
        checks.number("issue_refresh_token.lifetime", lifetime, low=0)
        return self._tokens.issue_refresh(identity, lifetime)

    def add_client(
        self, client_id: str, secret: str, *, identity: str | None = None, lifetime: float = 300.0
    ) -> None:
        """Let a client ask ``/v1/auth/token`` for tokens with its credentials.

        Args:
            client_id: Its name.
            secret: Its password.
            identity: Who holds the tokens; by default the client itself.
            lifetime: Seconds that each token lives, at least 0.
        """
        checks.number("add_client.lifetime", lifetime, low=0)
        self._tokens.add_client(client_id, Client(identity or client_id, lifetime, secret))

    def revoke(self, token: str) -> None:
        """Refuse an access or refresh token from now on; an unknown one raises ``ValueError``."""
        self._tokens.revoke(token)

    def script(
        self,
        faults: Iterable[Fault] | Fault,
        *,
        path: str | None = None,
        method: str | None = None,
    ) -> None:
        """Strike the next requests that match, one fault after the other.

        Args:
            faults: One or several; each strikes ``times`` requests.
            path: A glob over the path (``*`` crosses slashes); None for any.
            method: The HTTP method; None for any.
        """
        self._script.queue(Target(method=method, path=path), faults)

    def chaos(
        self,
        *,
        rate: float,
        faults: Iterable[Fault] | Fault,
        seed: int,
        path: str | None = None,
        method: str | None = None,
    ) -> None:
        """Strike requests by chance, after the script; the same seed strikes the same requests.

        Args:
            rate: Share of matching requests that is struck, in [0, 1].
            faults: One or several, drawn with ``times`` as their weight.
            seed: Decides, with method, path and how often the two were asked for.
            path: A glob over the path; None for any.
            method: The HTTP method; None for any.
        """
        self._script.chaos(Target(method=method, path=path), rate, faults, seed)

    def heal(self) -> None:
        """Forget the script and the chaos."""
        self._script.clear()

    @property
    def pending(self) -> int:
        """How many requests the script (not the chaos) is still to strike."""
        return self._script.pending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            await self._lifespan(scope, receive, send)
            return
        exchange = self._arrive(Request(scope, receive))
        try:
            await exchange.request.body()  # a fault strikes a request that was sent whole
            answer = await self._answer(exchange)
            exchange.settle(answer.response.status_code, answer.code)
        except ClientDisconnect:
            return
        finally:  # before the answer goes out, so that whoever has it finds it in the log
            self.log.append(exchange.record())
        if exchange.drop is None:
            await answer.response(scope, receive, send)
        else:
            await self._end_early(scope, exchange.drop, answer.response)

    def _arrive(self, request: Request) -> Exchange:
        self._arrivals += 1
        return Exchange(
            request=request,
            identity=self._tokens.holder(request.headers.get("authorization")) or ANONYMOUS,
            request_id=request.headers.get("x-request-id") or f"req_{self._arrivals:08x}",
            at=self._clock(),
            fault=self._script.pick(request.method, request.url.path),
        )

    async def _answer(self, exchange: Exchange) -> _Answer:
        """Return what the client is to get, or the beginning of which it is to get."""
        fault = exchange.fault
        if fault is None:
            return await self._carry_out(exchange)
        cut = exchange.drop is not None and exchange.drop.cuts_an_answer
        early = await self._carry_out(exchange) if fault.processed or cut else None
        await anyio.sleep(fault.after)
        match fault.effect:
            case Reply() as reply:
                return _Answer(self._plain(reply))
            case CodedError() as error:
                return self._refuse(exchange, _refusal_of(error))
            case Drop(code=str() as code):
                return self._refuse(exchange, Refusal(code))
            case Drop():
                return early or _Answer(Response())
            case None:
                return early or await self._carry_out(exchange)

    async def _carry_out(self, exchange: Exchange) -> _Answer:
        """Do what was asked, if the rate limit and the API allow it."""
        reading_headers, retry_after = self._charge(exchange)
        try:
            if retry_after is not None:
                raise Refusal("rate_limited", headers={"Retry-After": str(retry_after)})
            response = await self._api.answer(exchange.request, exchange.identity)
        except Refusal as refusal:
            return _Answer(self._envelope(exchange, refusal, reading_headers), refusal.code)
        response.headers.update(self._stamps(exchange) | reading_headers)
        return _Answer(response)

    def _refuse(self, exchange: Exchange, refusal: Refusal) -> _Answer:
        headers, _ = self._charge(exchange)
        return _Answer(self._envelope(exchange, refusal, headers), refusal.code)

    def _charge(self, exchange: Exchange) -> tuple[dict[str, str], int | None]:
        request = exchange.request
        category = category_of(request.method, request.url.path)
        reading = self._limiter.charge(exchange.identity, category, self._clock())
        headers = self._limiter.headers(reading, self._wall())
        return headers, None if reading.allowed else reading.retry_after

    def _envelope(
        self, exchange: Exchange, refusal: Refusal, headers: Mapping[str, str]
    ) -> Response:
        error = {
            "code": refusal.code,
            "message": refusal.message,
            "details": refusal.details,
            "request_id": exchange.request_id,
        }
        stamps = self._stamps(exchange)
        return JSONResponse(
            {"error": error}, refusal.status, {**headers, **stamps, **refusal.headers}
        )

    def _stamps(self, exchange: Exchange) -> dict[str, str]:
        return {"X-Request-ID": exchange.request_id, "Date": self._date()}

    def _date(self) -> str:
        return formatdate(self._wall(), usegmt=True)

    def _plain(self, reply: Reply) -> Response:
        response = Response(reply.body, reply.status)
        length = [pair for pair in response.raw_headers if pair[0] == b"content-length"]
        given = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in reply.headers
        ]
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in given):
            length = []
        dated = [(b"date", self._date().encode())] if reply.dated else []
        response.raw_headers = given + length + dated
        return response

    async def _end_early(self, scope: Scope, drop: Drop, response: Response) -> None:
        cut = scope.get("extensions", {}).get(CUT)
        if cut is None:
            raise exception_of(drop, response, self.library)
        await cut(beginning(drop, response), reset=drop.where == "reset")


def _refusal_of(error: CodedError) -> Refusal:
    headers = {}
    if error.retry_after is not None:
        wait = error.retry_after
        headers["Retry-After"] = wait if isinstance(wait, str) else f"{wait:g}"
    return Refusal(
        error.code, error.message, details=error.details, headers=headers, status=error.status
    )
