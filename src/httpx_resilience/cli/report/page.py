"""A report as one page: plots and tables, no script, nothing from the network."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from . import plots
from .result import Report
from .tables import NOT_IN_LOG, first_line, notes, reasons, steps_of, ticket
from .times import as_date, as_duration

_ROWS = 100
"""Rows of a table that grows with the log."""


def write_page(report: Report, path: Path) -> None:
    """Write a page.

    Raises:
        OSError: It cannot be written.
    """
    path.write_text(page_of(report), encoding="utf-8")


def page_of(report: Report) -> str:
    """Return a report's page: HTML, escaped, and allowed nothing but its own style."""
    template, style = _template(), _file("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page: str = template.render(
        report=report,
        style=style,
        digest=digest,
        first_line=first_line(report),
        notes=notes(report),
        plots=list(plots.plots_of(report)),
        of=plots,
        most=_ROWS,
        missing=NOT_IN_LOG,
    )
    return page


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        date=as_date,
        duration=as_duration,
        number=_number,
        share=_share,
        reasons=_reasons,
        steps=steps_of,
        ticket=ticket,
    )
    return environment.from_string(_file("page.html.jinja"))


def _file(name: str) -> str:
    return files("httpx_resilience.cli.report").joinpath(name).read_text(encoding="utf-8")


def _number(value: float | None) -> str:
    return (
        NOT_IN_LOG if value is None else f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
    )


def _share(part: float | None, whole: float | None = 1.0) -> str:
    return "-" if part is None or not whole else f"{100 * part / whole:.2f} %"


def _reasons(gave_up: Mapping[str, Any]) -> str:
    return reasons(gave_up) or "-"
