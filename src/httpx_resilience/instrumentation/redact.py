"""What a path may show."""


def redact_path(path: str) -> str:
    """Hide all but the first two segments of a path; for ``AsyncResilientTransport(redact=...)``.

    >>> redact_path("/v1/secrets/production/db/password")
    '/v1/secrets/***'
    >>> redact_path("/v1/secrets")
    '/v1/secrets'
    """
    head = path.split("/")[:3]
    shown = "/".join(head)
    return shown if len(shown) == len(path) else f"{shown}/***"
