"""The throttle: spends a server's rate-limit budget to the last request and meets no 429."""

from .gate import Throttle
from .queue import EXPIRED, GRANTED, LEFT, WAITING, Ticket, TicketQueue

__all__ = ["EXPIRED", "GRANTED", "LEFT", "WAITING", "Throttle", "Ticket", "TicketQueue"]
