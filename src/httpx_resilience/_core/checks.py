"""Validation of configuration: each error names the field, the value and what is allowed."""

import functools
import inspect
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")

_AWAITABLE_TYPES = ("Awaitable", "Coroutine", "Future", "Task")
"""Words in a return annotation by which a plain function says that it returns an awaitable."""

MOST = 2**63 - 1
"""The largest integer where no other bound is given; not every reader of the log takes more."""


def integer(field: str, value: object, *, low: int, high: int | None = None) -> None:
    """Raise unless ``value`` is an integer in [low, high]; without ``high``, below 2**63."""
    allowed = f"an integer of at least {low}" if high is None else f"an integer in [{low}, {high}]"
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(_refusal(field, value, allowed))
    if high is None and value > MOST:
        allowed += " and below 2**63"
    if value < low or value > (MOST if high is None else high):
        raise ValueError(_refusal(field, value, allowed))


def integer_or(field: str, value: object, word: str, *, low: int) -> None:
    """Raise unless ``value`` is an integer of at least ``low`` and below 2**63, a word, or None."""
    if value is None or (isinstance(value, str) and value == word):
        return
    allowed = f"an integer of at least {low}, {word!r}, or None"
    if isinstance(value, str):
        raise ValueError(_refusal(field, value, allowed) + nearest(value, [word]))
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(_refusal(field, value, allowed))
    if not low <= value <= MOST:
        raise ValueError(_refusal(field, value, allowed))


def number(
    field: str,
    value: object,
    *,
    low: float,
    high: float = math.inf,
    above: bool = False,
    optional: bool = False,
) -> None:
    """Raise unless ``value`` is a finite number in [low, high], or in (low, high] if ``above``."""
    if value is None and optional:
        return
    floor = f"above {low:g}" if above else f"of at least {low:g}"
    allowed = f"a finite number {floor}"
    if high != math.inf:
        allowed += f" and at most {high:g}"
    if optional:
        allowed += ", or None"
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(_refusal(field, value, allowed))
    try:
        is_finite = math.isfinite(value)
    except OverflowError:
        is_finite, allowed = False, allowed.replace("finite number", "number below 1.8e308,")
    if not is_finite or value < low or value > high or (above and value == low):
        raise ValueError(_refusal(field, value, allowed))


def one_of(field: str, value: object, allowed: Iterable[str]) -> None:
    """Raise unless ``value`` is one of the allowed words; suggest the nearest."""
    words = list(allowed)
    if value in words:
        return
    choices = ", ".join(repr(word) for word in words)
    raise ValueError(_refusal(field, value, f"one of {choices}") + nearest(value, words))


def instance(field: str, value: object, kind: type[T], allowed: str) -> T:
    """Return ``value`` if it is an instance of ``kind``, else raise."""
    if not isinstance(value, kind):
        raise TypeError(_refusal(field, value, allowed))
    return value


class Plain(Generic[A, R]):
    """A user's plain function of one argument: what an async one would return is refused.

    Args:
        field: What an error names it.
        function: The user's.
        returns: The types that its result may have; any if left out.
    """

    __slots__ = ("_field", "_function", "_returns")

    def __init__(
        self, field: str, function: Callable[[A], R], returns: tuple[type, ...] = (object,)
    ) -> None:
        self._field = field
        self._function = function
        self._returns = returns

    def __call__(self, argument: A) -> R:
        """Return what the function returns.

        Raises:
            TypeError: It returned an awaitable, which is closed, or something of another type.
        """
        got = self._function(argument)
        if got is not None and type(got) is not str:
            no_awaitable(self._field, got)
        if not isinstance(got, self._returns):
            allowed = " or ".join("None" if t is type(None) else t.__name__ for t in self._returns)
            raise TypeError(f"{self._field}: it returned {_a(got)}, allowed is {allowed}")
        return got

    def try_out(self, argument: A) -> None:
        """Call a function that may be an async one in disguise: a lambda, or an object.

        Raises:
            TypeError: It returned an awaitable, which is closed.
        """
        if inspect.isfunction(self._function) and not _is_lambda(self._function):
            return
        try:
            got: object = self._function(argument)
        except Exception:  # noqa: BLE001 - a user's function; whoever calls it next sees to that
            return
        no_awaitable(self._field, got)


