"""What a budget for each model and an estimate of tokens cost for a call with a chat body of 2 KB.

To the transport with a request built once. The body is parsed once for each call, whichever of the
two asks for it; a scope by a segment of the path and a cost that a function gives need no parsing.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx

from httpx_resilience import GENERIC, CategoryRule, CostEstimate, Dialect

from ..contenders.transports import BARE, Contender, bare, ours
from ..harness.rounds import Effort, Report, Stopwatch, Turn, against, take_turns
from ..harness.rows import Row
from ..harness.targets import OURS
from ..servers.vault import CREDENTIAL, InProcessVault

NAME = "costs"
WHAT = "chat body of 2 KB"
URL = "https://llm.example/v1/chat/completions"

_WORDS = "Write a haiku about servers that say what they still allow. "
BODY = json.dumps(
    {
        "model": "gpt-5-mini",
        "max_tokens": 500,
        "temperature": 0.2,
        "messages": [
            {"role": role, "content": 5 * _WORDS}
            for role in ("system", "user", "assistant", "user", "assistant", "user")
        ],
    }
).encode()


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    return asyncio.run(_run(effort, report))


async def _run(effort: Effort, report: Report) -> list[Row]:
    figures = await take_turns(
        {contender.name: _turn(contender) for contender in [bare(), *_contenders()]},
        rounds=effort.of(25, least=3),
        calls=effort.of(800, least=20),
        report=report,
    )
    rows = []
    for name, own in figures.items():
        seen, is_bare = against(own, figures[BARE]), name == BARE
        value, unit = (seen.value, "µs") if is_bare else (seen.added, "µs added")
        rows.append(
            Row(benchmark=NAME, what=WHAT, contender=name, value=value, unit=unit, ratio=seen.ratio)
        )
    return rows


def _contenders() -> list[Contender]:
    by_model = (CategoryRule(name="chat", path="/v1/chat/*", field=("model",)),)
    by_path = (CategoryRule(name="chat", path="/v1/{endpoint}/*"),)
    estimate = (CostEstimate(fields=(("max_completion_tokens",), ("max_tokens",))),)
    return [
        ours(dialect=GENERIC),
        ours(f"{OURS}, scope by path", dialect=_with(categories=by_path)),
        ours(f"{OURS}, scope by model", dialect=_with(categories=by_model)),
        ours(f"{OURS}, estimate", dialect=_with(costs=estimate)),
        ours(f"{OURS}, both", dialect=_with(categories=by_model, costs=estimate)),
        ours(f"{OURS}, costs()", dialect=_with(costs=_tokens)),
    ]


def _with(**rules: Any) -> Dialect:
    return replace(GENERIC, requests=replace(GENERIC.requests, **rules))


def _tokens(request: httpx.Request) -> Mapping[str, int]:
    return {"tokens": 1_000}


def _turn(contender: Contender) -> Turn:
    vault = InProcessVault()
    transport = contender.wrap(vault)
    request = httpx.Request("POST", URL, headers=CREDENTIAL, content=BODY)

    async def turn(calls: int) -> float:
        vault.stock(calls)
        with contender.around(), Stopwatch() as watch:
            for _ in range(calls):
                await transport.handle_async_request(request)
        return watch.seconds

    return turn
