"""Where httpx keeps something otherwise than it always has, the public way comes to the same."""

import httpx
import pytest

from httpx_resilience import SCAIVAULT
from httpx_resilience._http import fast
from httpx_resilience._http.fast import split_url
from httpx_resilience._http.requests import RequestHeaderReader, new_call, prepare
from httpx_resilience._http.with_httpx import ASYNC

HEADERS = [("Authorization", "Bearer t"), ("X-Api-Key", "k"), ("Accept", "*/*"), ("accept", "a/b")]


def go_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "HAS_HEADER_LIST", False)
    monkeypatch.setattr(fast, "HAS_URL_PARTS", False)


def test_the_httpx_at_hand_keeps_them_as_it_always_has() -> None:
    assert fast.HAS_HEADER_LIST
    assert fast.HAS_URL_PARTS


@pytest.mark.parametrize(
    "url",
    [
        "https://vault.example",
        "https://vault.example:443/v1/a?q=1",
        "http://user:pw@vault.example:8080/v1/a%20b?x=/y#z",
        "https://[::1]:8443/v1/ä",
        "https://müller.example/?",
    ],
)
def test_the_origin_and_the_path_of_a_url_are_the_same(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = split_url(httpx.URL(url))
    go_public(monkeypatch)
    assert split_url(httpx.URL(url)) == quick


def test_the_request_that_is_sent_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    request = httpx.Request("GET", "https://vault.example/v1/a", headers=HEADERS)
    before = request.headers.raw

    def sent() -> tuple[object, list[tuple[bytes, bytes]]]:
        seen = RequestHeaderReader(SCAIVAULT)(request)
        call = new_call(request, "/v1/a", "https://vault.example", SCAIVAULT, 0, None, seen)
        made, _ = prepare(ASYNC, request, call._replace(call_id="c1"), SCAIVAULT, seen)
        return tuple(seen), made.headers.raw

    quick = sent()
    go_public(monkeypatch)
    assert sent() == quick
    assert quick[0] == (b"Bearer t", b"k", False, False)
    assert quick[1] == [*before, (b"X-Request-ID", b"c1")]
    assert request.headers.raw == before
