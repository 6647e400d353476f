"""Sixty-four threads on one transport: at one rate limit, and at none.

At the limit the clock on the wall counts, as a multiple of what a clairvoyant client needs, and how
many requests are refused; at none, all threads' processor time for each call.
"""

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable

import httpx

from ..contenders.sync import SyncContender, patient, steady
from ..contenders.transports import BARE, logger_off
from ..harness.rounds import Effort, Report, collector_off, in_turns
from ..harness.rows import Row, absent
from ..servers.sync import SyncLimitingVault, SyncVault
from ..servers.vault import CREDENTIAL, URL

NAME = "threads"
THREADS = 64
LIMIT, WINDOW, CALLS = 50, 0.5, 400
TIME, REFUSED, FREE = "one limit: time", "one limit: 429s", "no limit: processor time"


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    with logger_off():
        return [*_limited(effort, report), *_free(effort, report)]


def _limited(effort: Effort, report: Report) -> list[Row]:
    field, missing = patient()
    calls = effort.of(CALLS, least=THREADS)
    rows: dict[str, list[Row]] = {TIME: [], REFUSED: []}
    for contender in field:
        report(f"one limit: {contender.name}")
        vault = SyncLimitingVault(LIMIT, WINDOW)
        began = time.monotonic()
        well = _sent(contender.wrap(vault), calls)
        least = (calls - 1) // LIMIT * WINDOW + SyncLimitingVault.DISTANCE
        value = (time.monotonic() - began) / least if well == calls else None
        note = "" if well == calls else f"{calls - well} of {calls} calls failed"
        rows[TIME].append(_row(TIME, contender.name, value, "x minimum", note))
        refused = 100 * vault.refused / calls
        rows[REFUSED].append(_row(REFUSED, contender.name, refused, "per 100"))
    return [*rows[TIME], *absent(NAME, TIME, missing), *rows[REFUSED]]


def _free(effort: Effort, report: Report) -> list[Row]:
    field, missing = steady()
    calls = effort.of(20_000, least=THREADS)
    made: dict[str, Callable[[], float]] = {each.name: _free_turn(each, calls) for each in field}
    seen: dict[str, list[float]] = defaultdict(list)
    for name in in_turns(list(made), effort.of(5), report):
        with collector_off():
            seen[name].append(made[name]())
    base = statistics.median(seen[BARE])
    rows = []
    for name, own in seen.items():
        middle = statistics.median(own)
        rows.append(_row(FREE, name, middle, "µs a call", ratio=middle / base))
    return [*rows, *absent(NAME, FREE, missing)]


def _free_turn(contender: SyncContender, calls: int) -> Callable[[], float]:
    vault = SyncVault()
    transport = contender.wrap(vault)

    def turn() -> float:
        vault.stock(calls)
        began = time.process_time()
        _sent(transport, calls)
        return (time.process_time() - began) / calls * 1e6

    return turn


def _sent(transport: httpx.BaseTransport, calls: int) -> int:
    """Send so many requests in all threads; return how many of them went well."""
    left, statuses = iter(range(calls)), list[int]()

    def work() -> None:
        for _ in left:
            request = httpx.Request("GET", URL, headers=CREDENTIAL)
            statuses.append(transport.handle_request(request).status_code)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses.count(200)


def _row(
    what: str,
    name: str,
    value: float | None,
    unit: str,
    note: str = "",
    ratio: float | None = None,
) -> Row:
    return Row(
        benchmark=NAME, what=what, contender=name, value=value, unit=unit, note=note, ratio=ratio
    )
