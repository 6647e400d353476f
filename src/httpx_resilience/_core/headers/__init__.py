"""What a response says of limits, waits and retries in its headers, as servers send them."""

from .families import DEFAULT_FAMILIES, HeaderFamily
from .limits import RateLimit, Reading, binding
from .proxy import is_by_proxy
from .reader import RateLimitReader
from .veto import STRIPES_VETO, VETO, should_retry
from .waits import Wait, retry_after, server_wait

__all__ = [
    "DEFAULT_FAMILIES",
    "STRIPES_VETO",
    "VETO",
    "HeaderFamily",
    "RateLimit",
    "RateLimitReader",
    "Reading",
    "Wait",
    "binding",
    "is_by_proxy",
    "retry_after",
    "server_wait",
    "should_retry",
]
