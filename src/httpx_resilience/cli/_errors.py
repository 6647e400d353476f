"""``errors``: what a dialect says of each error code, and what is done about it."""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import Dialect, ErrorClass, ErrorSpec, RetryPolicy
from .._core.checks import nearest
from ._dialects import CHOICES, dialect_of
from ._screen import Misuse, console

_RETRY = RetryPolicy()
_UNCODED = """
Other 4xx and 5xx are PERMANENT. After an answer without a code, or a broken
connection, a call is repeated only if that is safe: it was never sent, it was
refused with 429, its method is idempotent, or it has an Idempotency-Key."""
_POST = "A POST may be repeated, too: the API's own SDKs do so."
_BY_STATUS = "Without an error code"
_NEVER = (ErrorClass.PERMANENT, ErrorClass.CONFLICT)
"""Classes that are not repeated as they are; a conflict needs a new request, not the same."""


def errors(
    code: Annotated[
        str | None,
        typer.Argument(metavar="CODE", help="An error code (or an HTTP status) to explain."),
    ] = None,
    dialect: Annotated[
        str, typer.Option(metavar="NAME|FILE", help=f"Whose catalogue: {CHOICES}")
    ] = "scaivault",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each code.")
    ] = False,
) -> None:
    """Show the error catalogue, or explain one code."""
    spoken = dialect_of(dialect)
    specs = list(spoken.codes.values()) if code is None else [_wanted(spoken, code)]
    if as_json:
        for spec in specs or _of_statuses(spoken):
            print(json.dumps(_as_json(spec)), flush=True)
    elif code is None:
        _show_catalogue(spoken, console())
    else:
        _explain(specs[0], console())


def _wanted(dialect: Dialect, code: str) -> ErrorSpec:
    spec = dialect.spec(code)
    if spec is not None:
        return spec
    if code.isascii() and code.isdigit() and len(code) == 3 and "400" <= code <= "599":
        return _of_status(dialect, int(code))
    if not dialect.codes:
        raise Misuse(
            f"{dialect.name} lists no codes, the HTTP status decides: give one of 400 to 599"
        )
    hint = nearest(dialect.key(code), dialect.codes)
    raise Misuse(f"{code!r} is not in the catalogue of {dialect.name}{hint}")


def _of_status(dialect: Dialect, status: int) -> ErrorSpec:
    meaning = "The response carries no error code: the HTTP status decides."
    waiting = dialect.statuses_that_wait.get(status)
    if waiting is not None:
        meaning += f" If it asks for a wait, it is {waiting.name}."
    return ErrorSpec(
        code=str(status),
        status=status,
        error_class=dialect.statuses.get(status, ErrorClass.PERMANENT),
        category=_BY_STATUS,
        meaning=meaning,
    )


def _of_statuses(dialect: Dialect) -> Iterator[ErrorSpec]:
    return (_of_status(dialect, status) for status in sorted(dialect.statuses))


def _attempts(error_class: ErrorClass) -> int:
    if error_class in _NEVER:
        return 1
    of_class = _RETRY.backoff[error_class].max_attempts or _RETRY.max_attempts
    return min(of_class, _RETRY.max_attempts)


def _as_json(spec: ErrorSpec) -> dict[str, Any]:
    backoff = None if spec.error_class in _NEVER else _RETRY.backoff[spec.error_class]
    return {
        "code": spec.code,
        "status": spec.status,
        "category": spec.category,
        "error_class": spec.error_class.value,
        "max_attempts": _attempts(spec.error_class),
        "backoff": None
        if backoff is None
        else {
            "initial": backoff.initial,
            "maximum": backoff.maximum,
            "multiplier": backoff.multiplier,
            "jitter": backoff.jitter,
            "cost": backoff.cost,
        },
        "wait": spec.wait,
        "meaning": spec.meaning,
        "advice": spec.advice,
    }


def _in_short(error_class: ErrorClass) -> str:
    """Say in some words what happens."""
    match error_class:
        case ErrorClass.PERMANENT:
            return "never retried"
        case ErrorClass.CONFLICT:
            return "never sent again as it is: it would meet the same conflict"
        case ErrorClass.INTERNAL:
            return "retried once"
        case _:
            return f"retried, up to {_attempts(error_class)} attempts in all"


def _waits(spec: ErrorSpec) -> str:
    error_class = spec.error_class
    if spec.wait is not None:
        return f"when the server says (Retry-After), else {spec.wait:g} s"
    backoff = _RETRY.backoff[error_class]
    low = backoff.initial / 2 if backoff.jitter == "equal" else backoff.initial
    first = f"{low:g} to {backoff.initial:g} s at random"
    if _attempts(error_class) > 2:
        first += f", then x{backoff.multiplier:g} each time, at most {backoff.maximum:g} s"
    return f"{first}; or when the server says (Retry-After), up to {_RETRY.max_retry_after:g} s"


