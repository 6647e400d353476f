"""A dry spell: how long it is proven to last, and when its end is looked for."""

import math

import pytest

from httpx_resilience._core.throttle.limits.dry_spell import DrySpell


def spell(*refused: float, herd: int = 1, since: float = -math.inf) -> DrySpell:
    """Return a spell from 10 on, known at 10.1, in which so many were refused at once."""
    one = DrySpell(10.0, 10.1, since, is_refused=True)
    for at in (*[10.0] * (herd - 1), *refused):
        one.refused(at)
    return one


def test_it_is_proven_from_its_first_to_its_last_refusal() -> None:
    assert spell().proven == 0.0
    assert spell(11.0, 10.5).proven == 1.0
    assert DrySpell(10.0, 10.0, 0.0, is_refused=False).proven == 0.0


@pytest.mark.parametrize(
    ("herd", "share"),
    [(1, 2.0), (4, 2.0), (8, 1.0), (16, 0.5), (100, 0.35)],
)
def test_each_probe_is_later_by_a_share_of_the_spell_the_more_calls_there_are_the_smaller(
    herd: int, share: float
) -> None:
    assert spell(14.0, herd=herd).later() == pytest.approx(14.0 + share * 4.0)


def test_who_is_refused_later_is_none_of_those_that_were_refused_at_once() -> None:
    assert spell(*[14.0] * 100).later() == pytest.approx(22.0)


def test_the_first_probe_goes_a_round_trip_after_the_first_refusal() -> None:
    assert spell().later() == 10.05


def test_right_after_a_common_length_it_is_looked_at_the_first_of_them_first() -> None:
    assert spell(14.0, since=9.9).later() == pytest.approx(14.9)  # five seconds
    assert spell(14.0, 15.0, since=9.9).later() == pytest.approx(19.9)  # ten
    assert spell(14.0, since=13.5).later() == pytest.approx(14.5)  # one


def test_one_probe_goes_at_a_time_unless_it_hangs_for_a_second() -> None:
    one = spell()
    one.probe_at = 10.5
    assert one.retry_at == 10.5
    one.probed(10.6)
    assert one.retry_at == 11.6
    one.refused(10.55)  # another one, sent before
    assert one.retry_at == 11.6
    one.refused(10.6)
    assert one.retry_at == 10.5


def test_it_is_over_when_nobody_asked_for_long() -> None:
    one = spell(14.0)
    assert not one.is_stale(14.0 + 5.0 + 4 * 4.0)
    assert one.is_stale(14.1 + 5.0 + 4 * 4.0)
