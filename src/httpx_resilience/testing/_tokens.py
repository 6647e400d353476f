"""Bearer tokens that expire, and the OAuth 2 grants that issue them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from ._refusal import Refusal


@dataclass(frozen=True, slots=True)
class Token:
    """Who holds a token, and until when (monotonic seconds; None: for ever)."""

    identity: str
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Client:
    """Whom a client id or refresh token stands for, and how long its access tokens live."""

    identity: str
    lifetime: float
    secret: str = ""


class GrantRefused(Exception):  # noqa: N818  (RFC 6749, section 5.2: an answer of its own shape)
    """A token request that is refused, with the error word and HTTP status of RFC 6749."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.status = status


class Tokens:
    """All tokens, revoked ones included; ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}
        self._revoked: set[str] = set()
        self._clients: dict[str, Client] = {}
        self._refreshers: dict[str, Client] = {}

    def issue(self, identity: str, lifetime: float | None, now: float) -> str:
        """Return a new access token."""
        token = f"fvt-{secrets.token_urlsafe(24)}"
        self._tokens[token] = Token(identity, None if lifetime is None else now + lifetime)
        return token

    def issue_refresh(self, identity: str, lifetime: float) -> str:
        """Return a new refresh token, whose access tokens live for ``lifetime`` seconds."""
        token = f"fvr-{secrets.token_urlsafe(24)}"
        self._refreshers[token] = Client(identity, lifetime)
        return token

    def add_client(self, client_id: str, client: Client) -> None:
        """Let a client ask for tokens by its credentials."""
        self._clients[client_id] = client

    def revoke(self, token: str) -> None:
        """Refuse an access or refresh token from now on."""
        if token not in self._tokens and token not in self._refreshers:
            raise ValueError("revoke: got an unknown token, allowed is one that was issued here")
        self._revoked.add(token)

    def holder(self, authorization: str | None) -> str | None:
        """Return who holds the token, still valid or not; None if nobody does."""
        token = self._tokens.get(_bearer(authorization) or "")
        return token.identity if token else None

    def check(self, authorization: str | None, now: float) -> None:
        """Raise unless the header carries a valid token."""
        text = _bearer(authorization)
        if text is None:
            raise _unauthorized("authentication_required")
        token = self._tokens.get(text)
        if token is None:
            raise _unauthorized("token_invalid")
        if text in self._revoked:
            raise _unauthorized("token_revoked")
        if token.expires_at is not None and now >= token.expires_at:
            raise _unauthorized("token_expired")

    def grant(self, form: Mapping[str, str], now: float) -> dict[str, object]:
        """Answer a token request (RFC 6749, sections 4.4 and 6)."""
        client = self._client(form)
        lifetime = float(client.lifetime)
        return {
            "access_token": self.issue(client.identity, client.lifetime, now),
            "token_type": "Bearer",
            "expires_in": int(lifetime) if lifetime.is_integer() else lifetime,
        }

    def _client(self, form: Mapping[str, str]) -> Client:
        match form.get("grant_type"):
            case "client_credentials":
                client = self._clients.get(form.get("client_id", ""))
                given = form.get("client_secret", "").encode()
                if client is None or not secrets.compare_digest(client.secret.encode(), given):
                    raise GrantRefused("invalid_client", 401)
                return client
            case "refresh_token":
                refresh = form.get("refresh_token", "")
                if refresh not in self._refreshers or refresh in self._revoked:
                    raise GrantRefused("invalid_grant")
                return self._refreshers[refresh]
            case None:
                raise GrantRefused("invalid_request")
            case _:
                raise GrantRefused("unsupported_grant_type")


def _bearer(authorization: str | None) -> str | None:
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _unauthorized(code: str) -> Refusal:
    return Refusal(code, headers={"WWW-Authenticate": "Bearer"})
