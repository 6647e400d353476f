"""Validation: each error names the field, the value and what is allowed."""

import functools
import types
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from httpx_resilience import (
    Backoff,
    BudgetPolicy,
    CategoryRule,
    ErrorClass,
    ErrorSpec,
    HeaderFamily,
    RefreshToken,
    RetryPolicy,
    ThrottlePolicy,
)
from httpx_resilience._core import checks
from httpx_resilience.testing import FakeScaiVault, Fault, Limit


@pytest.mark.parametrize("value", [1, 5, 9])
def test_an_integer_in_range_is_let_through(value: int) -> None:
    checks.integer("f", value, low=1, high=9)


@pytest.mark.parametrize("value", [0, 10, -(10**30)])
def test_an_integer_out_of_range_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=rf"f: got {value}, allowed is an integer in \[1, 9\]"):
        checks.integer("f", value, low=1, high=9)


@pytest.mark.parametrize("value", [0, 0.5, 1, 1.0])
def test_a_number_in_range_is_let_through(value: float) -> None:
    checks.number("f", value, low=0, high=1)


def test_none_is_let_through_where_it_is_optional() -> None:
    checks.number("f", None, low=0, optional=True)
    with pytest.raises(TypeError, match="f: got None"):
        checks.number("f", None, low=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1.1, -0.1])
def test_a_number_that_is_not_finite_or_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="a finite number of at least 0 and at most 1"):
        checks.number("f", value, low=0, high=1)


@pytest.mark.parametrize("value", ["1", True, [1], 1j])
def test_what_is_no_number_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="f: got "):
        checks.number("f", value, low=0)


def test_a_bound_may_be_excluded() -> None:
    with pytest.raises(ValueError, match="above 0"):
        checks.number("f", 0, low=0, above=True)


def test_a_misspelt_word_is_refused_and_the_nearest_suggested() -> None:
    checks.one_of("f", "full", ("equal", "full"))
    with pytest.raises(ValueError, match=r"one of 'equal', 'full' \(did you mean 'equal'\?\)"):
        checks.one_of("f", "equl", ("equal", "full"))
    with pytest.raises(ValueError, match=r"'full'$"):
        checks.one_of("f", 7, ("equal", "full"))


def test_an_instance_is_returned() -> None:
    assert checks.instance("f", 7, int, "an int") == 7
    with pytest.raises(TypeError, match="f: got 'x', allowed is an int"):
        checks.instance("f", "x", int, "an int")


async def is_async() -> str:
    return "x"


def returns_awaitable() -> Awaitable[str]:
    return is_async()


def is_plain() -> str:
    return "x"


@types.coroutine
def is_of_old() -> Any:
    yield


@functools.wraps(is_async)
def wraps_async() -> object:
    return is_async()


class Plain:
    def __call__(self) -> str:
        return "x"


@pytest.mark.parametrize(
    "function",
    [
        is_async,
        returns_awaitable,
        wraps_async,
        is_of_old,
        lambda: "x",
        functools.partial(returns_awaitable),
        print,
        Plain,
    ],
)
def test_what_may_return_an_awaitable_is_let_through(function: Callable[..., object]) -> None:
    checks.asynchronous("f", function)


@pytest.mark.parametrize("function", [is_plain, Plain(), functools.partial(is_plain)])
def test_what_certainly_returns_none_is_refused(function: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match=r"^f: got a plain function, allowed is an async function$"):
        checks.asynchronous("f", function)


def test_what_was_returned_in_place_of_an_awaitable_is_named_by_its_type() -> None:
    returned: list[tuple[Any, str]] = [(7, "an int"), ("secret", "a str"), (None, "None")]
    for got, name in returned:
        with pytest.raises(TypeError, match=f"^f: it returned {name} at once, allowed is"):
            _ = checks.awaitable("f", got)


