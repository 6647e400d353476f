"""``--policy``: a TOML file, or a policy in a Python module; each refusal is one line."""

import importlib
import os
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from ... import (
    Backoff,
    BudgetPolicy,
    ErrorClass,
    ParkPolicy,
    Policy,
    RetryPolicy,
    ThrottlePolicy,
)
from ..._core.checks import nearest
from ..._core.policy import DEFAULT_BACKOFF
from .._screen import Misuse, in_one_line

_LARGEST_FILE = 1 << 20
_PARTS: dict[str, Any] = {
    "retry": RetryPolicy(),
    "budget": BudgetPolicy(),
    "throttle": ThrottlePolicy(),
    "park": ParkPolicy(),
}
_MAY_BE_OFF = ("budget", "throttle", "park")
_T = TypeVar("_T")


def policy_of(text: str) -> Policy:
    """Return the policy that an option names: ``FILE.toml``, or ``module:attribute``."""
    try:
        if text.lower().endswith(".toml"):
            return from_toml(_read(text))
        module, colon, attribute = text.partition(":")
        if not colon or not all(part.isidentifier() for part in (*module.split("."), attribute)):
            raise ValueError("allowed are FILE.toml and module:attribute")
        return _imported(module, attribute)
    except OSError as error:
        reason = f"cannot read it: {error.strerror or error}"
    except (ValueError, TypeError) as error:
        reason = str(error)
    raise Misuse(f"--policy {text!r}: {in_one_line(reason)}")


def from_toml(text: str) -> Policy:
    """Return the policy that a TOML text describes; what it leaves out is the default's.

    A table for each part, named as ``Policy`` names it; ``budget``, ``throttle`` and ``park`` may
    be ``false`` instead. Backoffs are tables of ``retry.backoff``, named by the class of error.

    Raises:
        ValueError: It is no TOML, has a key that is none, or a value out of range.
        TypeError: A value has another type than it should have.

    >>> policy = from_toml('''
    ... budget = false
    ... [retry]
    ... max_attempts = 6
    ... [retry.backoff.transient]
    ... initial = 0.2
    ... ''')
    >>> policy.budget, policy.retry.max_attempts, policy.retry.backoff["transient"].initial
    (None, 6, 0.2)
    """
    given = tomllib.loads(text)
    parts: dict[str, Any] = {}
    for name, value in given.items():
        if name in _MAY_BE_OFF and value is False:
            parts[name] = None
        elif name in _PARTS:
            parts[name] = _part(name, _PARTS[name], value)
        else:
            parts[name] = value
    return _changed("", Policy(), parts)


def _part(name: str, default: _T, value: object) -> _T:
    if not isinstance(value, Mapping):
        off = " or false" if name in _MAY_BE_OFF else ""
        raise TypeError(f"{name}: got {value!r}, allowed is a table{off}")
    changes = dict(value)
    if "backoff" in changes and name == "retry":
        changes["backoff"] = _backoffs(changes["backoff"])
    return _changed(f"{name}.", default, changes)


def _backoffs(value: object) -> dict[ErrorClass, Backoff]:
    if not isinstance(value, Mapping):
        raise TypeError(f"retry.backoff: got {value!r}, allowed is a table")
    made = dict(DEFAULT_BACKOFF)
    for name, changes in value.items():
        _known("retry.backoff.", name, [each.value for each in made])
        if not isinstance(changes, Mapping):
            raise TypeError(f"retry.backoff.{name}: got {changes!r}, allowed is a table")
        of = ErrorClass(name)
        made[of] = _changed(f"retry.backoff.{name}.", made[of], dict(changes))
    return made


def _changed(where: str, default: _T, changes: dict[str, Any]) -> _T:
    names = [each.name for each in fields(default)]  # type: ignore[arg-type]  # they are dataclasses
    for name in changes:
        _known(where, name, names)
    return replace(default, **changes)  # type: ignore[type-var]  # as above


def _known(where: str, name: str, names: Iterable[str]) -> None:
    names = list(names)
    if name not in names:
        raise ValueError(
            f"{where}{name}: no such key, allowed are {', '.join(names)}{nearest(name, names)}"
        )


def _read(name: str) -> str:
    with Path(name).open("rb") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise ValueError("larger than 1 MiB")
    return content.decode("utf-8-sig")


def _imported(module: str, attribute: str) -> Policy:
    if os.getcwd() not in sys.path:  # a console script has its own folder there only
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # noqa: BLE001 - whatever the module raises, it is one line
        raise ValueError(f"cannot be imported: {type(error).__name__}: {error}") from None
    if not isinstance(found, Policy):
        raise TypeError(f"it is of type {type(found).__name__}, allowed is a Policy")
    return found
