"""``simulate``: one's own policy against servers in trouble, in virtual time."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .. import Policy
from .._core.checks import nearest
from ._screen import Misuse, complain, console, quiet_log
from ._tables import new_table
from .simulate.plot import write_plot
from .simulate.policies import policy_of
from .simulate.run import NONE, PLAIN, Figures, play
from .simulate.scenarios import SCENARIOS, Scenario


def simulate(
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY", help="FILE.toml, or module:attribute; the default policy if left out."
        ),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help=f"One of {', '.join(SCENARIOS)}; may be given repeatedly."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides everything that is random.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each scenario and client.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", dir_okay=False, help="Draw bars as well.")
    ] = None,
) -> None:
    """Try a policy on servers in trouble, beside no retries and three plain ones.

    In virtual time: minutes pass in a moment, and nothing is sent anywhere. The transport is the
    real one. Ends with status 0, 2 if an argument cannot be used.
    """
    yours = Policy() if policy is None else policy_of(policy)
    name = "default policy" if policy is None else "your policy"
    chosen = [_scenario_of(each) for each in scenario or SCENARIOS]
    clients: list[tuple[str, Policy | None]] = [(name, yours), (NONE, None), (PLAIN, None)]
    with quiet_log():
        figures = [play(each, client, own, seed) for each in chosen for client, own in clients]
    if plot is not None:
        try:
            write_plot(figures, plot)
        except OSError as error:
            complain(f"--plot: {plot}: {error.strerror or type(error).__name__}")
            raise typer.Exit(2) from None
    if as_json:
        for each in figures:
            print(json.dumps(asdict(each)), flush=True)
    else:
        _show(chosen, figures, console())


def _scenario_of(name: str) -> Scenario:
    try:
        return SCENARIOS[name]
    except KeyError:
        allowed = f"{', '.join(SCENARIOS)}{nearest(name, SCENARIOS)}"
        raise Misuse(f"--scenario: got {name!r}, allowed is {allowed}") from None


def _show(scenarios: Sequence[Scenario], figures: Sequence[Figures], screen: Console) -> None:
    for number, scenario in enumerate(scenarios):
        if number:
            screen.print()
        screen.print(f"{scenario.name}: {scenario.about}\n", style="bold")
        table = new_table()
        table.add_column("client", no_wrap=True)
        for head in ("succeeded", "requests", "p50", "p99", "over after"):
            table.add_column(head, justify="right")
        for each in figures:
            if each.scenario == scenario.name:
                table.add_row(
                    each.client,
                    f"{100 * each.success:.1f} %",
                    f"{each.attempts:.2f}",
                    _seconds(each.p50),
                    _seconds(each.p99),
                    _seconds(each.recovered_after),
                )
        screen.print(table)


def _seconds(number: float | None) -> str:
    return "-" if number is None else f"{number:.2f} s"
