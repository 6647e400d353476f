"""Counts what happened, one record after the other, in constant memory."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from .attention import AWAY, NESTED, STORE, Attentions
from .bins import Bins, Part
from .calls import Failure, OpenCall, OpenCalls, SlowestRecoveries, what_failed
from .limits import Limits
from .outages import Outages
from .records import Record
from .selection import Selection

MOST_KINDS = 2000
"""Kinds of failure, and paths, that are distinguished; the others are counted together."""

OTHERS = "(others)"
_PARKED_SOURCES = ("release", "probe")


@dataclass(slots=True)
class FailureCount:
    """How often attempts failed in one way, and what became of it.

    Attributes:
        met: Attempts that failed so.
        retried: Those that were followed by another.
        recovered: Calls that met it, and succeeded.
        gave_up: Calls that ended with it, by reason.
    """

    met: int = 0
    retried: int = 0
    recovered: int = 0
    gave_up: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Place:
    """What became of the calls to an origin, or to one of its paths.

    Attributes:
        calls, succeeded, attempts: Of calls that ended, where each was logged.
        covered, covered_succeeded, covered_attempts: The same by the summaries.
        failures: Attempts that failed.
        recovered, gave_up: Calls that succeeded after that, and that did not.
    """

    calls: int = 0
    succeeded: int = 0
    attempts: int = 0
    covered: int = 0
    covered_succeeded: int = 0
    covered_attempts: int = 0
    failures: int = 0
    recovered: int = 0
    gave_up: int = 0


@dataclass(slots=True)
class Waits:
    """Seconds that calls waited.

    Attributes:
        throttle: For the rate limit, where each wait was logged.
        covered: The same by the summaries.
        backoff: Before retries, by what the delay followed.
        parking: For an origin to recover.
    """

    throttle: float = 0.0
    covered: float = 0.0
    backoff: dict[str, float] = field(default_factory=dict)
    parking: float = 0.0


class Counts:
    """All that a report shows, as far as it was read.

    Attributes:
        events: How many records of each event were counted.
        first, last: When, in seconds since 1970.
        bins: What happened when.
        failures, paths, origins, waits, limits, outages, attentions, slowest, open: What it says.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.events: Counter[str] = Counter()
        self.first: float | None = None
        self.last: float | None = None
        self.bins = Bins()
        self.failures: dict[Failure, FailureCount] = {}
        self.paths: dict[tuple[str, str, str], Place] = {}
        self.origins: dict[str, Place] = {}
        self.waits = Waits()
        self.limits = Limits()
        self.outages = Outages()
        self.attentions = Attentions()
        self.slowest = SlowestRecoveries()
        self.open = OpenCalls()
        self._nowhere = Part()
        self._do: dict[str, Callable[[Record, Part], None]] = {
            "call_finished": self._call_finished,
            "gave_up": self._gave_up,
            "nested_transport": self._nested_transport,
            "origin_recovered": self._origin_recovered,
            "origin_unavailable": self._origin_unavailable,
            "rate_limit_changed": self._rate_limit,
            "rate_limit_low": self._rate_limit,
            "rate_limit_observed": self._rate_limit,
            "recovered": self._recovered,
            "recovery_hook": self._recovery_hook,
            "retry_parked": self._retry_parked,
            "retry_scheduled": self._retry_scheduled,
            "store_back": self._store_back,
            "store_lost": self._store_lost,
            "throttle_delayed": self._throttle_delayed,
            "throttle_held": self._throttle_held,
            "throttle_released": self._throttle_released,
            "traffic_summary": self._traffic_summary,
        }

    def take(self, record: Record) -> None:
        """Count a record, if it is one of those asked for."""
        if not self.selection.takes(record) or not self._is_of_code(record):
            return
        event, at = record["event"], record["at"]
        self.events[event] += 1
        part = self._nowhere
        if at is not None:
            if self.first is None or at < self.first:
                self.first = at
            if self.last is None or at > self.last:
                self.last = at
            part = self.bins.at(at)
        count = self._do.get(event)
        if count is not None:
            count(record, part)

    def _is_of_code(self, record: Record) -> bool:
        code = self.selection.code
        if code is None:
            return True
        call_id = record.get("call_id")
        if call_id is None:
            return False
        named = (record.get("code"), record.get("exception_type"), f"{record.get('status')}")
        if code in named:
            self.open.open(call_id).is_selected = True
            return True
        call = self.open.find(call_id)
        return call is not None and call.is_selected

    def _failed(self, record: Record) -> Failure:
        return record.get("error_class") or "-", what_failed(record) or "-"

    def _failure(self, key: Failure) -> FailureCount:
        found = self.failures.get(key)
        if found is None:
            if len(self.failures) >= MOST_KINDS:
                key = ("-", OTHERS)
            found = self.failures.setdefault(key, FailureCount())
        return found

    def _places(self, record: Record) -> tuple[Place, Place]:
        key = (record["origin"], record["method"], record["path"])
        path = self.paths.get(key)
        if path is None:
            if len(self.paths) >= MOST_KINDS:
                key = (OTHERS, "", "")
            path = self.paths.setdefault(key, Place())
        return self._origin(record), path

    def _origin(self, record: Record) -> Place:
        origin = record["origin"]
        found = self.origins.get(origin)
        if found is None:
            if len(self.origins) >= MOST_KINDS:
                origin = OTHERS
            found = self.origins.setdefault(origin, Place())
        return found

    def _attempt_failed(self, record: Record, part: Part) -> tuple[OpenCall, FailureCount]:
        key = self._failed(record)
        call, failure = self.open.open(record["call_id"]), self._failure(key)
        if key not in call.met:
            call.met.append(key)
        failure.met += 1
        part.failures += 1
        for place in self._places(record):
            place.failures += 1
        return call, failure

    def _parked(self, record: Record, call: OpenCall | None, part: Part) -> float:
        """Count what a call was parked since that was counted last; return it, in seconds."""
        parked: float = record.get("parked", 0.0)
        more = max(0.0, parked - (0.0 if call is None else call.parked))
        if call is not None:
            call.parked = max(call.parked, parked)
        self.waits.parking += more
        part.parking += more
        return more

    def _retry_scheduled(self, record: Record, part: Part) -> None:
        call, failure = self._attempt_failed(record, part)
        call.add(record)
        failure.retried += 1
        part.retries += 1
        parked, source = self._parked(record, call, part), record["delay_source"]
        # The delay of a retry that was parked is all the time since its attempt failed.
        backoff = max(0.0, record["delay"] - parked)
        source = "backoff" if source in _PARKED_SOURCES else source
        self.waits.backoff[source] = self.waits.backoff.get(source, 0.0) + backoff
        part.backoff += backoff

    def _retry_parked(self, record: Record, part: Part) -> None:
        self.open.open(record["call_id"]).add(record)

    def _recovery_hook(self, record: Record, part: Part) -> None:
        if record["outcome"] == "request":  # otherwise the call gives up, which is counted then
            call, failure = self._attempt_failed(record, part)
            failure.retried += 1
            part.retries += 1
        else:
            call = self.open.open(record["call_id"])
        call.add(record)

    def _recovered(self, record: Record, part: Part) -> None:
        call = self.open.close(record["call_id"])
        self._parked(record, call, part)
        for place in self._places(record):
            place.recovered += 1
        call = call or OpenCall()  # the log begins in the middle of it
        for key in call.met:
            self._failure(key).recovered += 1
        self.slowest.add(record, call)

    def _gave_up(self, record: Record, part: Part) -> None:
        call, failure = self._attempt_failed(record, part)
        self.open.close(record["call_id"])
        self._parked(record, call, part)
        failure.gave_up[record["reason"]] += 1
        part.gave_up += 1
        for place in self._places(record):
            place.gave_up += 1
        self.attentions.gave_up(record, self._failed(record)[1])

    def _call_finished(self, record: Record, part: Part) -> None:
        self.open.close(record["call_id"])
        is_success, attempts = record["reason"] == "success", record["attempt"]
        for each in (part, *self._places(record)):
            each.calls += 1
            each.succeeded += is_success
            each.attempts += attempts

    def _traffic_summary(self, record: Record, part: Part) -> None:
        for each in (part, self._origin(record)):
            each.covered += record["calls"]
            each.covered_succeeded += record["succeeded"]
            each.covered_attempts += record["attempts"]
        self.waits.covered += record["held"]
        self.limits.summarised(record)

    def _throttle_delayed(self, record: Record, part: Part) -> None:
        self.open.open(record["call_id"]).add(record)
        self.waits.throttle += record["delay"]
        part.throttle += record["delay"]

    def _rate_limit(self, record: Record, part: Part) -> None:
        share = self.limits.observed(record)
        if share is not None:
            part.saw_share(share)

    def _throttle_held(self, record: Record, part: Part) -> None:
        self.limits.held(record)

    def _throttle_released(self, record: Record, part: Part) -> None:
        self.limits.released(record)

    def _origin_unavailable(self, record: Record, part: Part) -> None:
        self.outages.began(record)

    def _origin_recovered(self, record: Record, part: Part) -> None:
        self.outages.ended(record)

    def _store_lost(self, record: Record, part: Part) -> None:
        self.outages.began(record)

    def _store_back(self, record: Record, part: Part) -> None:
        self.outages.ended(record)

    def _nested_transport(self, record: Record, part: Part) -> None:
        self.attentions.add(NESTED, record, "nested_transport")

    def finish(self) -> None:
        """Count what only the end of the log shows."""
        for record in self.outages.still():
            is_store = record["event"] == "store_lost"
            self.attentions.add(STORE if is_store else AWAY, record, record["reason"])
