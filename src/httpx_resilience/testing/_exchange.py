"""One request on its way through the vault, and what the log keeps of it."""

from dataclasses import dataclass

from ._extras import Request
from ._faults import Drop, Fault

ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """One request as the server saw it; no header values, tokens or bodies.

    Attributes:
        method: The HTTP method.
        path: The path, without the query.
        identity: Who held the token, valid or not; ``"anonymous"`` if nobody did.
        request_id: The client's ``X-Request-ID``, or the one made for it.
        at: Arrival, in seconds of the vault's ``clock``.
        idempotency_key: The ``Idempotency-Key``, if one was sent.
        status: The status sent; None if no whole status line was.
        code: The error code sent, if any.
        fault: The fault that struck it, if any.
    """

    method: str
    path: str
    identity: str
    request_id: str
    at: float
    idempotency_key: str | None = None
    status: int | None = None
    code: str | None = None
    fault: Fault | None = None


@dataclass(slots=True)
class Exchange:
    """A request on its way through the vault."""

    request: Request
    identity: str
    request_id: str
    at: float
    fault: Fault | None
    status: int | None = None
    code: str | None = None

    @property
    def drop(self) -> Drop | None:
        """How the connection is to end too early, if it is."""
        effect = self.fault.effect if self.fault else None
        return effect if isinstance(effect, Drop) else None

    def settle(self, status: int, code: str | None) -> None:
        """Note what the client is about to get, unless it will not get to see it."""
        if self.drop is None or self.drop.where == "after":
            self.status, self.code = status, code

    def record(self) -> SeenRequest:
        """Return what the log keeps of it."""
        return SeenRequest(
            method=self.request.method,
            path=self.request.url.path,
            identity=self.identity,
            request_id=self.request_id,
            at=self.at,
            idempotency_key=self.request.headers.get("idempotency-key"),
            status=self.status,
            code=self.code,
            fault=self.fault,
        )
