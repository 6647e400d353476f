"""A request that the vault refuses, as the parts of the vault pass it to one another."""

from collections.abc import Mapping

from ..dialects.scaivault import SCAIVAULT


class Refusal(Exception):  # noqa: N818  (a refusal is an answer, not an error of ours)
    """Raised anywhere in the vault; becomes the error envelope."""

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        details: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        spec = SCAIVAULT.codes[code]
        super().__init__(code)
        self.code = code
        self.status = status or spec.status or 500
        self.message = message or spec.meaning
        self.details = dict(details or {})
        self.headers = dict(headers or {})


def invalid_field(name: str, problem: str) -> Refusal:
    """Return the refusal of one field, in the shape of ``validation_error``."""
    return Refusal(
        "validation_error",
        "Request validation failed",
        details={"fields": [{"field": name, "error": problem}]},
    )
