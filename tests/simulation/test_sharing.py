"""A second spender of the same budget is not starved, and our own job gets its fair share."""

import pytest

from simulation.sharing import Shared, figures

REFUSED = {0.1: 6.0, 0.25: 4.5, 0.5: 8.0, 0.8: 46.0}
"""Of 100 calls of the other one, by what it asks for: twice as many as beside one that spreads its
calls evenly, and a little for few windows. Before anything was kept for it: 75 to 95."""


@pytest.mark.parametrize("demand", [0.1, 0.25, 0.5, 0.8])
@pytest.mark.parametrize(("kind", "limit", "window"), [("aligned", 100, 10), ("anchored", 100, 10)])
def test_a_second_spender_gets_its_share_and_so_do_we(
    kind: str, limit: int, window: float, demand: float
) -> None:
    refused, ours = figures(Shared(kind, limit, window, demand), seeds=1)
    assert refused <= REFUSED[demand]
    assert ours >= 88.0


@pytest.mark.soak
@pytest.mark.parametrize("demand", [0.1, 0.25, 0.5, 0.8])
@pytest.mark.parametrize("kind", ["aligned", "anchored"])
def test_a_second_spender_is_refused_twice_as_often_as_beside_an_even_one_at_the_most(
    kind: str, demand: float
) -> None:
    shared = Shared(kind, 100, 10, demand)
    refused, ours = figures(shared, seeds=20)
    assert refused <= 2.0 * figures(shared, seeds=20, is_even=True).refused
    assert ours >= 90.0
