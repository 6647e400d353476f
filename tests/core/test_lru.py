"""Bounded maps: the entries used last stay, and those in use."""

import gc
import weakref

import pytest

from httpx_resilience._core.lru import MAX_ENTRIES, LRUMap


class Entry:
    """Something to share."""


def test_an_entry_is_made_once() -> None:
    entries = LRUMap(Entry)
    assert entries.get("a") is entries.get("a")
    assert entries.get("a") is not entries.get("b")
    assert len(entries) == 2


def test_the_least_recently_used_entry_goes_first() -> None:
    made: list[str] = []

    def make() -> Entry:
        made.append("x")
        return Entry()

    entries = LRUMap(make, size=2)
    entries.get("a")
    entries.get("b")
    entries.get("a")
    entries.get("c")  # pushes b out
    gc.collect()
    assert len(entries) == 2
    entries.get("a")
    assert len(made) == 3
    entries.get("b")
    assert len(made) == 4


def test_an_entry_in_use_is_found_again_after_it_was_pushed_out() -> None:
    entries = LRUMap(Entry, size=1)
    held = entries.get("a")
    for key in range(50):
        entries.get(key)
    assert entries.get("a") is held


def test_an_entry_nobody_holds_is_gone_once_it_was_pushed_out() -> None:
    entries = LRUMap(Entry, size=1)
    gone = weakref.ref(entries.get("a"))
    entries.get("b")
    gc.collect()
    assert gone() is None


def test_a_thousand_and_twenty_four_are_kept() -> None:
    entries = LRUMap(Entry)
    made = [weakref.ref(entries.get(key)) for key in range(5000)]
    gc.collect()
    kept = [ref for ref in made if ref() is not None]
    assert len(entries) == len(kept) == MAX_ENTRIES == 1024


def test_another_maker_may_be_given_for_a_key() -> None:
    entries, mine = LRUMap(Entry), Entry()
    assert entries.get("a", lambda: mine) is mine
    assert entries.get("a") is mine


def test_clearing_forgets_even_what_is_in_use() -> None:
    entries = LRUMap(Entry)
    held = entries.get("a")
    entries.clear()
    assert len(entries) == 0
    assert entries.get("a") is not held


def test_a_map_without_a_maker_says_so() -> None:
    entries: LRUMap[Entry] = LRUMap()
    with pytest.raises(TypeError, match="no way to make an entry"):
        entries.get("a")
    assert len(entries) == 0
    made = entries.get("a", Entry)
    assert entries.get("a") is made
