"""TOML can say all that the shipped dialects say."""

import pytest

from httpx_resilience import GITHUB, SLACK, Dialect, dialects
from support.dialects import toml_of

SHIPPED = [name for name in dialects.__all__ if name != "SCAIVAULT"]
"""SCAIVAULT finds its rate-limit categories with a function."""


@pytest.mark.parametrize("name", SHIPPED)
def test_a_dialect_that_ships_can_be_written_as_toml_and_is_the_same_again(name: str) -> None:
    dialect = getattr(dialects, name)
    assert Dialect.from_toml(toml_of(dialect)) == dialect


GITHUB_BY_HAND = """
name = "github"

[statuses]
408 = "transient"
429 = "rate_limited"
500 = "internal"
502 = "transient"
503 = "transient"
504 = "transient"

[statuses_that_wait]
403 = "rate_limited"

[codes.rate_limit_exceeded]
class = "rate_limited"
category = "Rate limit"
meaning = "The requests of the hour are spent."
advice = "Authenticate, use conditional requests, or spread the calls."

[codes.secondary_rate_limit]
class = "rate_limited"
wait = 60.0
category = "Rate limit"
meaning = "Too many requests at once, or too many of a dear kind."
advice = "Make fewer requests at a time; leave a second between those that write."

[codes.abuse_detection]
class = "rate_limited"
wait = 60.0
category = "Rate limit"
meaning = "Too many requests at once, or too many of a dear kind."
advice = "Make fewer requests at a time; leave a second between those that write."

[envelope]
code = []
message = "message"
details = []
request_id = []

[[envelope.messages]]
contains = "secondary rate limit"
code = "secondary_rate_limit"
statuses = [403, 429]

[[envelope.messages]]
contains = "abuse detection"
code = "abuse_detection"
statuses = [403, 429]

[[envelope.messages]]
contains = "API rate limit exceeded"
code = "rate_limit_exceeded"
statuses = [403, 429]

[requests]
response_id_header = "x-github-request-id"
"""

SLACK_BY_HAND = """
name = "slack"

[codes.ratelimited]
class = "rate_limited"
status = 429
category = "Rate limit / availability"
meaning = "The method was called too often in this workspace."
advice = "Spread the calls; each method has a limit of its own."

[codes.rate_limited]
class = "rate_limited"
status = 429
category = "Rate limit / availability"
meaning = "Too many messages to one webhook."
advice = "Send at most one message a second."

[codes.internal_error]
class = "permanent"
category = "Rate limit / availability"
meaning = "Something went wrong at Slack, perhaps after a part was done."
advice = "Look whether it was done, then send it again by hand."

[codes.fatal_error]
class = "permanent"
category = "Rate limit / availability"
meaning = "Something went badly wrong at Slack, perhaps after a part was done."
advice = "Look whether it was done, then send it again by hand."

[envelope]
code = "error"
message = "error"
details = "response_metadata"
request_id = []
wait = "retry_after"
errors_in_success = true

[requests]
response_id_header = "x-slack-req-id"
"""


@pytest.mark.parametrize(
    ("text", "dialect"), [(GITHUB_BY_HAND, GITHUB), (SLACK_BY_HAND, SLACK)], ids=["github", "slack"]
)
def test_a_dialect_written_by_hand_in_toml_is_the_one_that_ships(
    text: str, dialect: Dialect
) -> None:
    assert Dialect.from_toml(text) == dialect
