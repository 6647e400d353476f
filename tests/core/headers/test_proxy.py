"""Whether a refusal is certainly a proxy's own."""

import pytest

from httpx_resilience._core.headers import is_by_proxy

STATED = b"Proxy-Status"
CERTAIN: dict[str, tuple[int, list[tuple[bytes, bytes]]]] = {
    "407": (407, []),
    "a challenge of a proxy": (503, [(b"Proxy-Authenticate", b"Basic")]),
    "an error of a proxy": (503, [(STATED, b"squid.example; error=connection_refused")]),
    "of one of several": (429, [(STATED, b"a; received-status=200, b; error=http_request_denied")]),
    "in two headers": (503, [(STATED, b"a"), (b"proxy-STATUS", b"b;error=dns_timeout;rcode=x")]),
    "of a quoted proxy": (429, [(STATED, b'"a, b; c"; ERROR=proxy_internal_error')]),
}
UNCERTAIN: dict[str, tuple[int, list[tuple[bytes, bytes]]]] = {
    "nothing": (503, []),
    "a proxy on the way": (429, [(b"Via", b"1.1 squid.example (squid/6.1)")]),
    "a server that is one": (503, [(b"Server", b"cloudflare"), (b"CF-Ray", b"1-FRA")]),
    "a page": (503, [(b"Content-Type", b"text/html")]),
    "a proxy that found no error": (503, [(STATED, b"a; next-hop=b.example")]),
    "the error of a response": (
        503,
        [(STATED, b"a; error=dns_error; received-status=503")],
    ),
    "an error of no name": (503, [(STATED, b"a; error=")]),
    "an error in quotes": (503, [(STATED, b'"a; error=x"; details="error=y"')]),
    "a success": (200, [(STATED, b"a; error=x")]),
    "another status": (502, [(STATED, b"a; error=connection_refused")]),
    "bytes": (503, [(STATED, b"\xff\x00;=,;;,=")]),
    "endless": (503, [(STATED, b"a" * 100_000 + b"; error=x")]),
}


@pytest.mark.parametrize(("status", "headers"), CERTAIN.values(), ids=CERTAIN)
def test_what_only_a_proxy_says_is_a_proxys(
    status: int, headers: list[tuple[bytes, bytes]]
) -> None:
    assert is_by_proxy(status, headers)


@pytest.mark.parametrize(("status", "headers"), UNCERTAIN.values(), ids=UNCERTAIN)
def test_what_the_api_may_have_said_is_not(status: int, headers: list[tuple[bytes, bytes]]) -> None:
    assert not is_by_proxy(status, headers)
