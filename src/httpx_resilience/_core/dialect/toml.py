"""A dialect as TOML: the document's entries, checked one by one, into the parts of a Dialect."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .. import checks
from ..headers import HeaderFamily
from .catalog import Envelope, ErrorClass, ErrorSpec, MessageRule
from .paths import Path, path_of
from .requests import CategoryRule, CostEstimate, RequestRules

_TOP = (
    *("name", "unknown_code", "codes", "statuses", "statuses_that_wait", "envelope", "requests"),
    *("rate_limits", "stop_layers_above"),
)
_CODE = ("class", "status", "category", "meaning", "advice", "wait")
_ENVELOPE = tuple(field.name for field in fields(Envelope))
_REQUESTS = (
    *("put_is_idempotent", "post_is_repeatable", "request_id_header", "idempotency_header"),
    *("response_id_header", "categories", "costs", "usage"),
)
_MESSAGE = ("contains", "code", "statuses")
_CATEGORY = tuple(field.name for field in fields(CategoryRule))
_COST = tuple(field.name for field in fields(CostEstimate))
_A_PATH = 'a path such as "error.code" or "*.details[key=value].code", or several'
_FAMILY = tuple(field.name for field in fields(HeaderFamily))


def read_dialect(text: str) -> dict[str, Any]:
    """Return the arguments of a Dialect that a TOML document gives."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"dialect: not TOML: {error}") from None
    except ValueError:  # what int() says of a text that is too long for it
        line = text.count("\n", 0, max(re.finditer("[0-9_]+", text), key=_length).start()) + 1
        raise ValueError(
            f"dialect: line {line}: got an integer of thousands of digits, allowed are those "
            "below 2**63"
        ) from None
    except RecursionError:
        raise ValueError("dialect: not TOML: nested too deeply") from None
    _only(document, _TOP, "")
    if "name" not in document:
        raise ValueError("name: missing, allowed is a string")
    parts: dict[str, Any] = {"name": _string(document["name"], "name")}
    if "unknown_code" in document:
        parts["unknown_code"] = _class(document["unknown_code"], "unknown_code")
    codes = _table(document.get("codes", {}), "codes")
    parts["codes"] = {code: _spec(code, entry) for code, entry in codes.items()}
    for name in ("statuses", "statuses_that_wait"):
        if name in document:
            parts[name] = {
                _status(key, name): _class(value, f"{name}.{key}")
                for key, value in _table(document[name], name).items()
            }
    if "stop_layers_above" in document:
        parts["stop_layers_above"] = _flag(document["stop_layers_above"], "stop_layers_above")
    if "envelope" in document:
        parts["envelope"] = _envelope(_table(document["envelope"], "envelope"))
    if "requests" in document:
        parts["requests"] = _requests(_table(document["requests"], "requests"))
    families = _tables(document.get("rate_limits", []), "rate_limits")
    parts["rate_limits"] = tuple(
        _built(HeaderFamily, entry, _FAMILY, f"rate_limits[{at}]")
        for at, entry in enumerate(families)
    )
    return parts


def _length(found: re.Match[str]) -> int:
    return found.end() - found.start()


def _spec(code: str, entry: object) -> ErrorSpec:
    where = f"codes.{code}"
    if isinstance(entry, str):
        entry = {"class": entry}
    row = dict(_table(entry, where))
    _only(row, _CODE, f"{where}.")
    error_class = _class(row.pop("class", None), f"{where}.class")
    spec = _built(ErrorSpec, {**row, "code": code, "error_class": error_class}, None, where)
    return checks.instance(where, spec, ErrorSpec, "an ErrorSpec")


def _envelope(entry: Mapping[str, Any]) -> Envelope:
    _only(entry, _ENVELOPE, "envelope.")
    parts: dict[str, Any] = {}
    for name, value in entry.items():
        where = f"envelope.{name}"
        if name in ("ignore_case", "errors_in_success"):
            parts[name] = _flag(value, where)
        elif name == "messages":
            parts[name] = tuple(
                _message(rule, f"{where}[{at}]") for at, rule in enumerate(_tables(value, where))
            )
        elif name == "requested":
            parts[name] = _string(value, where)
        elif name == "code_headers":
            parts[name] = tuple(_strings(value, where, "a header name, or several"))
        else:
            parts[name] = _paths(value, where)
    try:
        return Envelope(**parts)
    except (TypeError, ValueError) as error:
        raise ValueError(_at("envelope", error)) from None


def _message(rule: Mapping[str, Any], where: str) -> MessageRule:
    for name in ("contains", "code"):
        if name not in rule:
            raise ValueError(f"{where}.{name}: missing, allowed is a string")
    made = _built(MessageRule, rule, _MESSAGE, where)
    return checks.instance(where, made, MessageRule, "a MessageRule")


