"""What happens in simulations is what always happened, seed by seed."""

import json

import pytest

from simulation import traces

CASES = {case.name: case for case in traces.cases()}
GROUPS = 10


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_seed_gives_the_trace_that_it_always_gave(group: int) -> None:
    # For a change that is meant to change what happens: python -m simulation.traces <seeds>
    known = json.loads(traces.FILE.read_text(encoding="utf-8"))
    names = list(CASES)[group::GROUPS]
    changed = [name for name in names if CASES[name].digest() != known[name]]
    assert not changed, f"{len(changed)} of {len(names)} changed: {changed[:10]}"


def test_there_are_traces_of_at_least_300_seeds() -> None:
    known = json.loads(traces.FILE.read_text(encoding="utf-8"))
    assert set(known) == set(CASES)
    assert len(known) >= 300
