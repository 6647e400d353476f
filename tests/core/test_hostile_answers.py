"""Answers made to cost: bounded by what is looked at, whatever they hold."""

import httpx
import pytest

from httpx_resilience import SCAIVAULT
from httpx_resilience._core.dialect.envelope import MAX_NESTED, read_error
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.headers.roles import MAX_NAMES
from httpx_resilience._http.bodies import MAX_ENCODINGS, OneShotStream, decode
from support.encodings import ENCODERS

BODY = b'{"error": {"code": "busy"}}'


def listed(nested: int) -> bytes:
    """A body of ``nested`` objects and lists in all."""
    return b'{"error": {"code": "busy"}, "x": [' + b", ".join([b"[]"] * (nested - 3)) + b"]}"


def test_a_body_may_hold_ten_thousand_objects_and_lists_and_no_more() -> None:
    assert read_error(listed(MAX_NESTED), SCAIVAULT) is not None
    assert read_error(listed(MAX_NESTED + 1), SCAIVAULT) is None


def test_brackets_within_a_string_with_escapes_are_no_nesting() -> None:
    string = b'"' + b'\\"[\\\\{' * 500 + b'"'
    assert read_error(BODY[:-1] + b', "x": ' + string + b"}", SCAIVAULT) is not None


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_five_encodings_upon_each_other_are_decoded_and_no_more(name: str) -> None:
    header, encode = ENCODERS[name]
    body = BODY
    for _ in range(MAX_ENCODINGS):
        body = encode(body)
    assert decode(body, ", ".join([header] * MAX_ENCODINGS)) == BODY
    assert decode(encode(body), ", ".join([header] * (MAX_ENCODINGS + 1))) == b""


def test_of_one_response_no_more_than_two_thousand_new_header_names_are_looked_up() -> None:
    reader = RateLimitReader()
    flood = [(b"X-RateLimit-Limit-%d" % number, b"1") for number in range(5 * MAX_NAMES)]
    reader.read(flood, wall=0.0)
    assert len(reader._roles) == 2 * MAX_NAMES
    limits = reader.read([(b"X-RateLimit-Limit", b"7")], wall=0.0).limits
    assert [limit.limit for limit in limits] == [7]


def test_a_one_shot_body_is_not_begun_twice() -> None:
    """Read again, a file at its end would be sent as an empty body."""
    stream = OneShotStream(httpx.AsyncByteStream())
    aiter(stream)
    assert not stream.is_replayable()
    with pytest.raises(httpx.WriteError):
        aiter(stream)
