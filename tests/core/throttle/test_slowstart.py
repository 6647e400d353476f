"""Slow start: one scout, then more, until a server shows whether it tells what is left."""

from httpx_resilience._core.throttle.limits.slow_start import SILENT, STEP, SlowStart


def over() -> SlowStart:
    slow = SlowStart()
    for _ in range(SILENT):
        slow.was_silent(success=True)
    return slow


def admitted(slow: SlowStart, now: float) -> int:
    """Return how many may be in flight."""
    return next(n for n in range(100) if not slow.gate(n, now).is_open)


def test_after_three_successes_that_tell_nothing_nobody_is_held_back() -> None:
    slow = over()
    assert slow.is_over
    assert slow.gate(10_000, 0.0).is_open


def test_a_scope_that_was_closed_begins_anew_with_one() -> None:
    slow = over()
    slow.begin(60.0)
    assert not slow.is_over
    assert admitted(slow, 60.0) == 1


def test_what_was_silent_before_a_server_told_what_is_left_counts_no_more() -> None:
    slow = SlowStart()
    for _ in range(SILENT - 1):
        slow.was_silent(success=True)
    slow.told()
    slow.was_silent(success=True)
    assert not slow.is_over
    assert admitted(slow, 0.0) == 2


def test_a_step_is_taken_without_an_answer_from_when_the_first_may_go() -> None:
    slow = SlowStart()
    slow.begin(60.0)
    held = slow.gate(1, 60.5)
    assert (held.is_open, held.retry_at) == (False, 60.0 + STEP)
    assert slow.gate(1, 60.0 + STEP).is_open
