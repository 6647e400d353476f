"""What kind of window a server keeps, and when it ends: what shows it, and what does not."""

import math
from typing import Any

import pytest

from core.throttle.books import FINE
from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle.limits.window_estimate import WindowEstimate
from httpx_resilience._core.throttle.limits.windows import (
    BUCKET,
    FIXED,
    INDETERMINATE,
    LOG,
    LONGEST,
    SLIDING_COUNTER,
    UNKNOWN,
    ResetInterval,
)

EPOCH = 1.7e9


# When it ends.


def read(
    window: WindowEstimate,
    reset_in: float | None,
    sent: float = 100.0,
    received: float = 100.4,
    *,
    remaining: int = 0,
    granularity: float = 1.0,
    reset_at: float | None = None,
    clock: ServerClock | None = None,
    unit_time: float = 0.0,
) -> ResetInterval:
    announced = RateLimit(10, remaining, reset_in, reset_at, granularity)
    return window.read_reset(announced, sent, received, clock or ServerClock(), unit_time)


def test_a_reset_in_seconds_from_now_is_counted_from_between_the_send_and_the_receipt() -> None:
    reset = read(WindowEstimate(), 30.0)
    assert reset == pytest.approx((130.2, 129.0, 130.2, 131.4, 1.4))


def test_a_reset_in_epoch_seconds_is_as_exact_as_the_servers_clock_is_known() -> None:
    clock = ServerClock()
    clock.observe(EPOCH, 100.0, 100.2)
    reset = read(WindowEstimate(), 30.0, 100.0, 100.2, reset_at=EPOCH + 30, clock=clock)
    # Dated as late as 0.999 s before; most likely in the middle of what is possible.
    assert reset[:2] == pytest.approx((EPOCH + 30, 128.0))
    assert reset[2:] == pytest.approx((129.6, 131.2, 0.0))


@pytest.mark.parametrize(("reset_in", "nominal"), [(30.0, 103.4), (2.0, 102.4), (0.0, 100.4)])
def test_a_reset_by_a_clock_that_is_unknown_is_not_waited_for_long(
    reset_in: float, nominal: float
) -> None:
    reset = read(WindowEstimate(), reset_in, reset_at=EPOCH + 30)
    assert reset == pytest.approx((EPOCH + 30, 100.4, nominal, nominal + 1.0, 0.0))


@pytest.mark.parametrize(("grains", "finest"), [((0.1, 1.0), 0.1), ((1.0, 0.1), 0.1)])
def test_a_server_that_writes_fractions_writes_them_always(
    grains: tuple[float, float], finest: float
) -> None:
    window = WindowEstimate()
    found = [read(window, 30.0, 100.0, 100.0, granularity=granularity) for granularity in grains]
    assert found[-1][1:4:2] == pytest.approx((130.0 - finest, 130.0 + finest))


def gap(window: WindowEstimate, remaining: int = 0, unit_time: float = 0.0) -> float:
    """Return after how many seconds a server is probed that announces no reset."""
    reset = read(window, None, remaining=remaining, unit_time=unit_time)
    assert reset.key == reset.low == reset.nominal == reset.high
    assert reset.slack == pytest.approx(reset.high - 100.4)
    return reset.slack


