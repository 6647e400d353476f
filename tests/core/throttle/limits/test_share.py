"""What others spend of a budget is seen, and left to them beyond our own part."""

import math

import pytest

from core.throttle.books import ask, held_until, observe
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.share import Share
from httpx_resilience._core.throttle.limits.windows import BUCKET, ResetInterval, WindowEnd

SPAN = 100.0


class Window:
    """Windows of a hundred units and a hundred seconds, as one client sees them."""

    def __init__(self, cost: int = 1) -> None:
        self.share = Share()
        self.share.started(cost)
        self.cost = cost
        self.began_at, self.ends_at = -math.inf, 0.0
        self.answered = self.left = 0

    def begin(self, at: float, *, left: int = 100, ends_at: float | None = None) -> "Window":
        self.began_at, self.left = at, left
        self.ends_at = at + SPAN if ends_at is None else ends_at
        return self.answer(at)

    def answer(
        self, at: float, *, others: int = 0, outstanding: int = 0, least: int = 100
    ) -> "Window":
        """Have one of ours answered, after others have spent so much."""
        self.left -= others + self.cost
        self.answered += 1
        end = self.ends_at
        self.share.observe(
            self.began_at,
            100,
            self.left,
            min(least, self.left),
            ResetInterval(end, end, end, end, 0.0),
            at,
            self.answered,
            outstanding,
            SPAN,
        )
        return self

    def open_at(self, left: int, *, ours: int = 100, end: WindowEnd | None = None) -> float:
        ends_at = self.ends_at
        end = WindowEnd(ends_at, ends_at, ends_at) if end is None else end
        return self.share.open_at(ours, left, 100, end, SPAN)


def shared() -> Window:
    """A window in which others spent 25 units in 50 seconds."""
    return Window().begin(0.0).answer(50.0, others=25)


# What others spend.


@pytest.mark.parametrize("cost", [1, 3])
def test_nobody_else_is_seen_where_nobody_else_spends(cost: int) -> None:
    window = Window(cost)
    for begin in (0.0, 100.0, 200.0):
        window.begin(begin)
        for nth in range(20):
            window.answer(begin + 0.1 * nth, outstanding=nth % 4)
    assert window.share.rate == 0.0


def test_what_we_have_in_flight_is_not_what_others_spend() -> None:
    assert Window().begin(0.0).answer(20.0, others=5, outstanding=5).share.rate == 0.0
    assert Window().begin(0.0).answer(20.0, others=5, outstanding=4).share.rate > 0.0


def met(*, left: int, outstanding: int = 0, cost: int = 1) -> Window:
    """Return a second window, surely a whole one, of which so many are left before our first."""
    window = Window(cost).begin(0.0)
    end = ResetInterval(200.0, 200.0, 200.0, 200.0, 0.0)
    window.share.met(100, left - cost, end, 100.0, 2, SPAN)
    window.began_at, window.ends_at, window.left = 100.0, 200.0, left
    return window.answer(100.0, outstanding=outstanding)


def test_what_a_whole_window_lacks_when_it_is_met_others_have_spent() -> None:
    assert met(left=98).share.rate == pytest.approx(2 / (0.1 * SPAN))
    assert met(left=98, outstanding=2).share.rate == 0.0
    assert met(left=100, cost=3).share.rate == 0.0
    assert met(left=98, cost=3).share.rate > 0.0


def test_what_others_spent_of_the_window_before_a_whole_one_counts() -> None:
    window = Window().begin(0.0).answer(50.0, others=25)
    window.share.met(100, 99, ResetInterval(200.0, 200.0, 200.0, 200.0, 0.0), 100.0, 3, SPAN)
    window.began_at, window.ends_at, window.left = 100.0, 200.0, 100
    assert window.answer(100.0).share.rate == pytest.approx(25 / 50)


def test_a_window_that_is_met_on_time_and_gave_a_part_back_is_not_shared() -> None:
    window = met(left=49)
    assert window.begin(200.0).answer(250.0, others=25).share.rate == 0.0


