"""A stub of the APIs that SDKs are made for: OpenAI's, Anthropic's, Groq's and PostgREST."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from support.servers import serving_asgi

PATIENCE = 5.0

Json = dict[str, object]

_CODES = {400: "invalid_request_error", 429: "rate_limit_exceeded", 503: "server_error"}

CHAT: Json = {
    "id": "chat-1",
    "object": "chat.completion",
    "created": 1,
    "model": "stub",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "fine", "refusal": None},
        }
    ],
}

MESSAGE: Json = {
    "id": "msg-1",
    "type": "message",
    "role": "assistant",
    "model": "stub",
    "content": [{"type": "text", "text": "fine"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


class SdkServer:
    """Answers the first requests with errors, if it is told to; all others well.

    Args:
        *errors: Statuses, or codes of a 429, one for each of the first requests.

    Attributes:
        url: Where it is, while it is served.
        requests: How many requests came.
        read_first: To be set once the first piece of a streamed answer was read; the second is not
            sent before.
        waited: Whether the second piece was sent because of that, and not for want of patience.
    """

    def __init__(self, *errors: int | str) -> None:
        self._errors = list(errors)
        self.url = ""
        self.requests = 0
        self.read_first = threading.Event()
        self.waited: bool | None = None

    @contextmanager
    def serving(self) -> Iterator["SdkServer"]:
        app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/openai/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/messages", self._message, methods=["POST"]),
                Route("/rest/v1/things", self._things),
            ]
        )
        with serving_asgi(app, Counter()) as url:
            self.url = url
            yield self
            self.read_first.set()

    def _error(self) -> Response | None:
        self.requests += 1
        if not self._errors:
            return None
        error = self._errors.pop(0)
        status, code = (error, _CODES[error]) if isinstance(error, int) else (429, error)
        told = {"type": code, "code": code, "message": "words for people"}
        return JSONResponse({"type": "error", "error": told, **told}, status)

    async def _chat(self, request: Request) -> Response:
        error = self._error()
        if error is not None:
            return error
        if not (await request.json()).get("stream"):
            return JSONResponse(CHAT)
        return self._streamed(_event(_chunk("one ")), _event(_chunk("two")), _event("[DONE]"))

    async def _message(self, request: Request) -> Response:
        error = self._error()
        if error is not None:
            return error
        if not (await request.json()).get("stream"):
            return JSONResponse(MESSAGE)
        begin: Json = {"type": "message_start", "message": {**MESSAGE, "content": []}}
        block: Json = {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        }
        return self._streamed(
            _event(begin) + _event(block) + _event(_delta("one ")),
            _event(_delta("two")),
            _event({"type": "content_block_stop", "index": 0}) + _event({"type": "message_stop"}),
        )

    async def _things(self, request: Request) -> Response:
        return self._error() or JSONResponse([{"id": 1}])

    def _streamed(self, first: str, *others: str) -> Response:
        async def pieces() -> AsyncIterator[str]:
            yield first
            self.waited = await asyncio.to_thread(self.read_first.wait, PATIENCE)
            for other in others:
                yield other

        return StreamingResponse(pieces(), media_type="text/event-stream")


def _chunk(text: str) -> Json:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    return {**CHAT, "object": "chat.completion.chunk", "choices": [choice]}


def _delta(text: str) -> Json:
    delta = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def _event(data: Json | str) -> str:
    if isinstance(data, str):
        return f"data: {data}\n\n"
    kind = data.get("type")
    return (f"event: {kind}\n" if kind else "") + f"data: {json.dumps(data)}\n\n"
