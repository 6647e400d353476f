"""``status``: what processes share by a store, and who holds how much of it."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from .. import StoreHolder, StoreLimit, StoreScope
from .._store.errors import StoreError
from ._screen import Misuse, complain, console, in_one_line, quiet_log
from ._store import SECRET, Cluster, Namespace, SecretName, StoreChoice, StoreUrl, choice_of
from ._tables import new_table

_NO_SECRET = bytes(16)
"""Nothing is named here by a secret: the list of scopes goes by the namespace alone."""


def status(
    store: StoreUrl = None,
    namespace: Namespace = None,
    secret_env: SecretName = SECRET,
    cluster: Cluster = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each scope.")
    ] = False,
) -> None:
    """Show what processes share by a store: the scopes, who holds what, and since when.

    Shows what was used within the last hour. Names are keyed hashes, as the store has them. Needs
    the namespace, but no secret. Ends with status 0, 1 if the store cannot be read, 2 if an
    argument cannot be used.
    """
    if store is None:
        raise Misuse("--store: missing")
    choice = choice_of(store, namespace, _NO_SECRET, is_cluster=cluster)
    try:
        with quiet_log():
            scopes = _read(choice)
    except StoreError as error:
        complain(in_one_line(str(error)))
        raise typer.Exit(1) from None
    if as_json:
        for scope in scopes:
            print(json.dumps(_as_json(scope)), flush=True)
    else:
        _show(scopes, choice.namespace, console())


def _read(choice: StoreChoice) -> tuple[StoreScope, ...]:
    try:
        with choice.opened_sync() as store:
            scopes: tuple[StoreScope, ...] = store.status()
            return scopes
    except (StoreError, typer.BadParameter):
        raise
    except Exception as error:  # noqa: BLE001 - a cluster is looked for while its client is made
        raise StoreError("connection", type(error).__name__) from None


def _show(scopes: Sequence[StoreScope], namespace: str, screen: Console) -> None:
    if not scopes:
        screen.print(f"no scope of {namespace} was used within the last hour")
    for number, scope in enumerate(scopes):
        if number:
            screen.print()
        screen.print(f"scope {scope.id}{_condition(scope)}\n", style="bold")
        if scope.limits:
            screen.print(_limits(scope.limits))
            screen.print()
        screen.print(_holders(scope))


def _condition(scope: StoreScope) -> str:
    found = []
    if scope.closed_for is not None:
        found.append(f"closed for {_seconds(scope.closed_for)}")
    if scope.probing_by is not None:
        found.append(f"{scope.probing_by} finds out what is left")
    if scope.rate is not None:
        found.append(f"{scope.rate:g} requests a second")
    return f": {', '.join(found)}" if found else ""


def _limits(limits: Sequence[StoreLimit]) -> Any:
    table = new_table()
    table.add_column("limit", overflow="fold")
    for head in ("units", "left", "leased", "reset in"):
        table.add_column(head, justify="right")
    for each in limits:
        table.add_row(
            each.id,
            _units(each.limit),
            _units(each.remaining),
            _units(each.leased),
            _seconds(each.reset_in),
        )
    return table


def _holders(scope: StoreScope) -> Any:
    table = new_table()
    table.add_column("process", overflow="fold")
    for head in ("leased", "held for", "lease ends in", "waiting for", "asked"):
        table.add_column(head, justify="right")
    for each in scope.holders:
        table.add_row(
            each.process,
            _leased(each),
            _seconds(each.held_for),
            _seconds(each.ends_in),
            _seconds(each.waiting_for),
            f"{_seconds(each.seen)} ago",
        )
    return table


def _leased(holder: StoreHolder) -> str:
    return " + ".join(_units(units) for _, units in holder.leased) or "-"


def _units(number: float | None) -> str:
    return "-" if number is None else f"{number:.12g}"


def _seconds(number: float | None) -> str:
    return "-" if number is None else f"{number:.1f} s"


def _as_json(scope: StoreScope) -> dict[str, Any]:
    limits = [dict(vars(each)) for each in scope.limits]
    holders = [{**vars(each), "leased": dict(each.leased)} for each in scope.holders]
    return {**vars(scope), "limits": limits, "holders": holders}
