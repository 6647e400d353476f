"""What a call costs more when its first attempt fails and the second succeeds.

The first answer is a coded 503, the second a 200; the same contender's call that succeeds at once
is subtracted. So the second attempt's own sending is in it, as ``bare`` shows, who sends twice by
hand. Waits take virtual time; backoffs are a thousandth of a second, that clocks stay plausible.
Once with nobody listening to the log, once with lines written as JSON into memory: by structlog,
and by way of structlog's formatter for those who use ``logging``.
"""

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import httpx
import structlog

from httpx_resilience import Backoff, ErrorClass, Policy, RetryPolicy

from ..contenders.peers import RETRIES, STAMINA, TENACITY, retrying_at_once, wrapping_peers
from ..contenders.transports import BARE, Contender, bare, ours, request_for
from ..harness.rounds import Effort, Report, Stopwatch, Turn, against, prefixed, take_turns
from ..harness.rows import Row, absent
from ..harness.virtual import ServerTime, run_virtual
from ..servers.vault import InProcessVault, StumblingVault

NAME = "retry"
OFF, JSON = "logging off", "one structlog JSON line"
_STDLIB = ("httpx_retries", "httpx_tenacity")
_SOON = RetryPolicy(backoff={ErrorClass.TRANSIENT: Backoff(initial=0.001, maximum=0.001)})

Sink = io.StringIO
Listening = Callable[[Sink], AbstractContextManager[None]]


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    return run_virtual(_run(effort, report))


async def _run(effort: Effort, report: Report) -> list[Row]:
    names = (RETRIES, STAMINA, TENACITY)
    present, missing = wrapping_peers(*names)
    others = [Contender(peer.name, retrying_at_once(peer.name)) for peer in present]
    field = [replace(bare(), wrap=TwiceByHand), ours(policy=Policy(retry=_SOON)), *others]
    rows: list[Row] = []
    for what, listening in ((OFF, _nobody), (JSON, _json)):
        pairs = {each.name: _pair(each, listening) for each in field}
        turns = {
            f"{name} {part}": turn for name, pair in pairs.items() for part, turn in pair.parts
        }
        figures = await take_turns(
            turns,
            rounds=effort.of(15, least=3),
            calls=effort.of(400, least=10),
            report=prefixed(report, what),
        )
        rows += _rows(what, pairs, figures) + absent(NAME, what, missing)
    return rows


@dataclass(frozen=True, slots=True)
class Pair:
    """One contender's calls that succeed at once, and those that stumble first."""

    steady: Turn
    stumbling: Turn
    lines: list[int]

    @property
    def parts(self) -> tuple[tuple[str, Turn], tuple[str, Turn]]:
        """Both, by name."""
        return ("steady", self.steady), ("stumbling", self.stumbling)


class TwiceByHand(httpx.AsyncBaseTransport):
    """Sends once more after a 503, and nothing else."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send once or twice."""
        response = await self._inner.handle_async_request(request)
        if response.status_code != 503:
            return response
        return await self._inner.handle_async_request(request)


def _pair(contender: Contender, listening: Listening) -> Pair:
    lines: list[int] = []
    steady = _turn(contender, InProcessVault(ServerTime()), listening, [])
    return Pair(steady, _turn(contender, StumblingVault(ServerTime()), listening, lines), lines)


def _turn(
    contender: Contender, vault: InProcessVault, listening: Listening, lines: list[int]
) -> Turn:
    transport = contender.wrap(vault)
    request = request_for(contender)

    async def turn(calls: int) -> float:
        vault.stock(calls)
        vault.served = 0
        sink = Sink()
        with listening(sink), Stopwatch() as watch:
            for _ in range(calls):
                await transport.handle_async_request(request)
        if vault.served < calls:
            raise RuntimeError(f"{contender.name} did not get over a 503")
        lines.append(round(sink.getvalue().count("\n") / calls))
        return watch.seconds

    return turn


def _rows(what: str, pairs: dict[str, Pair], figures: dict[str, list[float]]) -> list[Row]:
    added = {
        name: against(figures[f"{name} stumbling"], figures[f"{name} steady"]).added
        for name in pairs
    }
    return [
        Row(
            benchmark=NAME,
            what=what,
            contender=name,
            value=value,
            unit="µs",
            ratio=value / added[BARE],
            note=_lines_logged(max(pairs[name].lines)) if what == JSON else "",
        )
        for name, value in added.items()
    ]


def _lines_logged(lines: int) -> str:
    return "1 line a retried call" if lines == 1 else f"{lines or 'no'} lines a retried call"


@contextmanager
def _nobody(sink: Sink) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("httpx_resilience", *_STDLIB)]
    for logger in loggers:
        logger.disabled = True
    try:
        with _stamina_logs_by(None):
            yield
    finally:
        for logger in loggers:
            logger.disabled = False


@contextmanager
def _json(sink: Sink) -> Iterator[None]:
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.WriteLoggerFactory(file=sink),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sink)
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
        foreign_pre_chain=shared,
    )
    handler.setFormatter(formatter)
    try:
        with _all_lines_to(handler), _stamina_logs_by("StructlogOnRetryHook"):
            yield
    finally:
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)


@contextmanager
def _all_lines_to(handler: logging.Handler) -> Iterator[None]:
    """Write what the peers that use ``logging`` log; all of it is at level debug."""
    loggers = [logging.getLogger(name) for name in _STDLIB]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.propagate = True
            logger.setLevel(level)


@contextmanager
def _stamina_logs_by(hook: str | None) -> Iterator[None]:
    try:
        hooks: Any = import_module("stamina.instrumentation")
    except ImportError:
        yield
        return
    hooks.set_on_retry_hooks([] if hook is None else [getattr(hooks, hook)])
    try:
        yield
    finally:
        hooks.set_on_retry_hooks(None)
