"""The same script gives the same events, delays and results, whatever the client is made of."""

import pytest

from httpx_resilience import (
    Backoff,
    BudgetPolicy,
    Dialect,
    Envelope,
    ErrorClass,
    ErrorSpec,
    MessageRule,
    ParkPolicy,
    Policy,
    RequestRules,
    RetryPolicy,
    ThrottlePolicy,
)
from support.clients import STEADY
from support.parity import KINDS, LIBRARIES, Play, play
from support.scripted import OK, UNAVAILABLE, Reply, coded

LIMITED = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4"}
LOW = {**LIMITED, "X-RateLimit-Remaining": "3"}
SLOW = UNAVAILABLE._replace(takes=0.5)
TWO = (("GET", "/v1/secrets/a"), ("GET", "/v1/secrets/a"))
QUICK = Backoff(initial=0.01, jitter="none")
REFUSED = Reply(429, headers=(("Retry-After", "2"),))

CHAT = Dialect(
    name="chat",
    codes={
        "busy": ErrorSpec(code="busy", error_class=ErrorClass.TRANSIENT),
        "slow_down": ErrorSpec(code="slow_down", error_class=ErrorClass.RATE_LIMITED, wait=7.0),
    },
    statuses_that_wait={403: ErrorClass.RATE_LIMITED},
    envelope=Envelope(
        code=(("error",),),
        code_headers=("X-Code",),
        messages=(MessageRule(contains="slow down", code="slow_down"),),
        errors_in_success=True,
    ),
)
IN_SUCCESS = Reply(200, (b'{"error": "busy"}',), (("Content-Type", "application/json"),))