def test_a_fixed_window_that_lacks_a_unit_at_once_is_shared() -> None:
    quota = Quota()
    for index, left in enumerate((59, 59, 59, 59)):
        observe(quota, left, 30.0 * index, end=30.0 * index + 30.0, limit=60)
    assert quota._share.rate == 0.0
    observe(quota, 57, 120.0, end=150.0, limit=60)
    rate = quota._share.rate
    assert rate > 0.0
    for index, left in enumerate((59, 59, 50)):  # from then on it is known by what goes later
        observe(quota, left, 30.0 * index + 150.0, end=30.0 * index + 180.0, limit=60)
    assert 0.0 < quota._share.rate < rate


def test_what_a_window_lacks_that_may_be_a_log_is_not_what_others_spend() -> None:
    quota = Quota()
    observe(quota, 59, 0.0, end=30.0, limit=60)
    observe(quota, 57, 30.0, end=60.0, limit=60)
    assert quota._share.rate == 0.0


def test_what_was_in_flight_and_counted_when_a_window_began_hides_nothing() -> None:
    window = Window().begin(0.0, left=90)  # it counts nine that are yet to be answered
    for _ in range(9):
        window.left += 1
        window.answer(1.0)
    assert window.answer(20.0, others=6).share.rate == pytest.approx(6 / 20.0)


def test_an_answer_that_overtook_others_does_not_make_them_others_spending() -> None:
    window = Window().begin(0.0)
    window.left, window.answered = 99, 39
    window.answer(1.0, least=60)  # it was counted before 39 others that were answered before
    window.left = 60
    assert window.answer(60.0).share.rate == 0.0


def test_the_rate_is_what_others_spend_while_anything_was_left() -> None:
    window = Window().begin(0.0, left=60).answer(20.0, others=6)
    assert window.share.rate == pytest.approx(6 / 20.0)
    window.answer(60.0, others=51)
    assert window.left == 0
    window.left = 1
    window.answer(90.0)
    assert window.share.rate == pytest.approx(57 / 60.0)


def test_what_is_seen_in_a_moment_is_taken_for_that_of_a_tenth_of_the_window() -> None:
    assert Window().begin(0.0).answer(0.1, others=2).share.rate == pytest.approx(2 / 10.0)


@pytest.mark.parametrize(("others", "is_slower"), [(15, True), (16, False)])
def test_for_others_who_take_each_window_at_once_nothing_is_kept(
    others: int, is_slower: bool
) -> None:
    share = Window().begin(0.0).answer(1.0, others=others).share
    assert (share.rate > 0.0) is is_slower


def test_what_comes_late_of_another_window_says_nothing() -> None:
    window = Window().begin(0.0).begin(100.0)
    window.left, window.ends_at = 80, 100.0
    assert window.answer(150.0).share.rate == 0.0


def test_former_windows_fade() -> None:
    window, rates = shared(), []
    assert window.share.rate == pytest.approx(25 / 50.0)
    for begin in range(100, 4000, 100):
        window.begin(begin).answer(begin + 50.0)
        rates.append(window.share.rate)
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(0.75 * 25 / (0.75 * 50 + 50))
    assert rates[-1] == 0.0


# Windows that are shared.


@pytest.mark.parametrize(
    ("at", "left", "ends_at", "is_shared"),
    [
        (100.0, 51, 200.0, True),
        (100.0, 50, 200.0, False),  # a sliding counter gives a part back
        (116.0, 50, 200.0, True),  # others had the time to spend it
        (100.0, 99, 175.0, True),
        (100.0, 99, 174.0, False),  # a log ends when its next unit is back
    ],
)
def test_only_windows_that_give_everything_back_are_shared(
    at: float, left: int, ends_at: float, is_shared: bool
) -> None:
    window = shared().begin(at, left=left, ends_at=ends_at)
    assert (window.share.rate > 0.0) is is_shared


