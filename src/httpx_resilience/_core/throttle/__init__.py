"""The throttle: spends a server's rate-limit budget to the last request and meets no 429."""

from .gate import Throttle
from .queue import EXPIRED, GRANTED, LEFT, WAITING, Ticket, TicketQueue
from .route import Route
from .status import RateLimitStatus, Signature

__all__ = [
    "EXPIRED",
    "GRANTED",
    "LEFT",
    "WAITING",
    "RateLimitStatus",
    "Route",
    "Signature",
    "Throttle",
    "Ticket",
    "TicketQueue",
]
