"""What a server says of a retry in words."""

import pytest

from httpx_resilience._core.headers import should_retry

SAID: dict[str, tuple[list[tuple[bytes, bytes]], bool | None]] = {
    "nothing": ([], None),
    "no": ([(b"x-should-retry", b"false")], False),
    "yes": ([(b"x-should-retry", b"true")], True),
    "no, by Stripe": ([(b"Stripe-Should-Retry", b"false")], False),
    "yes, by Stripe": ([(b"stripe-should-retry", b"true")], True),
    "in capitals": ([(b"X-SHOULD-RETRY", b" FALSE ")], False),
    "both": ([(b"x-should-retry", b"true"), (b"x-should-retry", b"false")], False),
    "both, by two": ([(b"stripe-should-retry", b"false"), (b"x-should-retry", b"true")], False),
    "another header": ([(b"x-should-retri", b"false"), (b"should-retry", b"false")], None),
    "no word": ([(b"x-should-retry", b"")], None),
    "another word": ([(b"x-should-retry", b"0"), (b"stripe-should-retry", b"\xff")], None),
}


@pytest.mark.parametrize(("headers", "said"), SAID.values(), ids=SAID)
def test_it_is_yes_or_no_or_nothing(headers: list[tuple[bytes, bytes]], said: bool | None) -> None:
    assert should_retry(headers) is said
