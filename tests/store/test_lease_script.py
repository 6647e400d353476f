"""What ``lease.lua`` grants, and to whom first; in virtual time, in Lua itself."""

import math

import pytest

pytest.importorskip("lupa", reason="lupa runs the scripts; it is not installed here")

from httpx_resilience._core.outcome import Command
from httpx_resilience._core.throttle.limits.lease_reply import Reply
from support.lease_asks import KEY, LIMIT, Fleet, known

HOSTILE = [
    *("", " ", "nan", "-nan", "inf", "-1e308", "1e308", "-1", "9" * 400, "0x10", "abc", "\x00"),
    "f 1e308 nan -inf " + "9 " * 20,
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18",
]


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def granted(reply: Reply) -> float:
    return reply.granted.get(LIMIT, math.nan)


def test_while_nothing_is_known_one_process_probes_for_all(fleet: Fleet) -> None:
    first, *others = (fleet.ask(name, names=False) for name in ("a", "b", "c"))
    assert first.is_granted
    assert first.is_probe
    assert not any(other.is_granted for other in others)
    assert {other.retry_in for other in others} == {0.1}


def test_a_probe_that_is_never_answered_makes_room_for_the_next(fleet: Fleet) -> None:
    assert fleet.ask("a", names=False).is_probe
    assert not fleet.after(0.9).ask("b", names=False).is_granted
    assert fleet.after(0.2).ask("b", names=False).is_probe


def test_what_a_probe_learned_is_shared(fleet: Fleet) -> None:
    fleet.ask("a", names=False)
    fleet.after(0.05).ask("a", answered=1, evidence=known(99, base=-1), want=10)
    reply = fleet.ask("b", want=20, names=False)
    assert reply.is_granted
    assert not reply.is_probe
    assert granted(reply) == 20


def test_no_more_is_leased_than_is_left(fleet: Fleet) -> None:
    fleet.ask("a", evidence=known(30), want=1)
    leased = 1 + sum(granted(fleet.ask(name, want=50, names=False)) for name in "bcdefgh")
    assert leased <= 30
    assert leased >= 28


def test_demand_shares_what_is_left_by_max_min_fairness(fleet: Fleet) -> None:
    fleet.ask("z", evidence=known(0, nominal=1_000, high=1_000), want=1)
    for name, want in (("a", 5), ("b", 100), ("c", 100)):
        assert not fleet.ask(name, want=want, names=False).is_granted
    fleet.after(1.0).ask("z", evidence=known(65), want=0, need=0)
    got = [granted(fleet.ask(name, want=w, names=False)) for name, w in (("c", 100), ("a", 5))]
    assert got[0] == 21  # a third of 65, as the others may want more than they said
    assert got[1] == 5


def test_who_asked_first_is_served_first_when_units_are_few(fleet: Fleet) -> None:
    fleet.ask("z", evidence=known(0, nominal=200, high=200), want=0, need=0)
    for name in "abc":
        fleet.after(0.01).ask(name, names=False)
    fleet.after(0.2).ask("z", evidence=known(2), want=0, need=0)
    got = {name: fleet.ask(name, names=False).is_granted for name in "cba"}
    assert got == {"c": False, "b": True, "a": True}


def test_units_in_flight_are_not_leased_again(fleet: Fleet) -> None:
    fleet.ask("a", evidence=known(10), want=10)
    reply = fleet.after(0.1).ask("a", want=10, flying=10)
    assert not reply.is_granted
    assert reply.rows[LIMIT].left == 0


def test_what_is_not_used_comes_back_with_the_next_question(fleet: Fleet) -> None:
    fleet.ask("a", evidence=known(10), want=10)
    assert granted(fleet.after(0.1).ask("b", want=5, names=False)) != 5
    fleet.after(0.1).ask("a", want=0, need=0, answered=2)
    assert granted(fleet.after(0.1).ask("b", want=5, names=False)) == 5


