"""What an API says of its failures and requests, piece by piece; ``dialect`` puts it together."""

import enum
import re
from dataclasses import dataclass

from .. import checks
from .paths import Path, check_paths

TOKEN = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""What a code or an id must look like to be logged; other text could forge a line."""

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")

_LONGEST_WAIT = 86_400.0
_LONGEST_PATTERN = 256

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE", "PUT"})
"""Methods that may be repeated without asking (RFC 9110, section 9.2.2)."""


class ErrorClass(enum.StrEnum):
    """The kind of failure, which decides what happens next."""

    RATE_LIMITED = "rate_limited"
    TRANSIENT = "transient"
    INTERNAL = "internal"
    CONFLICT = "conflict"
    CONNECTION = "connection"
    PERMANENT = "permanent"

    def __repr__(self) -> str:
        return f"ErrorClass.{self.name}"


def _check_code(field: str, code: object) -> None:
    checks.instance(field, code, str, "a string")
    if not TOKEN.fullmatch(str(code)):
        raise ValueError(f"{field}: got {code!r}, allowed are 1 to 128 of A-Z a-z 0-9 _ . : -")


def check_header(field: str, name: object, allowed: str = "a header name") -> None:
    """Raise unless ``name`` is a header's name; the error says what is allowed."""
    checks.instance(field, name, str, allowed)
    if not _HEADER.fullmatch(str(name)):
        raise ValueError(f"{field}: got {name!r}, allowed is {allowed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSpec:
    """One row of an API's error catalogue.

    Attributes:
        code: The machine-readable code, as it stands in the body.
        error_class: What the code means for a retry.
        status: The HTTP status the catalogue gives it, or None if it gives none.
        category: The catalogue's heading, for people.
        meaning: What went wrong, in one sentence.
        advice: What a person on call can do about it, in one sentence.
        wait: Seconds to wait before another attempt, where the response names no time; above 0 and
            at most a day. None leaves it to the backoff.

    >>> ErrorSpec(code="too_busy", error_class=ErrorClass.TRANSIENT).status is None
    True
    """

    code: str
    error_class: ErrorClass
    status: int | None = None
    category: str = ""
    meaning: str = ""
    advice: str = ""
    wait: float | None = None

    def __post_init__(self) -> None:
        _check_code("ErrorSpec.code", self.code)
        where = f"ErrorSpec({self.code!r})"
        checks.instance(
            f"{where}.error_class", self.error_class, ErrorClass, "a member of ErrorClass"
        )
        for field in ("category", "meaning", "advice"):
            checks.instance(f"{where}.{field}", getattr(self, field), str, "a string")
        if self.status is not None:
            checks.integer(f"{where}.status", self.status, low=100, high=599)
        checks.number(
            f"{where}.wait", self.wait, low=0, high=_LONGEST_WAIT, above=True, optional=True
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRule:
    """A code for errors that carry none, by what their message says; the last resort.

    Attributes:
        contains: What the message contains, without regard to case; where the envelope finds no
            message, the body's text. 1 to 256 characters, of which the first 16,384 are searched.
        code: The code that such an error is given.
        statuses: HTTP statuses of such errors; empty for all of 400 and above.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: A field is out of range; the message names it, its value and what is allowed.

    >>> MessageRule(contains="Secondary Rate Limit", code="slow", statuses=(403, 429)).code
    'slow'
    """

    contains: str
    code: str
    statuses: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        checks.instance("MessageRule.contains", self.contains, str, "a string")
        if not self.contains.strip() or len(self.contains) > _LONGEST_PATTERN:
            raise ValueError(
                f"MessageRule.contains: got {checks.shown(self.contains[:_LONGEST_PATTERN])}, "
                f"allowed are 1 to {_LONGEST_PATTERN} characters, and not only blanks"
            )
        _check_code("MessageRule.code", self.code)
        checks.instance("MessageRule.statuses", self.statuses, tuple, "a tuple of HTTP statuses")
        for status in self.statuses:
            checks.integer("MessageRule.statuses", status, low=200, high=599)

    def is_about(self, status: int) -> bool:
        """Return whether it is for responses of a status."""
        return status in self.statuses if self.statuses else not 0 < status < 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Where an error keeps what it says: paths into its JSON body, and headers.

    Attributes:
        code: Paths of the error code: a string, or an integer, which is read as its digits. The
            first code that is in the catalogue counts, else the first that there is.
        message: Paths of the sentence for people.
        details: Paths of the details object.
        request_id: Paths of the request id.
        wait: Paths of the time to wait (a rate limit's ``retry_after``): a number of seconds, or a
            duration such as ``"3.5s"``.
        ignore_case: Compare codes without regard to case.
        code_headers: Response headers that hold the code; of ``com.example#Busy:http://…`` it is
            ``Busy``, as AWS writes it. They are looked at after the body. At most 8.
        messages: What gives an error a code that carries none; the first that fits decides. At
            most 64.
        requested: The word before the number of units that a request takes, in the message of a
            refusal for its size (``"Requested"`` of ``Limit 30000, Requested 30601``); empty for
            none. At most 64 characters.
        errors_in_success: The API sends errors with status 200, too. They are looked for in JSON
            bodies of at most 64 KiB, never in streams of events or lines.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: A path, a header or a rule is not allowed, or there are too many.

    >>> Envelope(code=(("*", "errorCode"),), wait=(("details", "[type=wait]", "delay"),)).code
    (('*', 'errorCode'),)
    """

    code: tuple[Path, ...] = (("error", "code"),)
    message: tuple[Path, ...] = (("error", "message"),)
    details: tuple[Path, ...] = (("error", "details"),)
    request_id: tuple[Path, ...] = (("error", "request_id"),)
    wait: tuple[Path, ...] = ()
    ignore_case: bool = False
    code_headers: tuple[str, ...] = ()
    messages: tuple[MessageRule, ...] = ()
    requested: str = ""
    errors_in_success: bool = False

    def __post_init__(self) -> None:
        checks.instance("Envelope.requested", self.requested, str, "a string")
        checks.integer("Envelope.requested: characters", len(self.requested), low=0, high=64)
        for field in ("code", "message", "details", "request_id", "wait"):
            check_paths(f"Envelope.{field}", getattr(self, field))
        for field in ("ignore_case", "errors_in_success"):
            checks.instance(f"Envelope.{field}", getattr(self, field), bool, "True or False")
        headers, rules = self.code_headers, self.messages
        checks.instance("Envelope.code_headers", headers, tuple, "a tuple of header names")
        checks.integer("Envelope.code_headers: number of headers", len(headers), low=0, high=8)
        for name in headers:
            check_header("Envelope.code_headers", name)
        checks.instance("Envelope.messages", rules, tuple, "a tuple of MessageRules")
        checks.integer("Envelope.messages: number of rules", len(rules), low=0, high=64)
        for rule in rules:
            checks.instance("Envelope.messages", rule, MessageRule, "a tuple of MessageRules")
