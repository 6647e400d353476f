"""The throttle: spends a server's rate-limit budget to the last request and meets no 429."""

from .leased import LeasedThrottle
from .leasing import FLOOR, PATIENCE, Leasing, Names
from .limits.fleet import Peers
from .origin_concurrency import OriginConcurrency
from .queue import EXPIRED, GRANTED, LEFT, WAITING, Ticket, TicketQueue
from .route import Buckets, Route
from .snapshot import RateLimitStatus, Signature
from .throttle import Throttle

__all__ = [
    "EXPIRED",
    "FLOOR",
    "GRANTED",
    "LEFT",
    "PATIENCE",
    "WAITING",
    "Buckets",
    "LeasedThrottle",
    "Leasing",
    "Names",
    "OriginConcurrency",
    "Peers",
    "RateLimitStatus",
    "Route",
    "Signature",
    "Throttle",
    "Ticket",
    "TicketQueue",
]
