"""What always holds of a decision, whatever failed."""

from hypothesis import given
from hypothesis import strategies as st

from httpx_resilience import ErrorClass, RetryPolicy
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.headers import Wait
from httpx_resilience._core.retry.decision import MINIMAL_ATTEMPT, REASONS, Facts, Retry, decide

waits = st.none() | st.builds(
    Wait, st.floats(0, allow_nan=False), st.sampled_from(["retry_after", "error_body"])
)
failures = st.builds(
    lambda **fields: Failure(**fields),  # Hypothesis would also invent the fields left out
    error_class=st.sampled_from(list(ErrorClass)),
    status=st.none() | st.just(200) | st.integers(400, 599),
    coded=st.booleans(),
    never_sent=st.booleans(),
    perhaps_processed=st.booleans(),
    wait=waits,
    ruled=st.booleans(),
    should_retry=st.none() | st.booleans(),
    by_proxy=st.booleans(),
)
facts = st.builds(
    lambda **fields: Facts(**fields),
    attempt=st.integers(1, 10),
    of_class=st.integers(1, 10),
    now=st.floats(0, 1e6),
    give_up_at=st.floats(0, 1e6),
    repeatable=st.booleans(),
    replayable=st.booleans(),
    has_hook=st.booleans(),
)
retries = st.builds(
    lambda **fields: RetryPolicy(**fields),
    max_attempts=st.integers(1, 10),
    max_retry_after=st.floats(0, 1e4),
    retry_non_idempotent=st.booleans(),
)
chances = st.floats(0, 1, exclude_max=True)


@given(failures, facts, retries, chances)
def test_a_retry_is_made_only_where_all_allow_it(
    failure: Failure, fact: Facts, retry: RetryPolicy, rand: float
) -> None:
    decision = decide(failure, fact, retry, rand)
    if not isinstance(decision, Retry):
        assert decision.reason in REASONS
        return
    assert fact.has_hook or failure.error_class not in (ErrorClass.PERMANENT, ErrorClass.CONFLICT)
    assert fact.has_hook or failure.ruled or failure.should_retry is not False
    assert fact.attempt < retry.max_attempts
    assert fact.replayable or fact.has_hook
    assert decision.delay > 0
    assert decision.cost >= 0
    assert fact.now + decision.delay + MINIMAL_ATTEMPT <= fact.give_up_at


@given(failures, facts, retries, chances)
def test_no_retry_comes_before_the_server_wants_it(
    failure: Failure, fact: Facts, retry: RetryPolicy, rand: float
) -> None:
    decision = decide(failure, fact, retry, rand)
    if isinstance(decision, Retry) and failure.wait is not None and failure.wait.seconds > 0:
        assert failure.wait.seconds <= decision.delay
        assert failure.wait.seconds <= retry.max_retry_after


@given(failures, facts, retries, chances)
def test_what_may_have_been_done_is_not_done_again_blindly(
    failure: Failure, fact: Facts, retry: RetryPolicy, rand: float
) -> None:
    refused = failure.status == 429 or failure.error_class is ErrorClass.RATE_LIMITED
    safe = fact.repeatable or failure.coded or failure.never_sent or refused
    assert safe or not isinstance(decide(failure, fact, retry, rand), Retry)
