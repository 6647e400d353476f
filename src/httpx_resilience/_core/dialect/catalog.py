"""What an API says of its failures and requests, piece by piece; ``dialect`` puts it together."""

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .. import checks

TOKEN = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""What a code or an id must look like to be logged; other text could forge a line."""

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")

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

    >>> ErrorSpec(code="too_busy", error_class=ErrorClass.TRANSIENT).status is None
    True
    """

    code: str
    error_class: ErrorClass
    status: int | None = None
    category: str = ""
    meaning: str = ""
    advice: str = ""

    def __post_init__(self) -> None:
        checks.instance("ErrorSpec.code", self.code, str, "a string")
        if not TOKEN.fullmatch(self.code):
            raise ValueError(
                f"ErrorSpec.code: got {self.code!r}, allowed are 1 to 128 of A-Z a-z 0-9 _ . : -"
            )
        where = f"ErrorSpec({self.code!r})"
        checks.instance(
            f"{where}.error_class", self.error_class, ErrorClass, "a member of ErrorClass"
        )
        for field in ("category", "meaning", "advice"):
            checks.instance(f"{where}.{field}", getattr(self, field), str, "a string")
        if self.status is not None:
            checks.integer(f"{where}.status", self.status, low=100, high=599)


Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Where an error body keeps what it says: key paths into its JSON, the first that fits wins.

    Attributes:
        code: Paths of the error code.
        message: Paths of the sentence for people.
        details: Paths of the details object.
        request_id: Paths of the request id.
        wait: Paths of a number of seconds to wait (a rate limit's ``retry_after``).
        ignore_case: Compare codes without regard to case.

    A path's element ``"*"`` stands for the first item of a list.
    """

    code: tuple[Path, ...] = (("error", "code"),)
    message: tuple[Path, ...] = (("error", "message"),)
    details: tuple[Path, ...] = (("error", "details"),)
    request_id: tuple[Path, ...] = (("error", "request_id"),)
    wait: tuple[Path, ...] = ()
    ignore_case: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryRule:
    """Which requests are counted against which rate-limit budget, and for how much.

    Attributes:
        name: The budget's name.
        path: Pattern of the request's path, without its query; ``*`` stands for anything.
        methods: HTTP methods; empty for all.
        cost: Units that one such request takes; at least 1.

    >>> CategoryRule(name="upload", path="/v1/files/*", methods=("PUT",), cost=5).cost
    5
    """

    name: str
    path: str = "*"
    methods: tuple[str, ...] = ()
    cost: int = 1

    def __post_init__(self) -> None:
        for field in ("name", "path"):
            checks.instance(f"CategoryRule.{field}", getattr(self, field), str, "a string")
        checks.integer("CategoryRule.cost", self.cost, low=1, high=1_000_000)
        checks.instance("CategoryRule.methods", self.methods, tuple, "a tuple of HTTP methods")
        for method in self.methods:
            checks.instance("CategoryRule.methods", method, str, "a tuple of HTTP methods")
        object.__setattr__(self, "methods", tuple(method.upper() for method in self.methods))

    def fits(self, method: str, path: str) -> bool:
        """Return whether a request is one of those."""
        return (not self.methods or method in self.methods) and fnmatchcase(path, self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRules:
    """What an API says of its requests.

    Attributes:
        put_is_idempotent: A PUT that may have been processed may be sent again.
        request_id_header: Sent with every call that does not carry one, the same on each attempt
            and never for another call; None to send none.
        idempotency_header: Sent likewise with POST and PATCH, which makes them repeatable;
            None to send none.
        category: From method and path to the name of the rate-limit budget the request is counted
            against; called for every call, so it should be quick. None goes by ``categories``.
        categories: Rules that name the budget, as data; the first that fits decides. If there are
            none, budgets are learned from what the server announces, by method and first segment of
            the path.
    """

    put_is_idempotent: bool = True
    request_id_header: str | None = None
    idempotency_header: str | None = None
    category: Callable[[str, str], str] | None = None
    categories: tuple[CategoryRule, ...] = ()

    def __post_init__(self) -> None:
        for field in ("request_id_header", "idempotency_header"):
            name = getattr(self, field)
            if name is not None and not _HEADER.fullmatch(name):
                raise ValueError(
                    f"RequestRules.{field}: got {name!r}, allowed is a header name, or None"
                )

    def category_of(self, method: str, path: str) -> str | None:
        """Return the budget of a request; None where it is to be learned."""
        if self.category is not None:
            return self.category(method, path)
        if not self.categories:
            return None
        rule = self._rule(method, path)
        return rule.name if rule is not None else ""

    def cost_of(self, method: str, path: str) -> int:
        """Return how many units a request takes."""
        if not self.categories:
            return 1
        rule = self._rule(method, path)
        return rule.cost if rule is not None else 1

    def _rule(self, method: str, path: str) -> CategoryRule | None:
        return next((rule for rule in self.categories if rule.fits(method, path)), None)
