"""Frozen dataclasses for what is recorded: quick to define, as quick to make as any.

The methods that ``dataclass`` writes and compiles for each class take half a millisecond of an
import; for all kinds of events that was a twelfth of importing httpx. Here they are written once.
"""

from dataclasses import MISSING, FrozenInstanceError, dataclass, fields
from typing import Any, ClassVar, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T", bound="Record")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def record(kind: type[T]) -> type[T]:
    """Make a frozen dataclass of a kind of ``Record``, made by keywords; defaults are values.

    >>> @record
    ... class Point(Record):
    ...     x: float
    ...     y: float = 0.0
    >>> Point(x=1.0)
    Point(x=1.0, y=0.0)
    """
    made: Any = dataclass(init=False, repr=False, eq=False)(kind)
    defaults = {field.name: field.default for field in fields(made)}
    made._blank = defaults  # noqa: SLF001 - declared below
    made._required = {name for name in defaults if defaults[name] is MISSING}  # noqa: SLF001 - as above
    return kind


class Record:
    """What all records can do."""

    _blank: ClassVar[dict[str, object]]
    _required: ClassVar[set[str]]

    def __init__(self, **given: object) -> None:
        own = self.__dict__
        own.update(self._blank)
        own.update(given)
        if len(own) != len(self._blank) or not self._required <= given.keys():
            unknown, missing = given.keys() - self._blank.keys(), self._required - given.keys()
            raise TypeError(
                f"{type(self).__name__}: unknown fields {sorted(unknown)}, "
                f"missing {sorted(missing)}"
            )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{key}={value!r}" for key, value in self.__dict__.items())
        return f"{type(self).__name__}({shown})"