def test_a_log_is_not_shared_for_fifty_windows() -> None:
    window = shared().begin(100.0, left=20)
    for index in range(2, 51):
        window.begin(100.0 * index).answer(100.0 * index + 50.0, others=25)
        assert window.share.rate == 0.0
    window.begin(5100.0).answer(5150.0, others=25)
    assert window.share.rate == pytest.approx(0.5, rel=0.01)


# What is left to them.


def test_a_little_less_than_half_of_a_window_is_ours_in_any_case() -> None:
    window = shared()
    assert window.share.ours(window.answered + 10, 5) == 16
    assert Window(cost=3).begin(0.0).share.ours(11, 5) == 35
    assert window.open_at(10, ours=46) == -math.inf
    assert window.open_at(10, ours=47) > 50.0


def test_nothing_is_kept_where_nobody_else_spends() -> None:
    assert Window().begin(0.0).open_at(0) == -math.inf


def test_what_others_will_spend_until_the_end_and_a_little_more_is_kept() -> None:
    window = shared()
    # 25 and 2.25 times their root are 36.25; they spend 25 in 50 seconds.
    assert window.open_at(36) == pytest.approx(108.0 - 50.0, abs=1.0)
    assert window.open_at(50) < 50.0


def test_after_the_end_of_a_window_nothing_is_kept() -> None:
    window = shared()
    assert window.open_at(0) == 100.0
    assert Window().begin(0.0).answer(99.0, others=6).open_at(2) == 100.0
    assert window.open_at(0, end=WindowEnd(90.0, 100.0, 104.0)) == 104.0
    assert window.open_at(36, end=WindowEnd(90.0, 100.0, 120.0)) == pytest.approx(70.0, abs=1.0)


def test_where_others_may_have_spent_the_rest_ours_wait_for_the_next_window() -> None:
    window = shared()
    assert window.open_at(30) < 70.0  # ten are gone until then, or seventeen
    assert window.open_at(22) == 100.0  # fifteen are gone until then, or twenty-four


# In a quota.


def quota_beside_others() -> Quota:
    """One of a hundred units a minute, of which others spent 24 in 30 seconds, and we 47."""
    quota = observe(Quota(), 99, 0.0)
    quota.processed += 45
    return observe(quota, 29, 30.0)


def test_a_quota_keeps_units_for_others_until_late_in_the_window() -> None:
    quota = quota_beside_others()
    open_at = held_until(ask(quota, 30.0))
    assert 30.0 < open_at < 60.0
    assert open_at == quota._share.open_at(48, 28, 100, quota.end, 60.0)
    assert not ask(quota, open_at - 0.01).is_open
    assert ask(quota, open_at).is_open


def test_a_quota_counts_the_request_that_is_to_go_as_ours() -> None:
    quota = quota_beside_others()
    quota.processed -= 1
    assert ask(quota, 30.0).is_open
    assert not ask(quota, 30.0, outstanding=1).is_open
    assert not ask(quota, 30.0, cost=2).is_open


def test_a_quota_that_is_spent_by_others_is_as_one_that_is_spent() -> None:
    quota = observe(quota_beside_others(), 0, 31.0)
    assert held_until(ask(quota, 32.0)) == quota.end.high


def test_what_a_server_counts_late_is_not_what_others_spend() -> None:
    quota = quota_beside_others()
    quota.suspect()
    assert ask(quota, 30.0).is_open


def test_of_a_bucket_nothing_is_kept_for_others() -> None:
    quota = quota_beside_others()
    quota._window.kind = BUCKET
    assert ask(quota, 30.0).is_open
    assert quota._open_for_us_at(0, 50) == -math.inf


def test_requests_that_cost_more_are_not_what_others_spend() -> None:
    quota = observe(Quota(), 95, 0.0)
    quota.started(0.0, 1, cost=5)
    for nth in range(1, 15):
        observe(quota, 95 - 5 * nth, 1.0 * nth)
    assert ask(quota, 20.0, cost=5).is_open
