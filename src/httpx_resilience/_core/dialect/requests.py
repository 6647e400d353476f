"""What an API says of its requests: which may be repeated, and what each takes of which budget."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from .. import checks
from ..frozen import FrozenMap
from .catalog import check_header
from .document import Contents
from .paths import Path, check_paths, first, follow

MOST = 10**12
"""Units that a request can be said to take, at the most."""

_RULES = "a tuple of CategoryRules"
_VALUE = re.compile(r"\{[a-z_]{1,32}\}")

Costs = Mapping[str, int]
"""What a request takes, by unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryRule:
    """Which requests are counted against which rate-limit budget, and for how much.

    A budget may be one of many of its kind: of the model that a field of the body names, or a
    segment of the path. A value of 1 to 64 of the characters ``A-Z a-z 0-9 _ . : / -`` is part of
    the scope as it is, any other as its keyed hash.

    Attributes:
        name: The budget's name.
        path: Pattern of the request's path, without its query; ``*`` stands for anything, and one
            ``{word}`` for what distinguishes the budget, up to the next ``/`` or ``:``.
        methods: HTTP methods; empty for all.
        cost: Requests that one such request counts as; at least 1.
        field: Path of the field of the JSON body that distinguishes the budget. Bodies are looked
            at that are in memory and of at most 1 MiB; others share the budget of this name.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: ``cost`` is out of range, ``path`` has two placeholders, or a placeholder beside
            a ``field``.

    >>> CategoryRule(name="upload", path="/v1/files/*", methods=("PUT",), cost=5).cost
    5
    >>> rule = CategoryRule(name="generate", path="/v1beta/models/{model}:*")
    >>> rule.value_in("/v1beta/models/gemini-3-pro:generateContent")
    'gemini-3-pro'
    """

    name: str
    path: str = "*"
    methods: tuple[str, ...] = ()
    cost: int = 1
    field: Path | None = None

    def __post_init__(self) -> None:
        for name in ("name", "path"):
            checks.instance(f"CategoryRule.{name}", getattr(self, name), str, "a string")
        checks.integer("CategoryRule.cost", self.cost, low=1, high=1_000_000)
        checks.instance("CategoryRule.methods", self.methods, tuple, "a tuple of HTTP methods")
        for method in self.methods:
            checks.instance("CategoryRule.methods", method, str, "a tuple of HTTP methods")
        object.__setattr__(self, "methods", tuple(method.upper() for method in self.methods))
        if self.field is not None:
            check_paths("CategoryRule.field", (self.field,))
        values = len(_VALUE.findall(self.path)) + (self.field is not None)
        if values > 1:
            raise ValueError(
                f"CategoryRule.path: got {self.path!r}, allowed is one placeholder, or none beside "
                "a field"
            )

    @property
    def has_value(self) -> bool:
        """Whether a part of the request distinguishes the budget."""
        return self.field is not None or _VALUE.search(self.path) is not None

    def fits(self, method: str, path: str) -> bool:
        """Return whether a request is one of those."""
        if self.methods and method not in self.methods:
            return False
        if _VALUE.search(self.path) is None:
            return fnmatchcase(path, self.path)
        return self.value_in(path) is not None

    def value_in(self, path: str) -> str | None:
        """Return what stands in a path in the place of the placeholder; None if it does not fit."""
        before, after = _VALUE.split(self.path, maxsplit=1)
        for at, segment in _segments(path):
            if fnmatchcase(path[:at], before) and fnmatchcase(path[at + len(segment) :], after):
                return segment
        return None


