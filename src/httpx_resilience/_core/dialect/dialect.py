"""A dialect: how one API speaks. It is data.

``dialects/`` holds the ones that ship; users derive theirs with ``extend``, write their own, or
read one from TOML.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from .. import checks
from ..frozen import FrozenMap
from ..headers import HeaderFamily
from .catalog import Envelope, ErrorClass, ErrorSpec, MessageRule
from .requests import CostEstimate, RequestRules

UNCODED_STATUSES: FrozenMap[int, ErrorClass] = FrozenMap(
    {
        408: ErrorClass.TRANSIENT,
        429: ErrorClass.RATE_LIMITED,
        500: ErrorClass.INTERNAL,
        502: ErrorClass.TRANSIENT,
        503: ErrorClass.TRANSIENT,
        504: ErrorClass.TRANSIENT,
    }
)
"""Error classes of responses without a code; every other 4xx and 5xx is PERMANENT."""


_ENVELOPE = Envelope()
_REQUESTS = RequestRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one API speaks: its codes, its envelope, its rules.

    Attributes:
        name: For people and logs.
        codes: The error catalogue, by code.
        unknown_code: Error class of a code that is not in the catalogue; None lets the HTTP status
            decide.
        statuses: Error classes of responses that carry no code; a status that is not in the map
            is PERMANENT.
        statuses_that_wait: Error classes of responses that carry no code but ask for a wait: by a
            ``Retry-After``, or because a rate limit they announce is exhausted. They come before
            ``statuses``.
        envelope: Where an error body keeps its code.
        requests: What the API says of its requests.
        rate_limits: Rate-limit headers of the API's own, beside those that are known anyway.
        status_rules: Statuses whose class is decided before any code is looked at, unless a user
            gave a rule for the code; filled by ``extend``.
        code_rules: Codes that ``extend`` was given; they come before everything else.
        stop_layers_above: A failed response that is returned is given ``x-should-retry: false``,
            so that an SDK above does not repeat what was repeated here;
            ``Policy.stop_layers_above`` comes before it.

    >>> mine = Dialect(
    ...     name="mine",
    ...     codes={"busy": ErrorSpec(code="busy", error_class=ErrorClass.TRANSIENT)},
    ... )
    >>> mine.spec("busy").error_class
    ErrorClass.TRANSIENT
    """

    name: str
    codes: Mapping[str, ErrorSpec] = FrozenMap[str, ErrorSpec]()
    unknown_code: ErrorClass | None = None
    statuses: Mapping[int, ErrorClass] = UNCODED_STATUSES
    statuses_that_wait: Mapping[int, ErrorClass] = FrozenMap[int, ErrorClass]()
    envelope: Envelope = _ENVELOPE
    requests: RequestRules = _REQUESTS
    rate_limits: tuple[HeaderFamily, ...] = ()
    status_rules: Mapping[int, ErrorClass] = FrozenMap[int, ErrorClass]()
    code_rules: frozenset[str] = frozenset()
    stop_layers_above: bool = False

    def __post_init__(self) -> None:
        checks.instance("Dialect.name", self.name, str, "a string")
        checks.instance("Dialect.envelope", self.envelope, Envelope, "an Envelope")
        checks.instance("Dialect.requests", self.requests, RequestRules, "RequestRules")
        codes = {}
        for code, spec in self.codes.items():
            checks.instance(f"Dialect.codes[{code!r}]", spec, ErrorSpec, "an ErrorSpec")
            if spec.code != code:
                raise ValueError(
                    f"Dialect.codes[{code!r}]: got a spec of code {spec.code!r}, "
                    "allowed is the spec of the code it stands under"
                )
            if self.key(code) in codes:
                raise ValueError(f"Dialect.codes[{code!r}]: stands there twice but for its case")
            codes[self.key(code)] = spec
        if self.unknown_code is not None:
            checks.instance(
                "Dialect.unknown_code", self.unknown_code, ErrorClass, "an ErrorClass or None"
            )
        object.__setattr__(self, "codes", FrozenMap(codes))
        for name in ("statuses", "statuses_that_wait", "status_rules"):
            object.__setattr__(self, name, _status_map(f"Dialect.{name}", getattr(self, name)))
        checks.instance("Dialect.stop_layers_above", self.stop_layers_above, bool, "True or False")
        for rule in self.envelope.messages:
            self._check_rule(rule)

    def _check_rule(self, rule: MessageRule) -> None:
        hint = "" if self.spec(rule.code) else self._near_miss(rule.code)
        if hint:
            raise ValueError(
                f"Envelope.messages: got a rule for the code {rule.code!r}, "
                f"which is not in the catalogue of {self.name}{hint}"
            )

    def _near_miss(self, code: str) -> str:
        """Return what a code that is not listed was probably to be; empty if that is unknown."""
        return checks.nearest(self.key(code), self.codes, cutoff=0.85)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Return the dialect that a TOML document describes.

        Every key is optional but ``name``; the documentation shows one. Paths into the body are
        written with dots, ``*`` for the first item of a list.

        Args:
            text: The document.

        Raises:
            ValueError: It is not TOML, or an entry is unknown or has a value that is not allowed;
                the message names the entry, and the nearest one that is known.

        >>> mine = Dialect.from_toml('''
        ... name = "mine"
        ... [codes]
        ... busy = "transient"
        ... ''')
        >>> mine.spec("busy").error_class
        ErrorClass.TRANSIENT
        """
        from .toml import read_dialect

        return cls(**read_dialect(text))

    def key(self, code: str) -> str:
        """Return what a code is compared by."""
        return code.lower() if self.envelope.ignore_case else code

    def spec(self, code: str) -> ErrorSpec | None:
        """Return the catalogue's row for ``code``, or None if it is not listed."""
        return self.codes.get(self.key(code))

    def is_ruled(self, code: str) -> bool:
        """Return whether a user's own rule was given for ``code`` (it comes before all else)."""
        return self.key(code) in self.code_rules

    def extend(
        self,
        *,
        codes: Mapping[str, ErrorClass | ErrorSpec] | None = None,
        statuses: Mapping[int, ErrorClass] | None = None,
        costs: Callable[[Any], Mapping[str, int]] | Iterable[CostEstimate] | None = None,
    ) -> Self:
        """Return a dialect with rules of yours, which come before everything the API says.

        Args:
            codes: Error class (or whole spec) by code. A code that is not in the catalogue is
                added; one that looks like a misspelling of a listed code is refused, unless it
                comes as a whole ``ErrorSpec``.
            statuses: Error class by HTTP status, for coded and uncoded responses alike; a rule
                for the code comes before it.
            costs: What a request takes of units other than requests, as in ``RequestRules``.

        Raises:
            TypeError: A value is not an ``ErrorClass`` (or ``ErrorSpec``).
            ValueError: A status is out of range, or a code is a near miss of a listed one.

        >>> base = Dialect(name="base")
        >>> base.extend(codes={"busy": ErrorClass.TRANSIENT}).spec("busy").error_class
        ErrorClass.TRANSIENT
        """
        merged = {spec.code: spec for spec in self.codes.values()}
        ruled = set(self.code_rules)
        for code, rule in (codes or {}).items():
            spec = self._ruled_spec(code, rule)
            known = self.spec(code)
            if known is not None:
                del merged[known.code]
            merged[spec.code] = spec
            ruled.add(self.key(spec.code))
        requests = self.requests
        if costs is not None:
            requests = replace(requests, costs=self._costs(costs))
        return replace(
            self,
            requests=requests,
            codes=merged,
            status_rules={
                **self.status_rules,
                **_status_map(f"{self.name}.extend(statuses)", statuses or {}),
            },
            code_rules=frozenset(ruled),
        )

    def _costs(self, given: Any) -> Any:
        if callable(given):
            return given
        if not isinstance(given, Iterable):
            raise TypeError(
                f"{self.name}.extend(costs): got {checks.shown(given)}, "
                "allowed is a callable, or CostEstimates"
            )
        return tuple(given)

    def _ruled_spec(self, code: str, rule: object) -> ErrorSpec:
        where = f"{self.name}.extend(codes)[{code!r}]"
        if isinstance(rule, ErrorSpec):
            if rule.code != code:
                raise ValueError(f"{where}: got a spec of code {rule.code!r}, allowed is its own")
            return rule
        error_class = checks.instance(where, rule, ErrorClass, "an ErrorClass or an ErrorSpec")
        known = self.spec(code)
        if known is not None:
            return replace(known, error_class=error_class)
        hint = self._near_miss(code)
        if hint:
            raise ValueError(
                f"{where}: not in the catalogue{hint}; "
                "to add a code that resembles another, give its whole ErrorSpec"
            )
        return ErrorSpec(code=code, error_class=error_class)


def _status_map(field_name: str, statuses: Mapping[int, ErrorClass]) -> FrozenMap[int, ErrorClass]:
    for status, error_class in statuses.items():
        checks.integer(f"{field_name} key", status, low=400, high=599)
        checks.instance(f"{field_name}[{status}]", error_class, ErrorClass, "an ErrorClass")
    return FrozenMap(statuses)
