"""A token and how it stands: what decides when it is renewed, whoever waits for it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from .._core import checks
from .._http.binding import Binding
from .grants import Refused

if TYPE_CHECKING:
    from .._http import typed as http

_PAUSE = 1.0
"""Seconds after a failed renewal ahead of expiry before the next."""

_TOKEN = re.compile(r"[\x21-\x7e]+")
"""What a token must look like: h11 would quote any other in its error message, such as one with the
newline of its file."""


class TokenState:
    """The token of the moment, and how the last renewal went. It neither waits nor fetches.

    Args:
        binding: The library.
        ahead: Seconds before its expiry at which a token is renewed.
        clock: Monotonic seconds.

    Attributes:
        token: The token, or None.
        round: How many renewals have ended.
        failure: How the last one failed, or None.
    """

    def __init__(self, binding: Binding, ahead: float, clock: Callable[[], float]) -> None:
        self._binding = binding
        self._ahead = ahead
        self._clock = clock
        self.token: str | None = None
        self._renew_at = self._expires_at = 0.0
        self.round = 0
        self.failure: Failure | None = None

    def is_usable(self, stale: str | None) -> bool:
        """Whether there is a token that has not expired yet, though it may be renewed soon."""
        return self.token not in (None, stale) and self._clock() < self._expires_at

    def good(self, stale: str | None, *, is_renewed: bool = False) -> str | None:
        """Return a token to go on with, or None: it is to be renewed, or waited for.

        Args:
            stale: A token that will not do.
            is_renewed: Somebody is renewing it, ahead of its expiry.
        """
        if self.is_usable(stale) and (is_renewed or self._clock() < self._renew_at):
            return self.token
        return None

    def news(self, seen: int, stale: str | None, request: http.Request) -> str | None:
        """Return a token that came while somebody waited, or None: it is theirs to renew it.

        Raises:
            Exception: The renewal that was waited for failed: one fetch for all who waited for it.
        """
        token, is_news = self.token, self.round != seen
        good = self.good(stale)
        if good is not None:
            return good
        if is_news and self.failure is not None:
            raise self.failure.error(request)
        return token if is_news else None

    def bound(self, fetch_timeout: float, stale: str | None) -> float:
        """Return the seconds that a fetch may take."""
        if self.is_usable(stale):
            return min(fetch_timeout, (self._expires_at - self._clock()) / 2)
        return fetch_timeout

    def took(self, got: object, began_at: float) -> str:
        """Take what a fetch returned.

        Raises:
            TypeError, ValueError: It is no token.
        """
        token, lifetime = _checked_token(got)
        renew_at = expires_at = math.inf
        if lifetime is not None:
            expires_at = began_at + lifetime
            renew_at = expires_at - min(self._ahead, lifetime / 10)
        # No call among these: other threads, and Ctrl-C, see all of it or nothing.
        self.failure, self.token = None, token
        self._renew_at, self._expires_at = renew_at, expires_at
        self.round += 1
        return token

    def failed(self, error: Exception, stale: str | None) -> str | None:
        """Note that a renewal failed; return the token to go on with, if it is good for a while."""
        self.round += 1
        self.failure = Failure(error, self._binding)
        return self.kept(stale)

    def kept(self, stale: str | None) -> str | None:
        """Return the token to go on with after a failed renewal, if it is good for a while."""
        if not self.is_usable(stale):
            return None
        self._renew_at = self._clock() + _PAUSE
        return self.token

    def drop(self, used: str) -> None:
        """Forget a token that was refused."""
        if self.token == used:
            self.token = None


class Late(Exception):  # noqa: N818 - becomes a TimeoutException
    """The fetch took too long."""


class Failure:
    """How a fetch failed: an error of its own for each call that waited for it."""

    __slots__ = ("_binding", "_error")

    def __init__(self, error: Exception, binding: Binding) -> None:
        self._error = _twin(error)
        self._binding = binding

    def error(self, request: http.Request) -> Exception:
        """Return the error for a call."""
        error = self._error
        if isinstance(error, Refused):
            return self._binding.errors.token(str(error), request=request, code=error.code)
        if isinstance(error, Late):
            timeout: Exception = self._binding.library.TimeoutException(str(error), request=request)
            return timeout
        return _twin(error)


def _twin(error: Exception) -> Exception:
    """Return an error that says the same, without the traceback and with notes of its own."""
    kind = type(error)
    twin = kind.__new__(kind, *error.args)  # its __init__ may want something else
    twin.__dict__.update(vars(error))
    if hasattr(error, "__notes__"):
        twin.__notes__ = list(error.__notes__)
    return twin


def _checked_token(got: object) -> tuple[str, float | None]:
    """Return a token and its lifetime; what is wrong with them is reported without them."""
    token, lifetime = got if isinstance(got, tuple) and len(got) == 2 else (got, None)
    if not isinstance(token, str):
        raise TypeError(
            f"fetch: it returned a {type(token).__name__}, "
            "allowed is a string, or a string and a number of seconds"
        )
    if not _TOKEN.fullmatch(token):
        raise ValueError("fetch: it returned a token that fits no header, allowed is visible ASCII")
    checks.number("fetch: the lifetime it returned", lifetime, low=0, optional=True)
    return token, lifetime
