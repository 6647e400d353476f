"""The vault's endpoints: from a request that passed the limiter to its answer or its refusal."""

import base64
import json
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote_plus

from ._extras import JSONResponse, Request, Response
from ._refusal import Refusal, invalid_field
from ._store import Store, Version
from ._tokens import GrantRefused, Tokens

Clock = Callable[[], float]


class Api:
    """Routes requests; every answer is made without another await once the body is there."""

    def __init__(self, store: Store, tokens: Tokens, clock: Clock, *, anonymous: bool) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock
        self._anonymous = anonymous

    async def answer(self, request: Request, identity: str) -> Response:
        """Return the answer to a request, or raise ``Refusal``."""
        body = await request.body()
        path = request.url.path.removesuffix("/")
        if path == "/v1/auth/token":
            return self._token(request, body)
        self._authenticate(request)
        if path == "/v1/auth/whoami":
            _allow(request, "GET", "HEAD")
            return JSONResponse({"identity": identity})
        if path == "/v1/secrets":
            _allow(request, "GET", "HEAD")
            return self._list(request)
        if path.startswith("/v1/secrets/"):
            return self._secret(request, path.removeprefix("/v1/secrets/"), body)
        raise Refusal("invalid_path", "There is nothing at this path", details={"path": path})

    def _authenticate(self, request: Request) -> None:
        authorization = request.headers.get("authorization")
        if authorization is None and self._anonymous:
            return
        self._tokens.check(authorization, self._clock())

    def _token(self, request: Request, body: bytes) -> Response:
        _allow(request, "POST")
        try:
            granted = self._tokens.grant(_grant_form(request, body), self._clock())
        except GrantRefused as refused:
            return JSONResponse({"error": refused.error}, refused.status)
        return JSONResponse(granted, headers={"Cache-Control": "no-store"})

    def _list(self, request: Request) -> Response:
        found = self._store.current_versions(request.query_params.get("prefix", ""), self._clock())
        return JSONResponse({"secrets": [_head_of(version) for version in found]})

    def _secret(self, request: Request, path: str, body: bytes) -> Response:
        now = self._clock()
        _allow(request, "GET", "HEAD", "PUT", "POST", "DELETE")
        if request.method == "DELETE":
            self._store.delete(path, purge=_flag(request, "purge"), now=now)
            return JSONResponse({"path": path, "deleted": True})
        if request.method in ("GET", "HEAD"):
            found = self._store.read(path, _wanted_version(request), now)
            return JSONResponse({**_head_of(found), "value": found.value}, headers=_etag(found))
        payload = _payload(body)
        if request.method == "POST":
            made = self._store.create(path, payload["value"], now)
        else:
            expected = _expected_version(request, payload)
            force = _flag(request, "force")
            made = self._store.write(
                path, payload["value"], expected=expected, force=force, now=now
            )
        return JSONResponse(_head_of(made), 201 if made.version == 1 else 200, headers=_etag(made))


def _allow(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise Refusal("invalid_request", f"{request.method} is not possible here")


def _head_of(version: Version) -> dict[str, object]:
    return {"path": version.path, "version": version.version}


def _etag(version: Version) -> dict[str, str]:
    return {"ETag": f'"{version.version}"'}


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("1", "true", "yes")


def _payload(body: bytes) -> dict[str, object]:
    try:
        payload = json.loads(body)
        json.dumps(payload, allow_nan=False, ensure_ascii=False).encode()  # can be read back
    except (ValueError, RecursionError):
        raise Refusal("invalid_request", "The body is not JSON") from None
    if not isinstance(payload, dict):
        raise Refusal("invalid_request", "The body is not a JSON object")
    if "value" not in payload:
        raise invalid_field("value", "required")
    return payload


def _wanted_version(request: Request) -> int | None:
    text = request.query_params.get("version")
    return None if text is None else _version_number("version", text)


def _expected_version(request: Request, payload: dict[str, object]) -> int | None:
    """Return the version the writer saw: from ``cas``, or from ``If-Match`` as an entity tag."""
    cas = payload.get("cas")
    if cas is not None:
        if not isinstance(cas, int) or isinstance(cas, bool) or cas < 0:
            raise invalid_field("cas", "must be an integer of at least 0")
        return cas
    tag = request.headers.get("if-match")
    return None if tag is None else _version_number("If-Match", tag.strip().strip('"'))


def _version_number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise invalid_field(name, "must be a version number")
    return int(text)


def _grant_form(request: Request, body: bytes) -> dict[str, str]:
    """Return the token request's fields, with Basic credentials (RFC 6749, 2.3.1) among them."""
    form = dict(parse_qsl(body.decode("utf-8", "replace")))
    scheme, _, packed = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(packed, validate=True).decode().partition(":")
        except ValueError:
            raise GrantRefused("invalid_client", 401) from None
        form |= {"client_id": unquote_plus(user), "client_secret": unquote_plus(password)}
    return form
