"""Integers that no ``float`` holds, or that Python does not write: refused like any other."""

from collections.abc import Callable
from typing import Any

import pytest

from httpx_resilience import (
    Backoff,
    BudgetPolicy,
    CategoryRule,
    Dialect,
    ErrorClass,
    ErrorSpec,
    HeaderFamily,
    RefreshToken,
    RetryPolicy,
    ThrottlePolicy,
)
from httpx_resilience._core import checks
from httpx_resilience.testing import FakeScaiVault, Fault, Limit

HUGE = 10**400
ENDLESS = 10**5000
"""More digits than Python converts."""


async def fetch() -> str:
    return "token"


OWNERS: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
    "Backoff": (Backoff, {}, "initial maximum multiplier max_attempts cost"),
    "BudgetPolicy": (BudgetPolicy, {}, "ratio window floor maximum heal_after"),
    "RetryPolicy": (RetryPolicy, {}, "max_attempts retry_for deadline max_retry_after"),
    "ThrottlePolicy": (ThrottlePolicy, {}, "reserve low_below max_wait max_queue window"),
    "HeaderFamily": (HeaderFamily, {"remaining": "X-Left"}, "window"),
    "CategoryRule": (CategoryRule, {"name": "read"}, "cost"),
    "ErrorSpec": (ErrorSpec, {"code": "a", "error_class": ErrorClass.INTERNAL}, "status"),
    "RefreshToken": (RefreshToken, {"fetch": fetch, "origins": "https://a.example"}, "ahead"),
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


ENTRIES = {
    "rate_limits[0].window": "rate_limits = [{ remaining = 'X-Left', window = @ }]",
    "codes.busy.status": "codes = { busy = { class = 'transient', status = @ } }",
    "codes.busy": "codes = { busy = @ }",
    "requests.categories[0].cost": "requests = { categories = [{ name = 'a', cost = @ }] }",
    "unknown_code": "unknown_code = @",
    "codes.busy.class": "codes = { busy = { class = @ } }",
    "envelope.code": "envelope = { code = [@] }",
    "envelope.ignore_case": "envelope = { ignore_case = @ }",
    "rate_limits": "rate_limits = @",
}


@pytest.mark.parametrize("written", [str(HUGE), "0x" + "f" * 5000], ids=["decimal", "hexadecimal"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_of_a_file_is_refused_by_its_name(entry: str, written: str) -> None:
    with pytest.raises(ValueError, match=r": got .*, allowed (is|are) ") as refused:
        Dialect.from_toml(f"name = 'x'\n{ENTRIES[entry].replace('@', written)}")
    assert str(refused.value).startswith(f"{entry}: ")


@pytest.mark.parametrize("entry", ENTRIES)
def test_digits_that_python_does_not_convert_are_refused_by_their_line(entry: str) -> None:
    with pytest.raises(ValueError, match=r"^dialect: line 2: got an integer of thousands of dig"):
        Dialect.from_toml(f"name = 'x'\n{ENTRIES[entry].replace('@', '9' * 5000)}")
