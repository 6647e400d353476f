"""A report as tables; readable at 80 columns and without a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from .._screen import in_one_line
from .._tables import new_table
from .result import Report
from .times import as_date, as_duration

NOT_IN_LOG = "not in this log"
_ROWS = 15
"""Rows of a table that grows with the log."""


def show(report: Report, screen: Console) -> None:
    """Show a report."""
    screen.print(first_line(report))
    for note in notes(report):
        screen.print(note)
    _section(screen, "Calls", _calls(report))
    _section(screen, "What failed, and what became of it", _failures(report))
    _section(screen, "By origin", _places(report["origins"], "origin"))
    _section(screen, "By path", _places(report["paths"], "path"))
    _section(screen, "Time lost, in seconds of all calls together", _time_lost(report))
    _section(screen, "Rate limits", _limits(report))
    _section(screen, "Away", _outages(report))
    _attention(report, screen)
    _timelines(report, screen)


def _section(screen: Console, title: str, table: Table | str | None) -> None:
    if table is not None:
        screen.print(f"\n{title}\n", style="bold")
        screen.print(table)


def first_line(report: Report) -> str:
    """Return what was read: how many lines, which events, of what time."""
    events = ", ".join(f"{name} {count}" for name, count in report["events"].items())
    since, until = as_date(report["since"]), as_date(report["until"])
    times = f"; {since} to {until} UTC" if report["since"] is not None else ""
    return f"{report['lines']['records']} records: {events or 'none of those asked for'}{times}"


def notes(report: Report) -> list[str]:
    """Return what else is to be said of what was read, a sentence each."""
    lines, found = report["lines"], []
    for name, what in (
        ("others", "of others"),
        ("malformed", "with values that this library never writes"),
        ("too_long", "too long to be read"),
        ("unfinished", "without an end"),
        ("untimed", "without a readable time"),
    ):
        if lines[name]:
            found.append(f"{lines[name]} {what}")
    said = [f"Lines not used: {', '.join(found)}."] if found else []
    if lines["untimed"]:
        said = [f"Lines not used, or without their time: {', '.join(found)}."]
    if report["forgotten_calls"]:
        said.append(
            f"{report['forgotten_calls']} open calls were forgotten, for there were too many: "
            "what recovered is too low by as much."
        )
    return said


def _count(number: float | None) -> str:
    return NOT_IN_LOG if number is None else f"{number:g}" if number < 1e6 else f"{number:.0f}"


def _share(part: int | None, whole: int | None) -> str:
    if part is None or not whole:
        return "-"
    return f"{100 * part / whole:.2f} %"


def _calls(report: Report) -> Table | str:
    calls = report["calls"]
    if calls is None:
        return f"{NOT_IN_LOG}: it needs traffic_summary (info) or call_finished (debug)"
    table = new_table()
    for head in ("calls", "succeeded", "of all", "attempts", "attempts per call", "counted by"):
        table.add_column(head, justify="right")
    table.add_row(
        _count(calls["calls"]),
        _count(calls["succeeded"]),
        _share(calls["succeeded"], calls["calls"]),
        _count(calls["attempts"]),
        _count(calls["attempts_per_call"]),
        calls["source"],
    )
    return table


def reasons(gave_up: Mapping[str, int]) -> str:
    """Return why calls gave up, and how often."""
    return ", ".join(f"{count} {in_one_line(reason)}" for reason, count in gave_up.items())


def _failures(report: Report) -> Table | str:
    if not report["failures"]:
        return "nothing"
    table = new_table()
    table.add_column("class")
    table.add_column("code or failure", overflow="fold")
    for head in ("met", "retried", "recovered"):
        table.add_column(head, justify="right")
    table.add_column("gave up", no_wrap=True)
    for each in report["failures"][:_ROWS]:
        table.add_row(
            in_one_line(each["error_class"]),
            in_one_line(each["what"]),
            _count(each["met"]),
            _count(each["retried"]),
            _count(each["recovered"]),
            "\n".join(reasons(each["gave_up"]).split(", ")) or "-",
        )
    return _with_rest(table, len(report["failures"]))


def _with_rest(table: Table, rows: int) -> Table:
    if rows > _ROWS:
        table.caption = f"{rows - _ROWS} more: --json and --html have them"
    return table


def _places(places: list[Report], head: str) -> Table | None:
    if not places:
        return None
    table = new_table()
    table.add_column(head, overflow="fold")
    for column in ("calls", "succeeded", "attempts", "failed", "recovered", "gave up"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in places[:_ROWS]:
        name = each["origin"]
        if head == "path":
            name = f"{each['method']} {each['path']}" if each["path"] else name
        numbers = ("calls", "succeeded", "attempts", "failures", "recovered", "gave_up")
        row = ("-" if each[key] is None else _count(each[key]) for key in numbers)
        table.add_row(in_one_line(name), *row)
    return _with_rest(table, len(places))


def _time_lost(report: Report) -> Table:
    table, lost = new_table(), report["time_lost"]
    table.add_column("to")
    table.add_column("seconds", justify="right")
    throttle = lost["throttle"]
    table.add_row("throttle", NOT_IN_LOG if throttle is None else f"{throttle:.1f}")
    for source, seconds in lost["backoff"].items():
        name = "backoff" if source == "backoff" else f"backoff, by {in_one_line(source)}"
        table.add_row(name, f"{seconds:.1f}")
    table.add_row("parking", f"{lost['parking']:.1f}")
    return table


def _limits(report: Report) -> Table | str:
    limits = report["rate_limits"]
    if not limits:
        return NOT_IN_LOG
    table = new_table()
    table.add_column("origin and scope", overflow="fold")
    for head in ("limit", "least left", "of the limit", "at (UTC)", "held, s"):
        table.add_column(head, justify="right")
    table.add_column("held by", overflow="fold")
    for each in limits[:_ROWS]:
        share = each["least_share"]
        table.add_row(
            in_one_line(f"{each['origin']} {each['scope']}"),
            "-" if each["limit"] is None else _count(each["limit"]),
            "-" if each["least_remaining"] is None else _count(each["least_remaining"]),
            "-" if share is None else f"{100 * share:.1f} %",
            as_date(each["at"]),
            f"{each['held']:.1f}",
            reasons(each["holds"]) or "-",
        )
    return _with_rest(table, len(limits))


def _outages(report: Report) -> Table | None:
    if not report["outages"]:
        return None
    table = new_table()
    for head in ("what", "origin", "since (UTC)", "for", "reason"):
        table.add_column(head, overflow="fold")
    for each in report["outages"][:_ROWS]:
        is_over = each["elapsed"] is not None
        table.add_row(
            each["what"],
            in_one_line(each["origin"]),
            as_date(each["at"]),
            as_duration(each["elapsed"]) if is_over else "not over in this log",
            in_one_line(each["reason"]),
        )
    return _with_rest(table, report["outages_in_all"])


def _attention(report: Report, screen: Console) -> None:
    screen.print("\nWhat needs a person\n", style="bold")
    found = report["needs_a_person"]
    if not found:
        screen.print("nothing")
    for each in found[:_ROWS]:
        times = "once" if each["count"] == 1 else f"{each['count']} times"
        screen.print(in_one_line(f"{each['kind']}: {each['what']}, {times}"), style="red")
        for line in ticket(each):
            screen.print(Padding(in_one_line(line), (0, 0, 0, 2)))
    if len(found) > _ROWS:
        screen.print(f"{len(found) - _ROWS} more: --json and --html have them")


def ticket(each: Report) -> list[str]:
    """Return what there is to say of calls that need a person, line by line."""
    lines = [each["advice"]] if each["advice"] else []
    lines.append(f"{each['origin']}, {as_date(each['first'])} to {as_date(each['last'])} UTC")
    for head, key in (("", "paths"), ("request ids: ", "request_ids")):
        if each[key]:
            lines.append(head + ", ".join(each[key]))
    if each["call_ids"] and not each["request_ids"]:
        lines.append("call ids: " + ", ".join(each["call_ids"][:3]))
    return lines


def steps_of(recovery: Report) -> Iterator[tuple[str, str]]:
    """Yield the lines of a recovery's timeline: when, after its first line, and what."""
    steps = recovery["steps"]
    begin = next((step["at"] for step in steps if step["at"] is not None), None)
    for step in steps:
        after = "-" if step["at"] is None else f"+{step['at'] - begin:.3f} s"
        yield after, _step(step)
    if recovery["cut"]:
        yield "", f"{recovery['cut']} more steps"


def _step(step: Mapping[str, Any]) -> str:
    text = str(step["event"])
    if step["attempt"] is not None:
        text = f"attempt {step['attempt']:g}: {text}"
    if step["what"] is not None:
        text += f" {step['what']}"
    if step["delay"] is not None:
        text += f", {step['delay']:g} s"
    if step["source"] is not None:
        text += f" ({step['source']})"
    return in_one_line(text)


def _timelines(report: Report, screen: Console) -> None:
    slowest = report["slowest_recoveries"]
    if slowest is None or not slowest:
        _section(screen, "The slowest recoveries", NOT_IN_LOG if slowest is None else "none")
        return
    screen.print("\nThe slowest recoveries\n", style="bold")
    for each in slowest[:5]:
        call = f"{each['method']} {each['path']} of {each['origin']}, call {each['call_id']}"
        screen.print(in_one_line(f"{as_duration(each['elapsed'])}: {call}"))
        steps = Table.grid(padding=(0, 0, 0, 2))
        steps.add_column(justify="right", no_wrap=True, min_width=11)
        steps.add_column(overflow="fold")
        for step in steps_of(each):
            steps.add_row(*step)
        screen.print(steps)