def test_what_is_answered_is_settled_and_not_left_again(fleet: Fleet) -> None:
    fleet.ask("a", evidence=known(10), want=10)
    reply = fleet.after(0.1).ask("a", want=1, need=0, answered=10)
    assert reply.rows[LIMIT].left == 0


def test_a_reply_that_was_lost_leases_nothing_for_good(fleet: Fleet) -> None:
    fleet.ask("a", evidence=known(10), want=10)  # the reply never came: nothing of it is in flight
    assert granted(fleet.after(0.3).ask("a", want=10)) == 10


def test_a_command_that_comes_late_is_refused(fleet: Fleet) -> None:
    late = fleet.words("a", want=5, names=False)
    fleet.ask("a", names=False)
    assert fleet.store.run([Command("lease", KEY, late)]) == [None]


def test_the_lease_of_a_process_that_died_lapses(fleet: Fleet) -> None:
    fleet.ask("a", evidence=known(10, nominal=60_000, high=60_000, window=60_000), want=10)
    assert not fleet.after(1.0).ask("b", want=5, names=False).is_granted
    fleet.after(2.5).ask("b", evidence=known(6, base=-1), want=5)
    assert f"p:{'a'}" not in fleet.stored
    assert fleet.ask("b", want=5, evidence=known(6, base=99)).is_granted


def test_an_older_response_does_not_raise_what_is_left(fleet: Fleet) -> None:
    fleet.ask("a", evidence=known(10), want=0, need=0)
    fleet.after(0.5).ask("a", want=0, need=0, answered=10)
    reply = fleet.ask("b", evidence=known(90, base=-1, age=400), want=5)
    assert not reply.is_granted  # nobody knows what had been settled when its request was sent


def test_strangers_who_spend_are_noticed(fleet: Fleet) -> None:
    fleet.ask("a", evidence=known(50), want=0, need=0)
    fleet.ask("a", evidence=known(50), want=0, need=0)
    reply = fleet.after(0.2).ask("a", evidence=known(20, base=0), want=40)
    assert granted(reply) <= 20


def test_a_refusal_closes_the_scope_for_all(fleet: Fleet) -> None:
    fleet.ask("a", evidence=known(50), want=0, need=0)
    fleet.ask("a", closed=3_000, doubt=True, want=1)
    reply = fleet.after(1.0).ask("b", names=False)
    assert not reply.is_granted
    assert reply.closed_for == pytest.approx(2.0)
    probe = fleet.after(2.1).ask("b", names=False)
    assert probe.is_probe  # what was known before is believed no more


def test_a_window_that_ended_is_probed_by_one(fleet: Fleet) -> None:
    fleet.ask("z", evidence=known(0, nominal=500, high=1_000), want=0, need=0)
    assert not fleet.after(0.9).ask("a", names=False).is_granted
    assert fleet.after(0.2).ask("b", names=False).is_probe
    assert not fleet.ask("a", names=False).is_granted


def test_units_kept_back_go_one_at_a_time_from_the_announced_end_on(fleet: Fleet) -> None:
    said = known(3, kept=3, nominal=1_000, high=2_000)
    fleet.ask("z", evidence=said, want=0, need=0)
    assert not fleet.after(0.9).ask("a", want=5, names=False).is_granted
    first = fleet.after(0.11).ask("a", want=5, names=False)
    assert first.is_sole
    assert granted(first) == 1
    assert not fleet.ask("b", want=5, names=False).is_granted
    assert granted(fleet.after(0.4).ask("b", want=5, names=False)) == 1


def test_a_bucket_gives_what_was_refilled(fleet: Fleet) -> None:
    fleet.ask("z", evidence=known(0, kind="b", refill=10.0), want=0, need=0)
    reply = fleet.ask("a", names=False)
    assert reply.retry_in == pytest.approx(0.102, abs=0.01)
    assert granted(fleet.after(0.5).ask("a", want=9, names=False)) == 5