def _requests(entry: Mapping[str, Any]) -> RequestRules:
    _only(entry, _REQUESTS, "requests.")
    parts = dict(entry)
    rules = _tables(parts.pop("categories", []), "requests.categories")
    costs = _tables(parts.pop("costs", []), "requests.costs")
    usage = _table(parts.pop("usage", {}), "requests.usage")
    for name, value in parts.items():
        if name in ("put_is_idempotent", "post_is_repeatable"):
            _flag(value, f"requests.{name}")
        else:
            _string(value, f"requests.{name}")
    parts["categories"] = tuple(
        _category(rule, f"requests.categories[{at}]") for at, rule in enumerate(rules)
    )
    parts["costs"] = tuple(_cost(cost, f"requests.costs[{at}]") for at, cost in enumerate(costs))
    parts["usage"] = {unit: _path(path, f"requests.usage.{unit}") for unit, path in usage.items()}
    try:
        return RequestRules(**parts)
    except ValueError as error:
        raise ValueError(_at("requests", error)) from None


def _category(entry: Mapping[str, Any], where: str) -> CategoryRule:
    if "name" not in entry:
        raise ValueError(f"{where}.name: missing, allowed is a string")
    rule = dict(entry)
    if "field" in rule:
        rule["field"] = _path(rule["field"], f"{where}.field")
    built = _built(CategoryRule, rule, _CATEGORY, where)
    return checks.instance(where, built, CategoryRule, "a CategoryRule")


def _cost(entry: Mapping[str, Any], where: str) -> CostEstimate:
    estimate = dict(entry)
    if "fields" in estimate:
        estimate["fields"] = _paths(estimate["fields"], f"{where}.fields")
    if estimate.get("bytes_per_unit") is False:  # TOML has no word for None
        estimate["bytes_per_unit"] = None
    built = _built(CostEstimate, estimate, _COST, where)
    return checks.instance(where, built, CostEstimate, "a CostEstimate")


def _built(
    kind: Any,
    entry: Mapping[str, Any],
    known: tuple[str, ...] | None,
    where: str,
) -> Any:
    if known is not None:
        _only(entry, known, f"{where}.")
    parts = {name: tuple(v) if isinstance(v, list) else v for name, v in entry.items()}
    try:
        return kind(**parts)
    except (TypeError, ValueError) as error:
        raise ValueError(_at(where, error)) from None


def _at(where: str, error: Exception) -> str:
    """Return a refusal of one of our classes as one of the document's entry."""
    text, fields = re.subn(r"^[A-Z]\w+(?:\('[^']*'\))?\.", "", str(error))
    return f"{where}.{text}" if fields else f"{where}: {text}"


def _only(entry: Mapping[str, Any], known: tuple[str, ...], prefix: str) -> None:
    for name in entry:
        if name not in known:
            choices = ", ".join(known)
            hint = checks.nearest(name, known)
            raise ValueError(f"{prefix}{name}: unknown entry, allowed are {choices}{hint}")


def _class(value: object, where: str) -> ErrorClass:
    names = [member.value for member in ErrorClass]
    checks.one_of(where, value.lower() if isinstance(value, str) else value, names)
    return ErrorClass(str(value).lower())


def _status(key: str, where: str) -> int:
    if not re.fullmatch("[45][0-9]{2}", key):
        raise ValueError(f"{where}.{key}: allowed are HTTP statuses from 400 to 599")
    return int(key)


def _paths(value: object, where: str) -> tuple[Path, ...]:
    paths = [path_of(text) for text in _strings(value, where, _A_PATH)]
    if None in paths:
        raise ValueError(f"{where}: got {checks.shown(value)}, allowed is {_A_PATH}")
    return tuple(path for path in paths if path is not None)


def _path(value: object, where: str) -> Path:
    (path,) = _paths(_string(value, where), where)
    return path


def _strings(value: object, where: str, allowed: str) -> list[str]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(text, str) and text for text in listed):
        raise ValueError(f"{where}: got {checks.shown(value)}, allowed is {allowed}")
    return [str(text) for text in listed]


def _string(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where}: got {checks.shown(value)}, allowed is a string")
    return value


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{where}: got {checks.shown(value)}, allowed is true or false")
    return value


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: got {checks.shown(value)}, allowed is a table")
    return value


def _tables(value: object, where: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise ValueError(f"{where}: got {checks.shown(value)}, allowed is an array of tables")
    return [_table(entry, f"{where}[{at}]") for at, entry in enumerate(value)]
