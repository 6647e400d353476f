"""The front door: sorted, complete, documented, and nothing beside it."""

import dataclasses
import inspect
import types

import pytest

import httpx_resilience
from httpx_resilience import dialects


def test_all_is_sorted_as_ruff_sorts_it() -> None:
    constants = sorted(name for name in httpx_resilience.__all__ if name.isupper())
    classes = sorted(
        name for name in httpx_resilience.__all__ if name[0].isupper() and not name.isupper()
    )
    functions = sorted(name for name in httpx_resilience.__all__ if name[0].islower())
    assert [*constants, *classes, *functions] == httpx_resilience.__all__
    assert len(set(httpx_resilience.__all__)) == len(httpx_resilience.__all__)


def test_nothing_else_is_public_at_the_front_door() -> None:
    for name in httpx_resilience.__all__:
        getattr(httpx_resilience, name)  # what is imported when it is first used
    found = {
        name
        for name, value in vars(httpx_resilience).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert found == set(httpx_resilience.__all__)


@pytest.mark.parametrize("name", dialects.__all__)
def test_every_dialect_that_ships_is_at_both_doors_under_its_own_name(name: str) -> None:
    dialect = getattr(dialects, name)
    assert getattr(httpx_resilience, name) is dialect
    assert dialect.name == name.lower()
    assert name in dir(dialects)


def test_a_dialect_that_does_not_ship_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="NOPE"):
        dialects.NOPE  # noqa: B018 - what is looked at is that it fails


@pytest.mark.parametrize("name", httpx_resilience.__all__)
def test_every_public_name_exists_and_explains_itself(name: str) -> None:
    value = getattr(httpx_resilience, name)
    if isinstance(value, type) or callable(value):
        text = inspect.getdoc(value)
        assert text, name
        assert text.splitlines()[0].endswith("."), name
        if dataclasses.is_dataclass(value):
            assert not text.startswith(f"{name}("), "the docstring that dataclass makes up"


@pytest.mark.parametrize("name", httpx_resilience.__all__)
def test_every_public_method_explains_itself(name: str) -> None:
    value = getattr(httpx_resilience, name)
    if not isinstance(value, type):
        return
    for attribute, member in vars(value).items():
        if not attribute.startswith("_") and (
            inspect.isfunction(member) or isinstance(member, property)
        ):
            assert inspect.getdoc(getattr(value, attribute)), f"{name}.{attribute}"


@pytest.mark.parametrize("name", httpx_resilience.__all__)
def test_a_public_class_without_arguments_to_invent_has_a_readable_repr(name: str) -> None:
    value = getattr(httpx_resilience, name)
    if name in ("Policy", "RetryPolicy", "BudgetPolicy", "Backoff", "Envelope", "RequestRules"):
        assert repr(value()).startswith(f"{name}(")
