"""The queue of tickets, the map of what was used last, the frozen map: beside simple models."""

import copy
import math
import pickle
from collections.abc import Hashable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from httpx_resilience._core.frozen import FrozenMap
from httpx_resilience._core.lru import LRUMap
from httpx_resilience._core.throttle import EXPIRED, GRANTED, LEFT, WAITING, Ticket, TicketQueue


class Queue(RuleBasedStateMachine):
    """Beside a list that is sorted anew each time."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = TicketQueue()
        self.waiting: list[Ticket] = []
        self.now = 0.0
        self.orders = 0

    @rule(give_up_in=st.sampled_from([0.0, 1.0, 10.0, math.inf]))
    def a_call_comes(self, give_up_in: float) -> None:
        self.orders += 2
        self._push(self.orders, give_up_in)

    @precondition(lambda self: self.orders)
    @rule(place=st.integers(0, 10**6), give_up_in=st.sampled_from([1.0, 10.0, math.inf]))
    def a_retry_comes(self, place: int, give_up_in: float) -> None:
        order = 2 * (place % (self.orders // 2)) + 1
        if all(ticket.order != order for ticket in self.waiting):
            self._push(order, give_up_in)

    def _push(self, order: int, give_up_in: float) -> None:
        ticket = Ticket(order, self.now + give_up_in, self.now)
        self.queue.push(ticket)
        self.waiting.append(ticket)

    @precondition(lambda self: self.waiting)
    @rule()
    def the_head_goes(self) -> None:
        head = self.queue.head()
        assert head is not None
        self.queue.remove(head, GRANTED)
        self.waiting.remove(head)

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 1000))
    def any_leaves(self, which: int) -> None:
        ticket = self.waiting.pop(which % len(self.waiting))
        self.queue.remove(ticket, LEFT)

    @rule(seconds=st.sampled_from([0.5, 1.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        gone = self.queue.expired(self.now)
        over = [ticket for ticket in self.waiting if ticket.give_up_at <= self.now]
        assert sorted(gone) == sorted(over)
        assert all(ticket.state == EXPIRED for ticket in gone)
        assert [t.give_up_at for t in gone] == sorted(t.give_up_at for t in gone)
        self.waiting = [ticket for ticket in self.waiting if ticket not in over]

    @invariant()
    def it_is_what_the_list_says(self) -> None:
        assert len(self.queue) == len(self.waiting)
        assert self.queue.head() is min(self.waiting, default=None)
        times = [ticket.give_up_at for ticket in self.waiting]
        assert self.queue.next_deadline() == min(times, default=math.inf)
        assert all(ticket.state == WAITING for ticket in self.waiting)
        assert len(self.queue._deadlines) <= 64 + 2 * len(self.waiting) + 1


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=40, stateful_step_count=40)


class Entry:
    """Something that can be referred to weakly."""


class Recent(RuleBasedStateMachine):
    """Beside a list of keys, the least recently used first, and those that somebody holds."""

    SIZE = 3

    def __init__(self) -> None:
        super().__init__()
        self.map: LRUMap[Entry] = LRUMap(Entry, size=self.SIZE)
        self.keys: list[Hashable] = []
        self.held: dict[Hashable, Entry] = {}

    def _used(self, key: Hashable) -> None:
        self.keys = [each for each in self.keys if each != key] + [key]
        del self.keys[: -self.SIZE]

    @rule(key=st.integers(0, 6), hold=st.booleans())
    def get(self, key: int, hold: bool) -> None:
        entry = self.map.get(key)
        assert self.map.get(key) is entry
        if key in self.held:
            assert entry is self.held[key]  # in use, so never made anew
        if hold:
            self.held[key] = entry
        self._used(key)

    @rule(key=st.integers(0, 6))
    def put(self, key: int) -> None:
        entry = self.held[key] = Entry()
        self.map.put(key, entry)
        self._used(key)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 100))
    def let_go(self, which: int) -> None:
        del self.held[sorted(self.held, key=str)[which % len(self.held)]]

    @rule()
    def clear(self) -> None:
        self.map.clear()
        self.keys.clear()
        self.held.clear()

    @invariant()
    def the_last_used_are_kept_in_order(self) -> None:
        assert len(self.map) == len(self.keys) <= self.SIZE
        assert list(self.map._recent) == self.keys
        assert self.map.values() == list(self.map._recent.values())


TestRecent = Recent.TestCase
TestRecent.settings = settings(max_examples=40, stateful_step_count=30)


@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=5))
def test_a_frozen_map_is_what_it_was_made_from_whatever_becomes_of_that(
    items: dict[str, int],
) -> None:
    frozen = FrozenMap(items)
    before = dict(items)
    items["more"] = 1
    assert dict(frozen) == before == frozen
    assert len(frozen) == len(before)
    assert hash(frozen) == hash(FrozenMap(dict(reversed(before.items()))))
    assert eval(repr(frozen)) == before
    assert copy.deepcopy(frozen) == pickle.loads(pickle.dumps(frozen)) == frozen
    with pytest.raises(TypeError):
        frozen["a"] = 1  # type: ignore[index]
