"""``demo``: scenarios against a vault on this machine, reported by what they came to."""

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol

import anyio
import typer
from rich.console import Console

from .. import Level, Listener
from ._faults import Faults
from ._fleet import Fleet
from ._lines import JsonLines
from ._options import named
from ._outage import Outage
from ._rate_limit import RateLimited
from ._screen import complain, console, quiet_log


class _Scenario(Protocol):
    """Something to watch."""

    @property
    def finished(self) -> int:
        """Calls that have ended."""
        ...

    @property
    def differences(self) -> list[str]:
        """What did not go as it should, a line each."""
        ...

    async def play(self, listeners: Sequence[Listener]) -> None:
        """Make the calls; the listeners are given the events of their levels."""

    def show(self, screen: Console) -> None:
        """Show what they came to."""


_SCENARIOS: dict[str, Callable[[int], _Scenario]] = {
    "faults": Faults,
    "rate-limit": RateLimited,
    "outage": Outage,
    "fleet": Fleet,
}


def demo(
    scenario: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="faults: a server that fails in every way; rate-limit: one with small limits, "
            "called bare, with retries only, and with the throttle; outage: one that goes away for "
            "3 s, called bare, with three plain retries, and by default; fleet: four processes "
            "that share one limit, as if each were alone, with a fixed part each, and by a store.",
        ),
    ] = "faults",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the log lines only, one JSON object each.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="With --json: also every attempt (level debug).")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides the order of the calls.")] = 1,
) -> None:
    """Watch it deal with a server that misbehaves, one that limits, or one that goes away.

    Runs a few hundred calls and shows what they came to. Takes some seconds, outage a quarter of a
    minute, rate-limit and fleet half a minute; needs no network, and ends with status 0 if
    everything went as it should.
    """
    watched = named("--scenario", scenario, _SCENARIOS)(seed)
    level = (Level.DEBUG if verbose else Level.INFO) if as_json else None
    try:
        with quiet_log():
            anyio.run(_play, watched, level)
    except KeyboardInterrupt:
        complain(f"interrupted; calls that had ended: {watched.finished}")
        raise typer.Exit(130) from None
    if not as_json:
        watched.show(console())
    for difference in watched.differences:
        complain(difference)
    raise typer.Exit(1 if watched.differences else 0)


async def _play(scenario: _Scenario, json_from: Level | None) -> None:
    scope = anyio.CancelScope()
    lines = JsonLines(json_from or Level.ERROR, scope.cancel)
    with scope:
        await scenario.play([] if json_from is None else [Listener(lines, level=json_from)])
    lines.close()
