"""The tables that ``demo`` and ``fetch`` share; readable at 80 columns and without a terminal."""

from collections import Counter
from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import RateLimitStatus
from .._core.dialect.catalog import ErrorClass
from .._core.retry import decision
from ._screen import in_one_line
from ._tally import BODY_LOST, INTERRUPTED, SUCCESS, Met, Tally

MEANINGS = {
    decision.PERMANENT: "the same request would fail again",
    decision.ATTEMPTS_EXHAUSTED: "tried as often as this class of error allows",
    decision.BUDGET_EXHAUSTED: "too many retries failed; the server is spared",
    decision.OUT_OF_TIME: "a wait or an attempt would pass the time limit",
    decision.RETRY_AFTER_TOO_LONG: "the server asks for a longer wait than allowed",
    decision.THROTTLE_TIMEOUT: "the rate limit leaves no room in time",
    decision.NOT_IDEMPOTENT: "may have been done already; twice could do harm",
    decision.BODY_NOT_REPLAYABLE: "the request body could be sent only once",
    decision.DISABLED: "retries were switched off for the call",
    decision.UNAVAILABLE: "the server was away for longer than calls wait for it",
    decision.VETOED: "the server says that another attempt does not help",
    decision.CLOSED: "the transport was closed while the call waited",
    BODY_LOST: "200, then the body broke off: yours to repeat",
    INTERRUPTED: "stopped by you while it was to be repeated",
}
"""What each reason to stop means, for people who have not read the documentation."""

_CLASSES = [error_class.value for error_class in ErrorClass]
_WELL, _ILL = "green", "red"


def show(tally: Tally, seconds: float, screen: Console) -> None:
    """Show what was counted: totals, what went wrong, why calls failed."""
    screen.print(_totals(tally, seconds))
    if tally.met:
        screen.print("\nWhat went wrong, and how the calls that met it ended\n", style="bold")
        screen.print(_troubles(tally))
    if tally.succeeded < tally.calls:
        screen.print("\nWhy calls failed\n", style="bold")
        screen.print(_reasons(tally))


def show_limits(statuses: Iterable[RateLimitStatus], screen: Console) -> None:
    """Show what is known of the server's rate limits; nothing if it announced none."""
    announced = [s for s in statuses if s.limit is not None or s.remaining is not None]
    if not announced:
        return
    screen.print("\nWhat the server said of its limits, as of now\n", style="bold")
    table = new_table()
    table.add_column("scope", overflow="fold")
    for head in ("limit", "remaining", "reset in", "window"):
        table.add_column(head, justify="right")
    for status in announced:
        name = status.bucket if status.bucket and status.bucket not in status.scope else ""
        unit = "" if status.unit == "requests" else f" {in_one_line(status.unit)}"
        table.add_row(
            in_one_line(f"{status.scope} {name}"),
            "-" if status.limit is None else f"{status.limit}{unit}",
            "-" if status.remaining is None else f"{status.remaining}",
            _until(status.reset_in),
            "-" if status.window is None else f"{status.window:g} s",
        )
    screen.print(table)


def _until(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds > 0 else "past"


def _totals(tally: Tally, seconds: float) -> Table:
    table = new_table()
    for head in ("calls", "succeeded", "failed", "attempts", "attempts per call", "time"):
        table.add_column(head, justify="right")
    failed = tally.calls - tally.succeeded
    table.add_row(
        f"{tally.calls}",
        Text(f"{tally.succeeded}", _WELL),
        Text(f"{failed}", _ILL if failed else ""),
        f"{tally.attempts}",
        f"{tally.attempts / max(1, tally.calls):.2f}",
        f"{seconds:.1f} s",
    )
    return table


def _troubles(tally: Tally) -> Table:
    table = new_table()
    table.add_column("class")
    table.add_column("code or failure", overflow="fold")
    table.add_column("calls", justify="right")
    table.add_column("retries", justify="right")
    table.add_column("ended", overflow="fold")
    before = None
    for error_class, kind, met in _ordered(tally):
        shown = (error_class.upper() or "-") if error_class != before else ""
        table.add_row(shown, kind, f"{met.calls}", f"{met.retries}", _endings(met.endings))
        before = error_class
    return table


def _ordered(tally: Tally) -> Iterator[tuple[str, str, Met]]:
    def rank(item: tuple[tuple[str, str], Met]) -> tuple[int, int, str]:
        (error_class, kind), met = item
        known = error_class in _CLASSES
        return (_CLASSES.index(error_class) if known else len(_CLASSES), -met.calls, kind)

    for (error_class, kind), met in sorted(tally.met.items(), key=rank):
        yield error_class, kind, met


def _endings(endings: Counter[str]) -> Text:
    lines = [
        Text(f"{count} succeeded", _WELL) if ending == SUCCESS else Text(f"{count} {ending}", _ILL)
        for ending, count in endings.most_common()
    ]
    return Text("\n").join(lines)


def _reasons(tally: Tally) -> Table:
    table = new_table()
    table.add_column("reason", style=_ILL, no_wrap=True)
    table.add_column("calls", justify="right")
    table.add_column("that is")
    for reason, count in tally.endings.most_common():
        if reason != SUCCESS and count:
            table.add_row(reason, f"{count}", MEANINGS.get(reason, ""))
    return table


def new_table() -> Table:
    """Return a table in the style of all."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
