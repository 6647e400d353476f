"""Windows whose end is not announced: their length is learned from the waits of refusals."""

from core.throttle.books import Parts, announce, ending
from httpx_resilience._core.throttle.limits.hidden_resets import HiddenReset
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.windows import INDETERMINATE
from support.gates import REFUSED, after


def refused(opened_at: float = 0.0, reopens_at: float = 20.0) -> HiddenReset:
    """Return what is known after one window that was used up."""
    hidden = HiddenReset()
    for remaining in (9, 5, 0):
        assert hidden.observe(remaining, opened_at + 9.0 - remaining) is None
    hidden.refused(reopens_at)
    return hidden


def test_the_next_window_is_taken_to_last_as_long() -> None:
    hidden = refused()
    assert hidden.observe(9, 21.0) == 41.0
    assert hidden.observe(0, 22.0) == 41.0
    assert hidden.observe(0, 41.0) is None  # it should be over


def test_a_window_opens_when_something_is_left_after_nothing_was() -> None:
    hidden = refused()
    hidden.observe(9, 21.0)
    hidden.observe(0, 30.0)
    assert hidden.observe(9, 42.0) == 62.0


def test_a_longer_window_corrects_one_that_was_begun_in_its_midst() -> None:
    hidden = refused(reopens_at=5.0)
    assert hidden.observe(9, 5.5) == 10.5
    hidden.refused(25.0)
    assert hidden.observe(9, 25.5) == 45.0


def test_a_window_opens_after_a_refusal_though_something_was_said_to_be_left() -> None:
    hidden = HiddenReset()
    hidden.observe(9, 0.0)
    hidden.refused(20.0)
    assert hidden.observe(9, 21.0) == 41.0


def test_a_refusal_before_anything_is_known_teaches_nothing() -> None:
    hidden = HiddenReset()
    hidden.refused(20.0)
    assert hidden.observe(9, 21.0) is None


def test_a_quota_waits_for_the_end_that_it_learned_and_takes_it_for_no_sliding_counter() -> None:
    parts = Parts()
    parts.learn(0.0, announce(1, 0.0, end=None))
    refusal = ending(1.0, failure=after(REFUSED, 19.0), closes=True, is_probe=True)
    parts.quotas.ended(refusal._replace(announced=(announce(0, 1.0, end=None),)))
    (quota,) = parts.learn(20.5, announce(9, 20.5, end=None)).values()
    assert quota.end.nominal == 40.5
    assert isinstance(quota, Quota)
    assert quota.kind == INDETERMINATE
