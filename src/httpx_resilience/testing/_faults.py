"""What may go wrong on purpose, and the script that says for which requests it does.

A fault is data; the vault carries it out. Chance is replayable: whether a request is struck depends
on the seed, its method and path and how often that pair was asked for, not on the order in which
concurrent requests happen to arrive.
"""

import fnmatch
import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal, Self, TypedDict, Unpack, get_args

from .._core import checks
from .._core.frozen import FrozenMap
from ..dialects.scaivault import SCAIVAULT

Where = Literal["before", "within", "after", "reset"]

Headers = Mapping[str, str] | Sequence[tuple[str, str]]


class When(TypedDict, total=False):
    """How often, how late, and with what hidden effect a fault strikes; see ``Fault``."""

    times: int
    after: float
    processed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedError:
    """The error envelope with a code of the catalogue."""

    code: str
    status: int | None = None
    message: str | None = None
    details: Mapping[str, object] = field(default_factory=FrozenMap[str, object])
    retry_after: float | str | None = None

    def __post_init__(self) -> None:
        check_code("Fault.code", self.code)
        if self.status is not None:
            checks.integer("Fault.code.status", self.status, low=200, high=599)
        if not isinstance(self.retry_after, str):
            checks.number("Fault.code.retry_after", self.retry_after, low=0, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A response that the vault itself never wrote: a proxy's, or a hostile one."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    dated: bool = True

    def __post_init__(self) -> None:
        checks.integer("Fault.status", self.status, low=200, high=599)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A connection that ends too early, and which answer it ends in."""

    where: Where
    code: str | None = None

    def __post_init__(self) -> None:
        checks.one_of("Fault.drop", self.where, get_args(Where))
        if self.code is not None:
            check_code("Fault.drop.code", self.code)

    @property
    def cuts_an_answer(self) -> bool:
        """Whether bytes of an answer are sent, so that the request must have been carried out."""
        return self.where in ("within", "after") and self.code is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Describe one thing that goes wrong.

    Made with ``code``, ``html``, ``status``, ``raw``, ``drop`` or ``delay``, which all take the
    keywords ``times``, ``after`` and ``processed`` (``delay``: its seconds instead of ``after``).

    Attributes:
        effect: What the client gets; None for the ordinary answer, which only comes late.
        times: How many matching requests it strikes, from 1; in ``chaos``, its weight.
        after: Seconds that pass before it strikes, from 0.
        processed: Carry the request out first, so that only its answer is lost or replaced.

    Raises:
        ValueError: A value is out of range, or the code is not in the catalogue.

    >>> Fault.code("internal_error", times=2).times
    2
    """

    effect: CodedError | Reply | Drop | None
    times: int = 1
    after: float = 0.0
    processed: bool = False

    def __post_init__(self) -> None:
        checks.integer("Fault.times", self.times, low=1)
        checks.number("Fault.after", self.after, low=0)

    @classmethod
    def code(
        cls,
        code: str,
        *,
        status: int | None = None,
        message: str | None = None,
        details: Mapping[str, object] | None = None,
        retry_after: float | str | None = None,
        **when: Unpack[When],
    ) -> Self:
        """Answer with an error code of the catalogue, in its envelope.

        Args:
            code: One of ScaiVault's 51 codes.
            status: Another HTTP status than the catalogue's, in [200, 599].
            message: The envelope's sentence; by default the catalogue's meaning.
            details: The envelope's details.
            retry_after: The ``Retry-After`` header: seconds, or any text (an HTTP-date, nonsense).
                By default none is sent.
            **when: ``times``, ``after``, ``processed``; see the class.

        >>> Fault.code("internal_eror")
        Traceback (most recent call last):
        ValueError: Fault.code: got 'internal_eror', allowed is a code of ScaiVault's catalogue \
(did you mean 'internal_error'?)
        """
        effect = CodedError(
            code=code,
            status=status,
            message=message,
            details=FrozenMap(details),
            retry_after=retry_after,
        )
        return cls(effect=effect, **when)

    @classmethod
    def html(cls, status: int, *, retry_after: float | None = None, **when: Unpack[When]) -> Self:
        """Answer with an HTML page as a proxy would: no envelope, no rate-limit headers.

        >>> Fault.html(503).effect.headers
        (('content-type', 'text/html'),)
        """
        checks.integer("Fault.html", status, low=200, high=599)
        checks.number("Fault.html.retry_after", retry_after, low=0, optional=True)
        title = f"{status} {phrase_of(status)}".rstrip()
        page = (
            f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
            f"<center><h1>{title}</h1></center>\r\n<hr><center>proxy</center>\r\n</body>\r\n</html>\r\n"
        )
        headers = [("content-type", "text/html"), *_retry_after_header(retry_after)]
        return cls(effect=Reply(status=status, headers=tuple(headers), body=page.encode()), **when)

    @classmethod
    def status(cls, status: int, *, retry_after: float | None = None, **when: Unpack[When]) -> Self:
        """Answer with a bare status and an empty body.

        >>> Fault.status(502).effect.body
        b''
        """
        checks.number("Fault.status.retry_after", retry_after, low=0, optional=True)
        headers = tuple(_retry_after_header(retry_after))
        return cls(effect=Reply(status=status, headers=headers), **when)

    @classmethod
    def raw(
        cls, status: int, headers: Headers = (), body: bytes | str = b"", **when: Unpack[When]
    ) -> Self:
        """Answer with exactly these headers (and a ``Content-Length`` if none is given) and body.

        >>> Fault.raw(200, {"content-type": "application/json"}, '{"error": {').effect.status
        200
        """
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        content = body.encode() if isinstance(body, str) else body
        effect = Reply(status=status, headers=tuple(pairs), body=content, dated=False)
        return cls(effect=effect, **when)

    @classmethod
    def drop(cls, where: Where, *, code: str | None = None, **when: Unpack[When]) -> Self:
        """End the connection before, within or after the headers of the answer.

        Needs ``serve`` or ``serve_in_thread`` to happen on the wire; in process the vault raises
        the exception that httpx would raise (``RemoteProtocolError``, for a reset ``ReadError``).

        Args:
            where: ``"before"``: closed without a byte; ``"reset"``: likewise, with a TCP reset;
                ``"within"``: in the middle of the headers; ``"after"``: in the middle of the body.
            code: The answer that is cut off is this error; otherwise it is the request's own, which
                has then been carried out (before the headers only if ``processed``).
            **when: ``times``, ``after``, ``processed``; see the class.

        >>> Fault.drop("before", processed=True).processed
        True
        """
        return cls(effect=Drop(where=where, code=code), **when)

    @classmethod
    def delay(cls, seconds: float, *, times: int = 1, processed: bool = False) -> Self:
        """Answer as usual, but ``seconds`` late (at least 0).

        >>> Fault.delay(-1)
        Traceback (most recent call last):
        ValueError: Fault.delay: got -1, allowed is a finite number of at least 0
        """
        checks.number("Fault.delay", seconds, low=0)
        return cls(effect=None, times=times, after=seconds, processed=processed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which requests are meant: a method and a glob over the path; None means any."""

    method: str | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        for name in ("method", "path"):
            if getattr(self, name) is not None:
                checks.instance(name, getattr(self, name), str, "a string or None")

    def matches(self, method: str, path: str) -> bool:
        """Return whether a request is meant."""
        if self.method is not None and self.method.upper() != method:
            return False
        return self.path is None or fnmatch.fnmatchcase(path, self.path)


class Queue:
    """Faults for the next requests that match, in order."""

    def __init__(self, target: Target, faults: Sequence[Fault]) -> None:
        self._target = target
        self._left = deque((fault, fault.times) for fault in faults)

    @property
    def pending(self) -> int:
        """How many requests are still to be struck."""
        return sum(times for _, times in self._left)

    def pick(self, method: str, path: str) -> Fault | None:
        """Take the fault for this request, if one is due."""
        if not self._left or not self._target.matches(method, path):
            return None
        fault, times = self._left.popleft()
        if times > 1:
            self._left.appendleft((fault, times - 1))
        return fault


class Chaos:
    """Faults by chance, the same for the same seed."""

    def __init__(self, target: Target, rate: float, faults: Sequence[Fault], seed: int) -> None:
        checks.number("chaos.rate", rate, low=0, high=1)
        if not faults:
            raise ValueError("chaos.faults: got none, allowed is at least one Fault")
        self._target = target
        self._rate = rate
        self._faults = faults
        self._seed = seed
        self._asked: Counter[tuple[str, str]] = Counter()

    def pick(self, method: str, path: str) -> Fault | None:
        """Draw for this request."""
        if not self._target.matches(method, path):
            return None
        self._asked[method, path] += 1
        nth = self._asked[method, path]
        dice = random.Random(f"{self._seed} {method} {path} {nth}")  # noqa: S311  (replayable)
        if dice.random() >= self._rate:
            return None
        return dice.choices(self._faults, weights=[fault.times for fault in self._faults])[0]


class Script:
    """All faults to come: the queues first, in the order they were added, then chance."""

    def __init__(self) -> None:
        self._rules: list[Queue | Chaos] = []

    @property
    def pending(self) -> int:
        """How many requests the queues are still to strike."""
        return sum(rule.pending for rule in self._rules if isinstance(rule, Queue))

    def queue(self, target: Target, faults: Iterable[Fault] | Fault) -> None:
        """Add faults for the next requests that match."""
        self._rules.append(Queue(target, fault_list("script.faults", faults)))

    def chaos(
        self, target: Target, rate: float, faults: Iterable[Fault] | Fault, seed: int
    ) -> None:
        """Add faults by chance."""
        self._rules.append(Chaos(target, rate, fault_list("chaos.faults", faults), seed))

    def clear(self) -> None:
        """Forget every fault that has not struck yet."""
        self._rules = []

    def pick(self, method: str, path: str) -> Fault | None:
        """Take the fault that strikes this request, or None."""
        ranked = sorted(self._rules, key=lambda rule: isinstance(rule, Chaos))
        return next((fault for rule in ranked if (fault := rule.pick(method, path))), None)


def fault_list(field_name: str, faults: Iterable[Fault] | Fault) -> list[Fault]:
    """Return the faults as a list; raise if one of them is something else."""
    given = [faults] if isinstance(faults, Fault) else list(faults)
    return [checks.instance(field_name, fault, Fault, "a Fault or several") for fault in given]


def check_code(field_name: str, code: str) -> None:
    """Raise unless ``code`` is in ScaiVault's catalogue."""
    if code not in SCAIVAULT.codes:
        hint = checks.nearest(code, SCAIVAULT.codes)
        raise ValueError(
            f"{field_name}: got {code!r}, allowed is a code of ScaiVault's catalogue{hint}"
        )


def phrase_of(status: int) -> str:
    """Return the status's reason phrase, or an empty string for a status nobody named."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _retry_after_header(retry_after: float | None) -> list[tuple[str, str]]:
    return [] if retry_after is None else [("retry-after", f"{retry_after:g}")]