def plain(
    field: str,
    function: Callable[[A], R],
    returns: tuple[type, ...] = (object,),
    *,
    allowed: str = "a plain function or None",
) -> Plain[A, R]:
    """Return a plain function whose results are checked.

    Raises:
        TypeError: It cannot be called, or is an async function.
    """
    if not callable(function):
        raise TypeError(_refusal(field, function, allowed))
    if any(map(_is_async, (function, _code_of(function)))):
        raise TypeError(_refusal(field, function, f"{allowed}: not an async function"))
    return Plain(field, function, returns)


def asynchronous(field: str, function: Callable[..., object]) -> None:
    """Raise if it is certain that a function returns no awaitable.

    A lambda, a builtin, a class and a function that is annotated so may return one: what those
    return is seen when they are called (``awaitable``).

    Raises:
        TypeError: It is a plain function, or an async generator.
    """
    no_generator(field, function)
    code = _code_of(function)
    inner = inspect.unwrap(code)
    if any(map(inspect.iscoroutinefunction, (function, code, inner))):
        return
    if (inspect.isfunction(inner) or inspect.ismethod(inner)) and not _may_be_async(inner):
        raise TypeError(f"{field}: got a plain function, allowed is an async function")


def no_generator(field: str, function: Callable[..., object]) -> None:
    """Raise if a function is an async generator.

    Raises:
        TypeError: It is.
    """
    code = _code_of(function)
    if any(map(inspect.isasyncgenfunction, (function, code, inspect.unwrap(code)))):
        raise TypeError(f"{field}: got an async generator, allowed is an async function")


def awaitable(field: str, got: Awaitable[T]) -> Awaitable[T]:
    """Return what an async function returned, to be awaited.

    Raises:
        TypeError: It is nothing that can be awaited.
    """
    if not inspect.isawaitable(got):
        raise TypeError(
            f"{field}: it returned {_a(got)} at once, allowed is an awaitable: make it async"
        )
    return got


def no_awaitable(field: str, got: object) -> None:
    """Raise if a plain function returned an awaitable, which is closed.

    Raises:
        TypeError: It did.
    """
    # A future or task is under way by itself: whoever made it need not wait for it.
    if inspect.isawaitable(got) and not hasattr(got, "add_done_callback"):
        close = getattr(got, "close", None)
        if close is not None:
            close()
        raise TypeError(
            f"{field}: it returned an awaitable ({type(got).__name__}), allowed is a plain function"
        )


def _code_of(function: Any) -> Any:
    """Return what runs when something is called, where that can be seen."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return type(function).__call__


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _may_be_async(function: Any) -> bool:
    if _is_lambda(function) or function.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE:
        return True
    returned = str(function.__annotations__.get("return", ""))
    return any(word in returned for word in _AWAITABLE_TYPES)


def _is_lambda(function: object) -> bool:
    return getattr(function, "__name__", "") == "<lambda>"


def _a(value: object) -> str:
    """Return a value's type, with its article: the value itself may be a secret."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def nearest(value: object, words: Iterable[str], cutoff: float = 0.6) -> str:
    """Return `` (did you mean …?)`` for the nearest known word, or an empty string."""
    import difflib

    word = value if isinstance(value, str) else shown(value)
    found = difflib.get_close_matches(word, list(words), n=1, cutoff=cutoff)
    return f" (did you mean {found[0]!r}?)" if found else ""


def shown(value: object) -> str:
    """Return a value as a refusal shows it: as it would be written, but for endless integers.

    >>> shown(-(10**400))
    '-100000000000… (401 digits)'
    """
    if isinstance(value, int) and value.bit_length() > 200:  # Python writes 4,300 digits at most
        digits = int(value.bit_length() * math.log10(2)) + 1  # for some, one too many
        return f"{'-' * (value < 0)}{abs(value) // 10 ** (digits - 12)}… ({digits} digits)"
    try:
        return repr(value)
    except ValueError:
        return f"a {type(value).__name__} with an endless integer in it"


def _refusal(field: str, value: object, allowed: str) -> str:
    return f"{field}: got {shown(value)}, allowed is {allowed}"