def test_a_plain_function_gives_its_result_of_the_types_that_are_allowed() -> None:
    assert checks.plain("f", str.upper)("x") == "X"
    assert checks.plain("f", len, (int,))("abc") == 3
    with pytest.raises(TypeError, match=r"^f: it returned an int, allowed is str or None$"):
        checks.plain("f", len, (str, type(None)))("abc")
    with pytest.raises(TypeError, match=r"^f: got 7, allowed is a plain function or None$"):
        checks.plain("f", 7)  # type: ignore[arg-type]


# Integers that no ``float`` holds, or that Python does not write.

HUGE = 10**400
ENDLESS = 10**5000
"""More digits than Python converts."""


OWNERS: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
    "Backoff": (Backoff, {}, "initial maximum multiplier max_attempts cost"),
    "BudgetPolicy": (BudgetPolicy, {}, "ratio window floor maximum heal_after"),
    "RetryPolicy": (RetryPolicy, {}, "max_attempts retry_for deadline max_retry_after"),
    "ThrottlePolicy": (ThrottlePolicy, {}, "reserve low_below max_wait max_queue window"),
    "HeaderFamily": (HeaderFamily, {"remaining": "X-Left"}, "window"),
    "CategoryRule": (CategoryRule, {"name": "read"}, "cost"),
    "ErrorSpec": (ErrorSpec, {"code": "a", "error_class": ErrorClass.INTERNAL}, "status"),
    "RefreshToken": (RefreshToken, {"fetch": is_async, "origins": "https://a.example"}, "ahead"),
    "Limit": (Limit, {"limit": 1}, "limit per"),
    "Fault.delay": (Fault.delay, {"seconds": 1}, "seconds times"),
    "FakeScaiVault": (FakeScaiVault, {}, "retention decimals"),
}
FIELDS = [(owner, name) for owner, (_, _, names) in OWNERS.items() for name in names.split()]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (HUGE, "100000000000… (401 digits)"),
        (-HUGE, "-100000000000… (401 digits)"),
        (ENDLESS, "100000000000… (5001 digits)"),
        (-ENDLESS, "-100000000000… (5001 digits)"),
    ],
    ids=["401 digits", "401 digits below 0", "5001 digits", "5001 digits below 0"],
)
@pytest.mark.parametrize(("owner", "name"), FIELDS)
def test_the_refusal_names_the_field_the_value_and_what_is_allowed(
    owner: str, name: str, value: int, shown: str
) -> None:
    kind, needed, _ = OWNERS[owner]
    with pytest.raises(ValueError, match="got") as refused:
        kind(**{**needed, name: value})
    field, got, told = str(refused.value).partition(": got ")
    assert got
    assert field.split(".")[-1] in (name, owner.split(".")[-1])
    assert told.startswith(f"{shown}, allowed is a")
    assert len(told) < 200


@pytest.mark.parametrize("value", [1e308, 10**308, -(10**308), 2**63 - 1, 10**18])
def test_what_a_float_holds_is_taken(value: float) -> None:
    checks.number("f", value, low=-1.7e308)


def test_an_integer_that_a_float_does_not_hold_is_told_so() -> None:
    with pytest.raises(ValueError, match=r"allowed is a number below 1\.8e308, above 0, or None$"):
        RetryPolicy(deadline=HUGE)
    with pytest.raises(ValueError, match=r"a number below 1\.8e308, of at least 0 and at most 1$"):
        BudgetPolicy(ratio=HUGE)


def test_integers_without_a_bound_of_their_own_end_where_64_bits_do() -> None:
    assert RetryPolicy(max_attempts=2**63 - 1).max_attempts == 2**63 - 1
    with pytest.raises(ValueError, match=r"an integer of at least 1 and below 2\*\*63$"):
        RetryPolicy(max_attempts=2**63)


@pytest.mark.parametrize("value", [HUGE, [ENDLESS], {"a": (ENDLESS,)}])
def test_an_endless_integer_where_none_belongs_is_refused_as_anything_else(value: object) -> None:
    with pytest.raises(TypeError, match=r"^f: got .*, allowed is a word$"):
        checks.instance("f", value, str, "a word")
    with pytest.raises(ValueError, match=r"^f: got .*, allowed is one of 'a'$"):
        checks.one_of("f", value, ["a"])