PLAYS: dict[str, Play] = {
    "well at once": Play((OK,)),
    "well at the third attempt": Play((UNAVAILABLE, UNAVAILABLE, OK)),
    "never well": Play((UNAVAILABLE,)),
    "never well, and slow": Play((SLOW,), policy=Policy(retry=STEADY)),
    "five calls in an outage": Play((UNAVAILABLE,), calls=5 * (("GET", "/v1/secrets/a"),)),
    "a short outage": Play((*(4 * ("ConnectError",)), OK), calls=3 * TWO),
    "without parking": Play((*(4 * ("ConnectError",)), OK), TWO, policy=Policy(park=None)),
    "little patience": Play((UNAVAILABLE,), 3 * TWO, policy=Policy(park=ParkPolicy(patience=0.5))),
    "no budget": Play((UNAVAILABLE, OK), policy=Policy(budget=None)),
    "a budget that ends": Play(
        (UNAVAILABLE,), 4 * TWO, policy=Policy(park=None, budget=BudgetPolicy(floor=1.0))
    ),
    "a refusal": Play((REFUSED, OK), calls=TWO),
    "a refusal by its code": Play((coded(429, "rate_limited"), OK), calls=TWO),
    "a refusal for too long": Play((REFUSED._replace(headers=(("Retry-After", "9999"),)), OK)),
    "a window that is empty": Play((Reply(200, headers=tuple(LIMITED.items())), OK), calls=TWO),
    "a window that empties": Play((Reply(200, headers=tuple(LOW.items())), OK), calls=5 * TWO),
    "a window for which nobody waits": Play(
        (Reply(200, headers=tuple(LIMITED.items())), OK),
        calls=TWO,
        policy=Policy(throttle=ThrottlePolicy(max_wait=1.0)),
    ),
    "no throttle": Play(
        (Reply(200, headers=tuple(LIMITED.items())), REFUSED, OK),
        calls=TWO,
        policy=Policy(throttle=None),
    ),
    "a final error": Play((coded(404, "secret_not_found"),)),
    "an unknown code": Play((coded(400, "unheard_of"),)),
    "a POST that may have been applied": Play(("ReadError", OK), calls=(("POST", "/v1/x"),)),
    "a POST that was never sent": Play(("ConnectError", OK), calls=(("POST", "/v1/x"),)),
    "a POST that is repeated all the same": Play(
        ("ReadTimeout", OK),
        calls=(("POST", "/v1/x"),),
        policy=Policy(retry=RetryPolicy(retry_non_idempotent=True)),
    ),
    "an exception of another kind": Play(("UnsupportedProtocol", OK)),
    "exceptions of all kinds": Play(
        ("ConnectTimeout", "ReadError", "WriteError", "CloseError", "RemoteProtocolError", OK),
        policy=Policy(retry=RetryPolicy(max_attempts=9)),
    ),
    "no time": Play((SLOW,), policy=Policy(retry=RetryPolicy(retry_for=1.0))),
    "a hook": Play(
        (coded(409, "version_conflict"), OK), hooks={"version_conflict": "/v1/secrets/other"}
    ),
    "a hook that stops": Play(
        (coded(409, "version_conflict"), OK), hooks={"version_conflict": None}
    ),
    "a hook that goes astray": Play(
        (coded(409, "version_conflict"), OK), hooks={"version_conflict": "https://other.example/"}
    ),
    "a policy of its own": Play(
        (UNAVAILABLE, OK), extensions={"resilience": Policy(retry=RetryPolicy(max_attempts=1))}
    ),
    "a policy of none": Play((UNAVAILABLE, OK), extensions={"resilience": None}),
    "another policy in place": Play(
        (UNAVAILABLE, coded(500, "internal_error"), OK),
        policy=Policy(retry=RetryPolicy(backoff={ErrorClass.TRANSIENT: QUICK})),
    ),
    "an error in a success": Play((IN_SUCCESS, OK), calls=TWO, dialect=CHAT),
    "a final error in a success": Play((IN_SUCCESS,), dialect=CHAT),
    "a code in a header": Play((Reply(400, headers=(("X-Code", "busy"),)), OK), dialect=CHAT),
    "a code by words": Play((Reply(403, (b"Slow down!",)), OK), dialect=CHAT),
    "a status that waits": Play(
        (Reply(403, headers=(("Retry-After", "3"),)), OK), calls=TWO, dialect=CHAT
    ),
    "a veto": Play((UNAVAILABLE, Reply(503, headers=(("x-should-retry", "false"),))), calls=TWO),
    "a server that asks for more": Play((Reply(409, headers=(("x-should-retry", "true"),)), OK)),
    "a POST of an API that lets it be repeated": Play(
        (Reply(503), "ReadError", OK),
        calls=(("POST", "/v1/x"),),
        dialect=Dialect(name="llm", requests=RequestRules(post_is_repeatable=True)),
    ),
    "a body that says little": Play((Reply(502, (b"<html>",)), OK)),
}
"""Every way in which a call goes on or ends, but those that a thread cannot go: being cut."""


@pytest.mark.parametrize("name", PLAYS)
def test_one_script_comes_to_the_same_everywhere(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = play("httpx", "asyncio", PLAYS[name], monkeypatch)
    assert expected.events
    assert len(expected.ends) == len(PLAYS[name].calls)
    for library in LIBRARIES:
        for kind in KINDS:
            with monkeypatch.context() as patched:
                found = play(library, kind, PLAYS[name], patched)
            assert found.ends == expected.ends, (library, kind)
            assert found.gaps == expected.gaps, (library, kind)
            assert found.events == expected.events, (library, kind)


def test_the_scripts_meet_every_kind_of_event(monkeypatch: pytest.MonkeyPatch) -> None:
    met = {
        name
        for what in PLAYS.values()
        for name, _ in play("httpx2", "asyncio", what, monkeypatch).events
    }
    assert {
        *("attempt_finished", "attempt_started", "call_finished", "call_started", "gave_up"),
        *("origin_recovered", "origin_unavailable", "rate_limit_observed", "recovered"),
        *("recovery_hook", "retry_parked", "retry_scheduled", "throttle_delayed"),
    } <= met
