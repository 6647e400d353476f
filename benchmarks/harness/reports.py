"""How results are shown: as a table, as bars, as JSON; all from the same rows."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .rounds import GC_NOTE
from .rows import Row
from .targets import OURS

_STYLES = {"beaten": "bold green", "reached": "green", "missed": "red"}
_BAR = 40


def show_machine(console: Console, facts: Mapping[str, str]) -> None:
    """Say what the figures were measured on, and how."""
    console.print("on: " + " · ".join(f"{name} {value}" for name, value in facts.items()))
    console.print(
        "contenders in turns, medians; µs are processor time unless it says otherwise; " + GC_NOTE
    )


def show_table(console: Console, rows: Sequence[Row]) -> None:
    """Show the rows of one benchmark, under a heading for each thing measured."""
    table = Table(
        title=rows[0].benchmark,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    has_ratio = any(row.ratio is not None for row in rows)
    has_target = any(row.target is not None for row in rows)
    heads = ["", "value", "unit", *["ratio"] * has_ratio, *["target", " "] * has_target]
    for head in heads:
        right = head in ("value", "ratio")
        table.add_column(head, justify="right" if right else "left", no_wrap=head != "")
    for what, group in itertools.groupby(rows, key=lambda row: row.what):
        table.add_row(Text(what, style="italic"))
        for row in group:
            cells = [
                Text(f"  {row.contender}", style="bold" if row.contender == OURS else ""),
                Text(number(row.value)),
                Text(row.unit),
            ]
            if has_ratio:
                cells.append(Text("" if row.ratio is None else f"{row.ratio:.2f}x"))
            if has_target:
                cells.append(Text("" if row.target is None else str(row.target)))
                cells.append(Text(row.verdict, style=_STYLES.get(row.verdict, "")))
            table.add_row(*cells)
    console.print(table)
    for note in dict.fromkeys(f"{row.contender}: {row.note}" for row in rows if row.note):
        console.print(f"  {note}")


def show_bars(console: Console, rows: Sequence[Row]) -> None:
    """Show each figure as a bar; those of one unit and one thing measured share a scale."""
    for (what, unit), group in itertools.groupby(rows, key=lambda row: (row.what, row.unit)):
        figures = [(row, row.value) for row in group if row.value is not None]
        top = max((value for _, value in figures), default=0.0)
        if top <= 0 or len(figures) < 2:
            continue
        grid = Table(
            title=f"{rows[0].benchmark}: {what} ({unit})", title_justify="left",box=None,
            show_header=False,
        )  # fmt: skip
        for row, value in figures:
            colour = "green" if row.contender == OURS else "blue"
            bar = Bar(size=top, begin=0, end=value, width=_BAR, color=colour)
            grid.add_row(row.contender, bar, number(value))
        console.print(grid)


def as_json(facts: Mapping[str, str], rows: Iterable[Row]) -> str:
    """Return everything as one JSON document."""
    document = {"machine": facts, "rows": [row.as_data() for row in rows]}
    return json.dumps(document, indent=2, ensure_ascii=False)


def number(value: float | None) -> str:
    """Return a figure with three significant digits or so.

    >>> number(0.0), number(1.234), number(56.78), number(12345.6), number(None)
    ('0', '1.23', '56.8', '12,346', '-')
    """
    if value is None:
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 4}f}"
