"""A dialect as a TOML document."""

import json
from collections.abc import Mapping
from typing import Any

from httpx_resilience import Dialect, ErrorSpec, HeaderFamily


def toml_of(dialect: Dialect) -> str:
    """Return the document that describes a dialect, without what only Python can say."""
    envelope, requests = dialect.envelope, dialect.requests
    parts: dict[str, Any] = {
        "name": dialect.name,
        "unknown_code": dialect.unknown_code,
        "stop_layers_above": dialect.stop_layers_above,
        "codes": {spec.code: _row(spec) for spec in dialect.codes.values()},
        "statuses": {str(status): kind for status, kind in dialect.statuses.items()},
        "statuses_that_wait": {
            str(status): kind for status, kind in dialect.statuses_that_wait.items()
        },
        "envelope": {
            **{
                field: [".".join(path) for path in getattr(envelope, field)]
                for field in ("code", "message", "details", "request_id", "wait")
            },
            "ignore_case": envelope.ignore_case,
            "code_headers": list(envelope.code_headers),
            "messages": [
                {"contains": rule.contains, "code": rule.code, "statuses": list(rule.statuses)}
                for rule in envelope.messages
            ],
            "errors_in_success": envelope.errors_in_success,
        },
        "requests": {
            "put_is_idempotent": requests.put_is_idempotent,
            "post_is_repeatable": requests.post_is_repeatable,
            "request_id_header": requests.request_id_header,
            "idempotency_header": requests.idempotency_header,
            "response_id_header": requests.response_id_header,
        },
        "rate_limits": [_family(family) for family in dialect.rate_limits],
    }
    return "\n".join(
        f"{key} = {_value(value)}" for key, value in parts.items() if value is not None
    )


def _row(spec: ErrorSpec) -> dict[str, Any]:
    return {
        "class": spec.error_class,
        "status": spec.status,
        "category": spec.category,
        "meaning": spec.meaning,
        "advice": spec.advice,
        "wait": spec.wait,
    }


def _family(family: HeaderFamily) -> dict[str, Any]:
    return {name: getattr(family, name) for name in HeaderFamily.__dataclass_fields__}


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        items = ((key, item) for key, item in value.items() if item is not None)
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return repr(value)
