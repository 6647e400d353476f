"""APIs without a dialect that ships are data all the same: each is a few lines of TOML.

Each has one error: as public clients of the API quote it in their tests, or the page that is named,
or made after the page's words, and then it says so and proves no more than that it can be written.
"""

import json
from typing import Any, NamedTuple

import pytest

from httpx_resilience import Dialect, Policy, RetryPolicy
from support.core import Answer, play

PATIENT = Policy(retry=RetryPolicy(retry_for=86400.0, max_retry_after=86400.0))


class Api(NamedTuple):
    """What an API's dialect is in TOML, and one of its errors."""

    toml: str
    status: int
    body: Any
    headers: tuple[tuple[bytes, bytes], ...] = ()
    attempts: int = 4
    wait: float = 0.0
    code: str | None = None
    reason: str = "attempts_exhausted"


APIS = {
    # "TotalRequests Limit exceeded.": the text of the REST API's refusal, a list as root; it is
    # that of 24 hours, so not to be tried soon (developer.salesforce.com, "API Request Limits").
    "salesforce": Api(
        """
        [codes]
        REQUEST_LIMIT_EXCEEDED = "permanent"
        [envelope]
        code = "*.errorCode"
        message = "*.message"
        """,
        403,
        [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}],
        attempts=1,
        code="REQUEST_LIMIT_EXCEEDED",
        reason="permanent",
    ),
    # developers.hubspot.com, "API usage guidelines": 429 and its example, 423 after 2 s, 477.
    "hubspot": Api(
        """
        [codes]
        RATE_LIMITS = "rate_limited"
        TEN_SECONDLY_ROLLING = "rate_limited"
        DAILY = "permanent"
        LOCKED = { class = "transient", status = 423, wait = 2.0 }
        [statuses]
        423 = "transient"
        429 = "rate_limited"
        477 = "transient"
        [envelope]
        code = ["policyName", "category"]
        request_id = "correlationId"
        [requests]
        response_id_header = "x-hubspot-correlation-id"
        """,
        429,
        {
            "status": "error",
            "message": "You have reached your daily limit.",
            "errorType": "RATE_LIMIT",
            "correlationId": "c033cdaa-2c40-4a64-ae48-b4cec88dad24",
            "policyName": "DAILY",
        },
        attempts=1,
        code="DAILY",
        reason="permanent",
    ),
    # The body of a 429 as public clients quote it; the seconds are made. Codes are integers.
    "discord": Api(
        """
        [codes]
        20028 = "rate_limited"
        [envelope]
        code = "code"
        wait = "retry_after"
        """,
        429,
        {"message": "You are being rate limited.", "retry_after": 64.57, "global": False},
        wait=64.57,
    ),
    # developer.atlassian.com/cloud/jira/platform/rate-limiting: the reason is in a header.
    "jira": Api(
        """
        [codes]
        jira-burst-based = "rate_limited"
        jira-quota-tenant-based = "permanent"
        [envelope]
        code_headers = "RateLimit-Reason"
        """,
        429,
        None,
        (
            (b"Retry-After", b"1"),
            (b"X-RateLimit-Limit", b"350"),
            (b"X-RateLimit-Remaining", b"0"),
            (b"RateLimit-Reason", b"jira-burst-based"),
        ),
        wait=1.0,
        code="jira-burst-based",
    ),
    # developer.okta.com/docs/reference/error-codes: E0000047.
    "okta": Api(
        """
        [codes]
        E0000047 = "rate_limited"
        [envelope]
        code = "errorCode"
        request_id = "errorId"
        """,
        429,
        {
            "errorCode": "E0000047",
            "errorSummary": "API call exceeded rate limit due to too many requests.",
            "errorLink": "E0000047",
            "errorId": "sampleQPivGUj_ND5v78vbYWW",
            "errorCauses": [],
        },
        code="E0000047",
    ),
    # twilio.com/docs/errors/20429: integer codes; a request was never processed.
    "twilio": Api(
        """
        [codes]
        20429 = "rate_limited"
        [envelope]
        code = "code"
        """,
        429,
        {
            "code": 20429,
            "message": "Too Many Requests",
            "more_info": "https://www.twilio.com/docs/errors/20429",
            "status": 429,
        },
        code="20429",
    ),
    # Made: a Status object, whose details say when to retry (kubernetes.io, "API Concepts").
    "kubernetes": Api(
        """
        [codes]
        TooManyRequests = "rate_limited"
        [envelope]
        code = "reason"
        wait = "details.retryAfterSeconds"
        """,
        429,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": "TooManyRequests",
            "details": {"retryAfterSeconds": 3},
            "code": 429,
        },
        wait=3.0,
        code="TooManyRequests",
    ),
}


@pytest.mark.parametrize("name", APIS)
def test_an_api_is_a_few_lines_of_toml(name: str) -> None:
    api = APIS[name]
    dialect = Dialect.from_toml(f'name = "{name}"\n{api.toml}')
    body = b"" if api.body is None else json.dumps(api.body).encode()
    played = play(Answer(api.status, body, api.headers), dialect=dialect, policy=PATIENT)
    assert (played.attempts, played.done.reason) == (api.attempts, api.reason)
    assert all(gap >= api.wait for gap in played.gaps)
    assert played.gave_up.code == api.code