def test_an_unknown_reset_is_probed_ever_more_rarely_up_to_a_minute() -> None:
    window = WindowEstimate()
    assert [gap(window) for _ in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert [gap(window, remaining=5), gap(window)] == [1.0, 2.0]  # begun anew
    read(window, 30.0)
    assert gap(window) == 1.0


def test_an_unknown_reset_is_not_probed_before_a_unit_may_be_back() -> None:
    window = WindowEstimate()
    assert [gap(window, unit_time=6.0) for _ in range(3)] == [6.0, 12.0, 24.0]
    assert gap(window, unit_time=90.0) == 90.0


@pytest.mark.parametrize(
    ("reset_in", "expected"),
    [
        (1e9, (LONGEST, LONGEST, LONGEST)),
        (LONGEST, (LONGEST - 1.0, LONGEST, LONGEST)),
        (LONGEST - 1.0, (LONGEST - 2.0, LONGEST - 1.0, LONGEST)),
    ],
)
def test_a_reset_after_more_than_a_day_is_one_after_a_day(
    reset_in: float, expected: tuple[float, float, float]
) -> None:
    reset = read(WindowEstimate(), reset_in, 100.0, 100.0)
    assert reset[1:4] == pytest.approx([100.0 + each for each in expected])
    assert reset.key == 100.0 + reset_in  # which tells it from others all the same


# What kind it is.


class Windows:
    """A window's estimate, that learns of responses whose resets are known to a millisecond."""

    def __init__(self, *responses: tuple[int, float, float], **more: Any) -> None:
        self.estimate = WindowEstimate()
        self.end_low = math.inf
        for response in responses:
            self.learn(*response, **more)

    def learn(
        self,
        remaining: int,
        at: float,
        end: float,
        *,
        limit: int | None = 100,
        outstanding: int = 0,
        is_late: bool = False,
        slack: float = FINE,
    ) -> bool:
        reset = ResetInterval(end, end - FINE, end, end + FINE, slack)
        end_low, self.end_low = self.end_low, reset.low
        return self.estimate.learn(
            remaining,
            reset,
            at,
            limit=limit,
            outstanding=outstanding,
            end_low=end_low,
            is_late=is_late,
        )

    def spend(self, index: int, limit: int = 100) -> str:
        """Spend a fixed window of a minute; return what it is taken for then."""
        start = 60.0 * index
        self.learn(limit - 1, start + 0.1, start + 60.0, limit=limit)
        self.learn(0, start + 20.0, start + 60.0, limit=limit)
        return self.estimate.kind


FIRST = (99, 0.0, 60.0)


@pytest.mark.parametrize(
    ("remaining", "at", "end", "more", "kind", "is_fixed"),
    [
        (99, 60.1, 120.0, {}, UNKNOWN, True),  # everything came back
        (98, 60.1, 120.0, {}, SLIDING_COUNTER, False),
        (96, 60.1, 120.0, {"outstanding": 3}, UNKNOWN, True),  # those may be counted already
        (95, 60.1, 120.0, {"outstanding": 3}, SLIDING_COUNTER, False),
        (99, 60.1, 120.0, {"outstanding": 49}, UNKNOWN, True),
        (99, 60.1, 120.0, {"outstanding": 50}, UNKNOWN, False),  # too many to tell by
        (0, 60.1, 120.0, {"limit": 2, "outstanding": 1}, UNKNOWN, False),
        (0, 60.1, 61.0, {}, LOG, False),
        (0, 60.1, 90.0, {}, LOG, False),  # moved by half of the window
        (0, 60.1, 90.1, {}, SLIDING_COUNTER, False),
        (0, 60.1, 60.0 + FINE, {}, UNKNOWN, False),  # the same reset, as exact as it is
        (0, 60.1, 60.0 + 1.1 * FINE, {}, LOG, False),
        (49, 10.0, 70.0, {}, INDETERMINATE, False),  # before it could be over
        (99, 60.0 - FINE, 120.0, {}, UNKNOWN, True),  # at the earliest
        (0, 60.1, 120.0, {"limit": None}, UNKNOWN, False),
    ],
)
def test_the_first_response_with_a_later_reset_shows_what_kind_of_window_it_was(
    remaining: int, at: float, end: float, more: dict[str, Any], kind: str, is_fixed: bool
) -> None:
    windows = Windows(FIRST)
    assert windows.learn(remaining, at, end, **more) is is_fixed
    assert windows.estimate.kind == kind


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_two_windows_that_give_back_everything_are_fixed(limit: int) -> None:
    windows = Windows()
    found = [windows.spend(index, limit) for index in range(4)]
    assert found == [UNKNOWN, UNKNOWN, FIXED, FIXED]


@pytest.mark.parametrize(
    ("at", "remaining", "end", "kind"),
    [(80.5, 50, 180.0, INDETERMINATE), (120.1, 0, 121.0, LOG), (120.1, 1, 180.0, SLIDING_COUNTER)],
)
def test_what_no_fixed_window_does_takes_two_windows_again(
    at: float, remaining: int, end: float, kind: str
) -> None:
    windows = Windows((99, 0.1, 60.0))
    windows.spend(1)  # one that gave back everything
    windows.learn(remaining, at, end)
    assert windows.estimate.kind == kind
    assert [windows.spend(index) == FIXED for index in (4, 5)] == [False, True]


@pytest.mark.parametrize("kind", [INDETERMINATE, SLIDING_COUNTER])
@pytest.mark.parametrize(("limit", "is_found"), [(1, False), (2, True), (100, True)])
def test_a_fixed_window_is_found_again_after_a_refusal(
    kind: str, limit: int, is_found: bool
) -> None:
    windows = Windows()
    for index in range(2):
        windows.spend(index, limit)
    windows.estimate.distrust(kind)
    windows.end_low = math.inf
    found = [windows.spend(index, limit) for index in range(2, 5)]
    fixed = FIXED if is_found or kind == INDETERMINATE else kind  # a counter of one looks alike
    assert found == [kind, kind, fixed]


def test_a_changed_limit_is_learned_anew() -> None:
    windows = Windows()
    for index in range(3):
        windows.spend(index)
    windows.estimate.forget()
    assert (windows.estimate.kind, windows.estimate.span) == (UNKNOWN, 0.0)
    assert [windows.spend(index, 50) for index in (3, 4)] == [UNKNOWN, FIXED]


def test_a_bucket_has_no_windows_to_judge_by() -> None:
    windows = Windows(FIRST)
    windows.estimate.kind = BUCKET
    assert not windows.learn(0, 60.1, 61.0)
    assert windows.estimate.kind == BUCKET


def test_responses_that_announce_the_old_reset_when_it_may_be_over_are_in_the_new_window() -> None:
    windows = Windows((50, 0.0, 60.0), *[(50, 60.0 - FINE, 60.0)] * 3)
    assert windows.learn(96, 60.1, 120.0)
    assert windows.learn(99, 120.1, 180.0)  # and are not counted again
    assert windows.estimate.kind == FIXED


# Which window it is.


@pytest.mark.parametrize(
    ("at", "end", "more", "first_received"),
    [
        (5.0, 60.0, {}, 0.0),
        (5.0, 60.0 - FINE, {}, 0.0),  # the same, as exact as it is
        (5.0, 30.0, {}, 5.0),
        (5.0, 30.0, {"is_late": True}, 0.0),  # an old one
        (60.1, 120.0, {}, 60.1),
        (60.1, 120.0, {"is_late": True}, 60.1),
        (60.1, 62.0, {"slack": 2.0}, 0.0),
        (60.1, 62.1, {"slack": 2.0}, 60.1),
    ],
)
def test_a_window_begins_with_its_first_response(
    at: float, end: float, more: dict[str, Any], first_received: float
) -> None:
    windows = Windows(FIRST)
    assert windows.estimate.first_received == 0.0
    windows.learn(50, at, end, **more)
    assert windows.estimate.first_received == first_received


def test_the_first_response_shows_nothing_of_the_window_before() -> None:
    windows = Windows()
    found = (windows.estimate.kind, windows.estimate.span, windows.estimate.first_received)
    assert found == (UNKNOWN, 0.0, math.inf)
    assert not windows.learn(*FIRST)


def test_a_window_that_is_found_to_end_earlier_is_judged_by_that_end() -> None:
    windows = Windows((50, 0.0, 60.0), (49, 5.0, 30.0))
    assert windows.learn(99, 30.1, 90.0)
    assert windows.learn(99, 90.1, 150.0)
    assert windows.estimate.kind == FIXED


def test_a_window_is_as_long_as_the_longest_time_to_a_reset() -> None:
    windows = Windows((50, 10.0, 60.0))
    found = []
    for at, end in ((20.0, 60.0), (60.1, 120.0), (120.0, 180.0)):
        windows.learn(50, at, end)
        found.append(windows.estimate.span)
    assert found == pytest.approx([50.0, 59.9, 60.0])
