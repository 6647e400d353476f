"""Several nodes behind one name: how they are known, and that the emptiest one decides."""

import pytest

from core.throttle.books import ask, observe
from httpx_resilience._core.throttle.limits.nodes import Nodes
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.windows import ResetInterval

LIMIT = 20


def until(end: float) -> ResetInterval:
    """Return a reset that is known to a second either way."""
    return ResetInterval(end, end - 1.0, end, end + 1.0, 0.0)


def opened(*, end: float = 60.0) -> Nodes:
    """Return what is known after the first response of a window: sent at 0, received at 0.1."""
    nodes = Nodes()
    nodes.opened(1, until(end), 0.0, 0.1)
    return nodes


def looked(*left: int, every: float = 0.01, **more: bool) -> Nodes:
    """Return what is known after responses, by the least that the evidence says at each of them."""
    nodes = opened(end=0.5)
    for index, least in enumerate(left):
        nodes.look(
            LIMIT, least, 1 + index, 0.1 + every * index, is_later=more.get("is_later", False)
        )
    return nodes


def known() -> Nodes:
    nodes = opened()
    nodes.opened(2, until(60.0), 0.1, 0.2)
    assert nodes.are_known
    return nodes


def quota_of_two(*left: int) -> Quota:
    """Return what is known of two nodes whose window ends at 60, one response a second."""
    quota = Quota()
    for index, remaining in enumerate((LIMIT - 1, LIMIT - 1, *left)):
        observe(quota, remaining, float(index), limit=LIMIT)
    return quota


def test_all_but_one_cannot_be_left_twice_before_anything_comes_back() -> None:
    nodes = opened()
    nodes.opened(2, until(60.0), 0.1, 58.9)
    assert nodes.are_known


@pytest.mark.parametrize(("sent", "received"), [(0.05, 0.2), (58.0, 59.0)])
def test_a_request_that_may_be_the_first_or_of_the_next_window_shows_nothing(
    sent: float, received: float
) -> None:
    nodes = opened()
    nodes.opened(2, until(119.0), sent, received)
    assert not nodes.are_known


def test_each_window_is_looked_at() -> None:
    nodes = opened()
    nodes.opened(2, until(120.0), 60.0, 60.1)
    nodes.opened(3, until(120.0), 60.1, 60.2)
    assert nodes.are_known


def test_units_that_come_back_too_fast_were_taken_from_another_node() -> None:
    assert looked(19, 19, 19, 18, 18, 17, 17, 16, 16, 15, 15, every=0.005).are_known


def test_units_that_come_back_as_fast_as_within_a_second_show_nothing() -> None:
    assert not looked(19, 19, 19, 18, 18, 17, 17, 16, 16, 15, 15, every=0.04).are_known


def test_a_few_units_show_nothing() -> None:
    assert not looked(19, 18, 17, 17, 16, 16).are_known


def test_nobody_looks_when_the_window_is_old_or_over_or_well_known() -> None:
    assert looked(19, 18).is_looking
    assert not looked(19, 18, every=1.0).is_looking
    assert not looked(19, is_later=True).is_looking
    learned = looked(19, 18)
    learned.look(LIMIT, 19, 9, 0.12, is_later=False)
    assert not learned.is_looking
    assert not learned.are_known


def test_the_least_counts_until_its_window_may_be_over() -> None:
    nodes = known()
    first, later = until(60.0), until(65.0)
    assert nodes.emptiest(3, first, 1.0, gives_all=True) == (3, first)
    assert nodes.emptiest(9, later, 1.0, gives_all=True) == (3, first)
    assert nodes.emptiest(2, later, 1.0, gives_all=True) == (2, later)
    assert known().emptiest(9, later, 1.0, gives_all=True) == (9, later)


def test_the_least_counts_for_the_latest_responses_alone() -> None:
    nodes = known()
    nodes.emptiest(3, until(60.0), 1.0, gives_all=True)
    counted = [nodes.emptiest(9, until(60.0), 1.0, gives_all=True)[0] for _ in range(9)]
    assert counted == [3] * 8 + [9]


def test_where_all_comes_back_nothing_of_the_window_before_counts() -> None:
    nodes, later = known(), until(120.0)
    nodes.emptiest(0, until(60.0), 1.0, gives_all=True)
    assert nodes.emptiest(9, later, 59.0, gives_all=True) == (9, later)


def test_where_not_all_comes_back_an_empty_node_gets_two_units_and_two_more_each() -> None:
    nodes, later = known(), until(120.0)
    nodes.emptiest(0, until(60.0), 1.0, gives_all=False)
    counted = [nodes.emptiest(9, later, 59.0, gives_all=False) for _ in range(5)]
    assert counted == [(2, later), (4, later), (6, later), (8, later), (9, later)]


def test_what_a_node_said_was_left_is_still_left_when_more_comes_back() -> None:
    nodes, later = known(), until(120.0)
    nodes.emptiest(7, until(60.0), 1.0, gives_all=False)
    assert nodes.emptiest(9, later, 59.0, gives_all=False) == (7, later)


def test_the_emptiest_node_decides_though_another_one_answered_last() -> None:
    assert quota_of_two(0, 12).left(0) == 0
    assert not ask(quota_of_two(0, 12), 4.0).is_open
    assert quota_of_two(5, 12).left(0) == 5


def wave(*left: int) -> Nodes:
    """Return what is known after a wave of responses whose reset is coarse."""
    quota = Quota()
    for index, remaining in enumerate(left):
        observe(quota, remaining, 0.005 * index, limit=LIMIT, end=0.5, granularity=1.0)
    return quota._nodes


def test_nodes_are_seen_in_a_wave_of_requests_whose_reset_is_coarse() -> None:
    assert wave(19, 18, 19, 18, 17, 17, 16).are_known


def test_what_is_looked_at_is_what_was_counted_before() -> None:
    assert not wave(19, 18, 17, 16, 16, 15, 15, 14).are_known


def test_a_window_that_follows_at_once_gives_back_what_one_node_counted() -> None:
    quota = Quota()
    for index, remaining in enumerate((19, 18, 17, 16, 15, 14, 13, 12, 11)):
        observe(quota, remaining, 0.005 * index, limit=LIMIT, end=0.05)
    for index, remaining in enumerate((18, 17, 16)):
        observe(quota, remaining, 0.06 + 0.005 * index, limit=LIMIT, end=60.05)
    assert not quota._nodes.are_known


def test_an_empty_node_is_taken_to_be_full_at_the_reset_but_for_windows_that_trickle() -> None:
    fixed, trickling = quota_of_two(0), quota_of_two(0)
    trickling.distrust(at_reset=False)
    for quota in (fixed, trickling):
        observe(quota, 19, 61.0, limit=LIMIT, end=120.0)
    assert (fixed.remaining, trickling.remaining) == (19, 2)


def test_one_counter_is_believed() -> None:
    quota = Quota()
    for index, remaining in enumerate((19, 18, 17, 2, 12)):  # others may give back what they took
        observe(quota, remaining, float(index), limit=LIMIT)
    assert quota.left(0) == 12


def test_a_stale_count_is_no_other_node() -> None:
    quota = Quota()
    for index, remaining in enumerate((20, 19, 19, 19, 2, 12)):
        observe(quota, remaining, float(index), limit=LIMIT)
    assert quota.remaining == 12
    assert not quota._nodes.are_known


def test_what_a_stale_count_says_is_no_other_node_s_either() -> None:
    assert quota_of_two(20, 2, 12).remaining == 12