def _explain(spec: ErrorSpec, screen: Console) -> None:
    rows = {
        "status": str(spec.status or ""),
        "class": spec.error_class.name,
        "category": spec.category,
        "meaning": spec.meaning,
        "retried": _at_length(spec),
    }
    if spec.error_class not in _NEVER:
        rows |= {
            "attempts": f"{_attempts(spec.error_class)} in all",
            "wait": _waits(spec),
            "cost": _cost(spec.error_class),
        }
    rows["advice"] = spec.advice
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    for name, text in rows.items():
        if text:
            table.add_row(f"  {name}", text)
    screen.print(spec.code, style="bold")
    screen.print(table)


def _at_length(spec: ErrorSpec) -> str:
    match spec.error_class:
        case ErrorClass.PERMANENT:
            return "Never: the same request would fail again."
        case ErrorClass.CONFLICT:
            return "Never as it is: the same request would meet the same conflict."
        case _ if spec.category == _BY_STATUS:
            safe = (
                "whatever the method"
                if spec.status == 429 or spec.error_class is ErrorClass.RATE_LIMITED
                else ("if repeating is safe: an idempotent method, or an Idempotency-Key")
            )
            return f"Yes, {safe}."
        case ErrorClass.INTERNAL:
            return "Once, whatever the method; then it is logged at level error (escalated)."
        case _:
            return "Yes, whatever the method: the API's own contract says so."


def _cost(error_class: ErrorClass) -> str:
    text = f"{_RETRY.backoff[error_class].cost:g} of the retry budget for a retry that fails"
    if error_class is ErrorClass.RATE_LIMITED:
        text += "; nothing if the server named the time"
    return text


def _show_catalogue(dialect: Dialect, screen: Console) -> None:
    specs = list(dialect.codes.values())
    final = [spec for spec in specs if spec.error_class is ErrorClass.PERMANENT]
    ruled = [spec for spec in specs if spec not in final]
    if ruled:
        which = f"The {len(ruled)} of {dialect.name}'s {len(specs)} codes that are not PERMANENT"
        whole = f"The codes of {dialect.name}, none of them PERMANENT"
        screen.print(f"{which if final else whole}\n", style="bold")
        screen.print(_table_of_ruled(ruled))
        screen.print()
    if final:
        which = "The others" if ruled else f"The codes of {dialect.name}"
        screen.print(f"{which}: PERMANENT, never retried\n", style="bold")
        screen.print(_table_of_final(final))
        screen.print()
    kind = "listed code"
    if dialect.unknown_code is not None:
        kind = "code"
        rule = f"{dialect.unknown_code.name}, {_in_short(dialect.unknown_code)}"
        screen.print(f"Codes that are not listed: {rule}\n", style="bold")
    screen.print(f"Responses without a {kind}: the HTTP status decides\n", style="bold")
    screen.print(_table_of_statuses(dialect))
    screen.print(_UNCODED)
    if dialect.requests.post_is_repeatable:
        screen.print(_POST)


def _table_of_ruled(specs: list[ErrorSpec]) -> Table:
    table = _table("code", "status", "class", "what happens")
    for spec in specs:
        wait = "" if spec.wait is None else f", after {spec.wait:g} s or when the server says"
        text = Text(_in_short(spec.error_class) + wait)
        if spec.meaning:
            text += Text(f"\n{spec.meaning}", "dim")
        table.add_row(spec.code, str(spec.status or "-"), spec.error_class.name, text)
    return table


def _table_of_final(specs: list[ErrorSpec]) -> Table:
    table = _table("code", "status", "meaning")
    order = list(dict.fromkeys(spec.category for spec in specs))
    together = sorted(specs, key=lambda spec: order.index(spec.category))
    for category, rows in groupby(together, key=lambda spec: spec.category):
        if category:
            table.add_row(Text(category, "italic"), "", "")
        for spec in rows:
            indent = "  " if category else ""
            table.add_row(f"{indent}{spec.code}", str(spec.status or "-"), spec.meaning)
    return table


def _table_of_statuses(dialect: Dialect) -> Table:
    table = _table("status", "class", "what happens")
    for status, error_class in sorted(dialect.statuses.items()):
        table.add_row(str(status), error_class.name, _in_short(error_class))
    for status, error_class in sorted(dialect.statuses_that_wait.items()):
        row = f"{status}, if it asks for a wait"
        table.add_row(row, error_class.name, _in_short(error_class))
    return table


def _table(*heads: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table
