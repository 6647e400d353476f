"""Rate-limit headers and Retry-After of a response, as servers send them, into plain records."""

from .families import DEFAULT_FAMILIES, HeaderFamily
from .limits import REQUESTS, RateLimit, Reading, binding
from .reader import RateLimitReader
from .waits import Wait, retry_after, server_wait

__all__ = [
    "DEFAULT_FAMILIES",
    "REQUESTS",
    "HeaderFamily",
    "RateLimit",
    "RateLimitReader",
    "Reading",
    "Wait",
    "binding",
    "retry_after",
    "server_wait",
]
