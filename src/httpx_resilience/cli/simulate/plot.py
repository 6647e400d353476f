"""The figures as bars: one SVG file, readable in dark and light."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment

from .run import Figures

_PANEL, _BAR = 300, 220
_TOP, _GROUP, _LINE = 56, 48, 14


def write_plot(figures: Sequence[Figures], path: Path) -> None:
    """Write the bars.

    Raises:
        OSError: The file cannot be written.
    """
    path.write_text(plot_of(figures), encoding="utf-8")


def plot_of(figures: Sequence[Figures]) -> str:
    """Return the SVG."""
    clients = list(dict.fromkeys(each.client for each in figures))
    scenarios = list(dict.fromkeys(each.scenario for each in figures))
    most = max(each.attempts for each in figures)
    places = [
        (each, clients.index(each.client), _TOP + _GROUP * scenarios.index(each.scenario))
        for each in figures
    ]
    panels = [
        _panel(places, 130, "calls that succeed", lambda each: each.success, _percent),
        _panel(
            places,
            130 + _PANEL,
            "requests for each call",
            lambda each: each.attempts / most,
            lambda each: f"{each.attempts:.2f}",
        ),
    ]
    template = files("httpx_resilience.cli.simulate").joinpath("plot.svg.jinja")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        title="Calls that succeed, and requests for each call, by scenario and client",
        width=130 + 2 * _PANEL,
        height=_TOP + _GROUP * len(scenarios) + 10,
        clients=clients,
        panels=panels,
        rows=[(name, _TOP + _GROUP * row + 24) for row, name in enumerate(scenarios)],
    )


def _percent(each: Figures) -> str:
    return f"{100 * each.success:.1f} %"


def _panel(
    places: Sequence[tuple[Figures, int, int]],
    x: int,
    title: str,
    share: Callable[[Figures], float],
    label: Callable[[Figures], str],
) -> dict[str, Any]:
    bars = [
        {
            "client": client,
            "y": y + _LINE * client,
            "width": round(_BAR * share(each), 1),
            "label": label(each),
            "said": f"{each.scenario}, {each.client}: {label(each)}",
        }
        for each, client, y in places
    ]
    return {"x": x, "title": title, "bars": bars}