def test_the_reserve_is_left_alone(fleet: Fleet) -> None:
    fleet.ask("z", evidence=known(10, reserve=4), want=0, need=0)
    assert granted(fleet.ask("a", want=20, names=False)) == 6


def test_a_server_that_announces_nothing_is_let_alone_after_three_answers(fleet: Fleet) -> None:
    fleet.ask("a", names=False)
    replies = [fleet.ask("a", names=False, silent=True) for _ in range(3)]
    assert [reply.is_free for reply in replies] == [False, False, True]
    assert fleet.ask("b", names=False).is_free


def test_a_rate_is_lowered_once_for_all_who_were_refused_at_it(fleet: Fleet) -> None:
    first = fleet.ask("a", names=False, rate=(10.0, "0", True))
    assert (first.rate, first.version) == (10.0, "1")
    late = fleet.ask("b", names=False, rate=(8.0, "0", True))
    assert (late.rate, late.version) == (10.0, "1")
    assert fleet.ask("b", names=False, rate=(9.0, "1", True)).rate == 9.0
    assert fleet.ask("a", names=False, rate=(9.5, "2", False)).rate == 9.5


def test_the_scope_has_a_time_to_live(fleet: Fleet) -> None:
    fleet.ask("a", names=False)
    assert 0 < fleet.store.ends[KEY] - fleet.engine.now <= 86_460


def test_what_is_stored_is_numbers_hashes_and_letters(fleet: Fleet) -> None:
    fleet.ask("a", evidence=known(10), want=3)
    for field, value in fleet.stored.items():
        assert field == "m" or field[:2] in ("r:", "p:")
        assert all(word.replace(".", "").isalnum() or word == "-1" for word in value.split())


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("field", ["m", f"r:{LIMIT}", "p:a", "p:zz", "x", "r:" + "q" * 99, ""])
def test_a_hostile_value_harms_nothing(fleet: Fleet, field: str, value: str) -> None:
    fleet.ask("a", evidence=known(10), want=3)
    fleet.stored[field] = value
    for name in ("a", "b"):
        reply = fleet.after(0.2).ask(name, evidence=known(10, base=-1), want=5)
        assert 0 <= granted(reply) <= 10 or math.isnan(granted(reply))
        assert reply.lasts <= 1.0
        assert reply.retry_in <= 86_400
    assert all("nan" not in text and "inf" not in text for text in fleet.stored.values())


def test_hostile_numbers_in_a_question_harm_nothing(fleet: Fleet) -> None:
    for value in (math.nan, math.inf, -math.inf, 1e300, -5, "x", ""):
        evidence = dict.fromkeys(known(0), value) | {"kind": "f"}
        fleet.ask("a", want=1, evidence=evidence)
    assert all("nan" not in text and "inf" not in text for text in fleet.stored.values())
    assert fleet.after(6.0).ask("b", evidence=known(10, base=-1), want=2).is_granted


def test_a_flood_of_processes_and_limits_stays_bounded(fleet: Fleet) -> None:
    fleet.ask("a", names=False)
    for n in range(1_100):
        fleet.stored[f"p:flood{n}"] = fleet.stored["p:a"]
    fleet.ask("b", names=False)
    assert len(fleet.stored) <= 1_024 + 17
    for n in range(1_023):
        fleet.stored[f"p:flood{n}"] = fleet.stored["p:b"]
    assert fleet.store.run([Command("lease", KEY, fleet.words("c", names=False))]) == [None]
    assert len(fleet.stored) <= 1_024 + 17


def test_who_was_held_back_is_owed_an_equal_part(fleet: Fleet) -> None:
    fleet.ask("z", evidence=known(0, nominal=1_000, high=1_000), want=0, need=0)
    fleet.ask("a", want=2, names=False)
    fleet.after(1.0).ask("z", evidence=known(60), want=0, need=0)
    assert granted(fleet.ask("b", want=100, names=False)) == 30