def _segments(path: str) -> list[tuple[int, str]]:
    """Return what stands between slashes and colons in a path, and where; at most 64 of them."""
    found = re.finditer(r"[^/:]+", path)
    return [(match.start(), match[0]) for match, _ in zip(found, range(64), strict=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEstimate:
    """What a request takes of a unit, by the size of its body and by what it asks for.

    Attributes:
        unit: What is counted.
        bytes_per_unit: Bytes of the body that count as one; None (in TOML ``false``) if the size
            does not matter.
        fields: Paths into the JSON body; the first that holds a whole number is added.

    Raises:
        TypeError, ValueError: A field is not what is allowed.

    >>> estimate = CostEstimate(fields=(("max_tokens",),))
    >>> estimate.of(Contents(b'{"max_tokens": 500, "messages": []}'))
    508
    """

    unit: str = "tokens"
    bytes_per_unit: float | None = 4.0
    fields: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        checks.instance("CostEstimate.unit", self.unit, str, "a string")
        checks.number(
            "CostEstimate.bytes_per_unit", self.bytes_per_unit, low=0, above=True, optional=True
        )
        check_paths("CostEstimate.fields", self.fields)

    def of(self, contents: Contents) -> int:
        """Return the estimate; 0 for a body that is not in memory."""
        size = len(contents.body) if contents.body is not None else 0
        units = size / self.bytes_per_unit if self.bytes_per_unit is not None else 0.0
        return int(min(MOST, units + self._asked(contents)))

    def _asked(self, contents: Contents) -> int:
        for path in self.fields:
            asked = follow(contents.document, path)
            if type(asked) is int:  # and no bool
                return min(max(0, asked), MOST)
        return 0


class RequestCost(NamedTuple):
    """What one request counts as.

    Attributes:
        category: The budget's name; None where budgets are learned.
        value: What distinguishes it from others of its kind.
        cost: Requests that it counts as.
        units: What it takes of other units; None if nothing is said.
    """

    category: str | None = None
    value: str | None = None
    cost: int = 1
    units: Costs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRules:
    """What an API says of its requests.

    Attributes:
        put_is_idempotent: A PUT that may have been processed may be sent again.
        post_is_repeatable: A POST may be sent again even if the server may have processed it, as
            the SDKs of some APIs do. A PATCH may not.
        request_id_header: Sent with every call that does not carry one, the same on each attempt
            and never for another call; None to send none.
        idempotency_header: Sent likewise with POST and PATCH, which makes them repeatable;
            None to send none.
        response_id_header: Response header with the server's id for the request; None for
            ``request_id_header``, or ``X-Request-ID``.
        category: From method and path to the name of the rate-limit budget the request is counted
            against; called for every call, so it should be quick. None goes by ``categories``.
        categories: Rules that name the budget, as data; the first that fits decides. If there are
            none, budgets are learned from what the server announces, by method and first segment of
            the path.
        costs: From the request (httpx's or httpx2's) to what it takes, by unit, such as
            ``{"tokens": 900}``; called once for each call. Or estimates, as data. A unit that is
            not named is learned from what the server says is left.
        usage: Where the body of a success says what the request took, by unit, as paths such as
            ``{"tokens": ("usage", "total_tokens")}``. Bodies are looked at as those of successes
            that may hold errors: JSON of at most 64 KiB. It refines what is learned; what the
            headers say is left comes before it. At most 8.
        is_plain: Every request counts as one, and nothing is said of what it takes.
    """

    put_is_idempotent: bool = True
    post_is_repeatable: bool = False
    request_id_header: str | None = None
    idempotency_header: str | None = None
    response_id_header: str | None = None
    category: Callable[[str, str], str] | None = None
    categories: tuple[CategoryRule, ...] = ()
    costs: Callable[[Any], Costs] | tuple[CostEstimate, ...] = ()
    usage: Mapping[str, Path] = FrozenMap[str, Path]()
    is_plain: bool = dataclasses.field(init=False, repr=False, compare=False, default=True)

    def __post_init__(self) -> None:
        for name in ("put_is_idempotent", "post_is_repeatable"):
            checks.instance(f"RequestRules.{name}", getattr(self, name), bool, "True or False")
        for name in ("request_id_header", "idempotency_header", "response_id_header"):
            if getattr(self, name) is not None:
                allowed = "a header name, or None"
                check_header(f"RequestRules.{name}", getattr(self, name), allowed)

        checks.instance("RequestRules.categories", self.categories, tuple, _RULES)
        for rule in self.categories:
            checks.instance("RequestRules.categories", rule, CategoryRule, _RULES)
        if callable(self.costs):
            checks.plain("RequestRules.costs", self.costs)
        else:
            allowed = "a callable, or a tuple of CostEstimates"
            checks.instance("RequestRules.costs", self.costs, tuple, allowed)
            for estimate in self.costs:
                checks.instance("RequestRules.costs", estimate, CostEstimate, allowed)
        checks.integer("RequestRules.usage: number of units", len(self.usage), low=0, high=8)
        check_paths("RequestRules.usage", tuple(self.usage.values()))
        object.__setattr__(self, "usage", FrozenMap(self.usage))
        # Kept, for it is asked for each call.
        object.__setattr__(self, "is_plain", not self.categories and not self.costs)

    def category_of(self, method: str, path: str) -> str | None:
        """Return the budget of a request; None where it is to be learned."""
        if self.category is not None:
            return self.category(method, path)
        if not self.categories:
            return None
        rule = self._rule(method, path)
        return rule.name if rule is not None else ""

    def shown_category_of(self, method: str, path: str, category: str | None) -> str | None:
        """Return how a budget is logged whose requests' path is redacted.

        What a segment of the path says is left out of its name; what the body says is not.
        """
        if self.category is None:
            rule = self._rule(method, path)
            if rule is not None and rule.field is not None:
                return category
        return self.category_of(method, path)

    def cost_of(self, method: str, path: str) -> int:
        """Return how many requests a request counts as."""
        rule = self._rule(method, path)
        return rule.cost if rule is not None else 1

    def spending_of(self, request: Any, method: str, path: str, contents: Contents) -> RequestCost:
        """Return what a request counts as; its body is parsed at most once.

        Raises:
            TypeError, ValueError: What ``costs`` returns is no map from unit to whole numbers.
            Exception: Whatever ``costs`` raises.
        """
        rule = self._rule(method, path)
        category, value, cost = None, None, 1
        if self.categories:
            category = ""
        if rule is not None:
            category, cost = rule.name, rule.cost
            if rule.field is not None:
                value = first(contents.document, (rule.field,), str)
            elif rule.has_value:
                value = rule.value_in(path)
        units = self._units_of(request, contents) if self.costs else None
        if units is not None and "requests" in units:
            cost = max(1, units["requests"])
        return RequestCost(category, value, cost, units)

    def _units_of(self, request: Any, contents: Contents) -> Costs:
        if callable(self.costs):
            return _checked(self.costs(request))
        units: dict[str, int] = {}
        for estimate in self.costs:
            units[estimate.unit] = units.get(estimate.unit, 0) + estimate.of(contents)
        return units

    def _rule(self, method: str, path: str) -> CategoryRule | None:
        return next((rule for rule in self.categories if rule.fits(method, path)), None)


def _checked(given: object) -> Costs:
    if not isinstance(given, Mapping):
        checks.no_awaitable("costs(request)", given)
        allowed = "a map from unit to whole numbers"  # what it is instead may be a body: unsaid
        raise TypeError(f"costs(request): got a {type(given).__name__}, allowed is {allowed}")
    units = dict(given)
    for unit, cost in units.items():
        checks.instance("costs(request): unit", unit, str, "a string")
        checks.integer(f"costs(request)[{unit!r}]", cost, low=0, high=MOST)
    return units
