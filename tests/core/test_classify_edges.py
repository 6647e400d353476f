"""What kind of failure an attempt is: headers without a Date, dialects that name no header."""

from httpx_resilience import Dialect, RequestRules
from httpx_resilience._core.dialect.classify import classify, request_id_of
from httpx_resilience._core.headers import RateLimitReader, Wait
from httpx_resilience._core.outcome import Outcome

WALL = 1.7e9
PLAIN = Dialect(name="plain", requests=RequestRules(request_id_header=None))


def test_a_reset_in_epoch_seconds_without_a_date_counts_from_the_clients_own_wall_clock() -> None:
    headers = [
        (b"X-RateLimit-Limit", b"10"),
        (b"X-RateLimit-Remaining", b"0"),
        (b"X-RateLimit-Reset", b"1700000030"),
    ]
    outcome = Outcome(0.0, 0.1, 0.2, WALL, status=429, headers=headers)
    found = classify(outcome, PLAIN, RateLimitReader())
    assert found is not None
    assert found.wait == Wait(30.0, "rate_limit_reset")


def test_the_usual_header_of_a_request_id_is_read_where_the_dialect_names_none() -> None:
    assert request_id_of([(b"Date", b"x"), (b"x-request-ID", b"req-1")], PLAIN) == "req-1"
    assert request_id_of([(b"X-Request-Idx", b"req-1")], PLAIN) is None


def test_an_id_has_a_hundred_and_twenty_eight_characters_at_the_most() -> None:
    for size, told in ((128, "x" * 128), (129, "invalid"), (10_000, "invalid")):
        assert request_id_of([(b"X-Request-ID", b"x" * size)], PLAIN) == told
