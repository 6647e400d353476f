"""The form that every result has: one row; table, JSON and bars are made from it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from .targets import Target, target_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure.

    Attributes:
        benchmark: Name of the benchmark.
        what: What was measured.
        contender: Whose figure it is.
        value: The figure; None where there is none, and ``note`` says why.
        unit: Of the value.
        ratio: The value (or the total that it is a part of) as a multiple of the yardstick's,
            which is ``bare`` wherever there is one.
        note: What else is to be said.
    """

    benchmark: str
    what: str
    contender: str
    value: float | None
    unit: str
    ratio: float | None = None
    note: str = ""

    @property
    def target(self) -> Target | None:
        """The number to reach; only ours have one."""
        return target_of(self.benchmark, self.what, self.contender)

    @property
    def verdict(self) -> str:
        """Whether the target is ``beaten``, ``reached`` or ``missed``; empty without one."""
        target = self.target
        figure = self.ratio if target is not None and target.of_ratio else self.value
        return "" if target is None or figure is None else target.verdict(figure)

    def as_data(self) -> dict[str, Any]:
        """Return the row for JSON."""
        target = self.target
        wanted = None if target is None else asdict(target)
        return {**asdict(self), "target": wanted, "verdict": self.verdict or None}


def absent(benchmark: str, what: str, missing: Iterable[tuple[str, str]]) -> list[Row]:
    """Return a row without a figure for each contender that cannot take part, and why."""
    return [
        Row(benchmark=benchmark, what=what, contender=name, value=None, unit="", note=why)
        for name, why in missing
    ]
