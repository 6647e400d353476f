"""What the APIs that SDKs are made for answer, in their own words: well, streamed, and refusing.

The errors are shaped as the vendors document or were seen to send them; ids and prices are made up.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Json = dict[str, object]


class Refusal(NamedTuple):
    """An answer that is no success."""

    status: int
    body: Json | str
    headers: Mapping[str, str] = {}


PROXY = Refusal(503, "<html><body><h1>503 Service Unavailable</h1></body></html>")
"""What a proxy in front of any of them says: no code, no JSON."""


@dataclass(frozen=True, kw_only=True)
class Api:
    """One API.

    Attributes:
        answer: A success, as JSON.
        refusals: By what a test calls them: ``rate_limit``, ``quota`` (nothing helps),
            ``overload``, ``invalid``.
        events: What it streams, if it does: events of which the first holds the first word.
        done: What ends the stream.
        streams: Whether a request (its path, its JSON) asks for a stream.
    """

    answer: object
    refusals: Mapping[str, Refusal]
    events: tuple[str, ...] = ()
    done: str = ""
    streams: Callable[[str, Json], bool] = field(default=lambda _, body: bool(body.get("stream")))


def event(data: object, *, named: bool = False) -> str:
    """Return a server-sent event; ``named``: after the ``type`` of its data."""
    name = f"event: {data['type']}\n" if named and isinstance(data, dict) else ""
    return f"{name}data: {json.dumps(data)}\n\n"


# OpenAI, and those that speak as it does.


def chat(message: Json, *, kind: str, finish: str | None) -> Json:
    return {
        "id": "chatcmpl-1",
        "object": kind,
        "created": 1,
        "model": "stub",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "logprobs": None,
                "delta" if kind.endswith("chunk") else "message": {"role": "assistant", **message},
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _completion() -> Json:
    return chat({"content": "fine", "refusal": None}, kind="chat.completion", finish="stop")


def _chunk(text: str) -> str:
    return event(chat({"content": text}, kind="chat.completion.chunk", finish=None))


def openai_error(message: str, kind: str, code: str | None) -> Json:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


_CHUNKS = (_chunk("one "), _chunk("two"))
_DONE = "data: [DONE]\n\n"

OPENAI = Api(
    answer=_completion(),
    events=_CHUNKS,
    done=_DONE,
    refusals={
        "rate_limit": Refusal(
            429,
            openai_error(
                "Rate limit reached for stub on requests per min (RPM): Limit 3, Used 3.",
                "requests",
                "rate_limit_exceeded",
            ),
            {"retry-after-ms": "10"},
        ),
        "quota": Refusal(
            429,
            openai_error(
                "You exceeded your current quota, please check your plan and billing details.",
                "insufficient_quota",
                "insufficient_quota",
            ),
        ),
        "overload": Refusal(
            503,
            openai_error(
                "The engine is currently overloaded, please try again later",
                "server_error",
                "server_is_overloaded",
            ),
        ),
        "invalid": Refusal(
            400,
            openai_error(
                "you must provide a model parameter", "invalid_request_error", "invalid_model"
            ),
        ),
    },
)

GROQ = Api(
    answer=_completion(),
    events=_CHUNKS,
    done=_DONE,
    refusals={
        **OPENAI.refusals,
        "rate_limit": Refusal(
            429,
            openai_error(
                "Rate limit reached for model `stub` on tokens per minute (TPM): Limit 6000.",
                "tokens",
                "rate_limit_exceeded",
            ),
        ),
        "overload": Refusal(
            503, {"error": {"message": "Service Unavailable", "type": "internal_server_error"}}
        ),
    },
)

HUGGING_FACE = Api(
    answer=_completion(),
    events=_CHUNKS,
    done=_DONE,
    refusals={
        "rate_limit": Refusal(429, {"error": "Too Many Requests: you have hit the rate limit"}),
        "quota": Refusal(
            402,
            {"error": "You have depleted your monthly included credits for Inference Providers"},
        ),
        "overload": Refusal(503, {"error": "Model stub is currently loading"}),
        "invalid": Refusal(400, {"error": "Input validation error"}),
    },
)


# Anthropic.


def _message(**more: object) -> Json:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "stub",
        "content": [{"type": "text", "text": "fine"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
        **more,
    }


def _delta(text: str) -> str:
    delta = {"type": "text_delta", "text": text}
    return event({"type": "content_block_delta", "index": 0, "delta": delta}, named=True)


def anthropic_error(kind: str, message: str) -> Json:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


_BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}

ANTHROPIC = Api(
    answer=_message(),
    events=(
        event({"type": "message_start", "message": _message(content=[])}, named=True)
        + event(_BLOCK, named=True)
        + _delta("one "),
        _delta("two"),
    ),
    done=event({"type": "content_block_stop", "index": 0}, named=True)
    + event({"type": "message_stop"}, named=True),
    refusals={
        "rate_limit": Refusal(
            429,
            anthropic_error(
                "rate_limit_error", "This request would exceed your organization's rate limit"
            ),
        ),
        "quota": Refusal(
            402, anthropic_error("billing_error", "There is an issue with your billing")
        ),
        "overload": Refusal(529, anthropic_error("overloaded_error", "Overloaded")),
        "invalid": Refusal(
            400, anthropic_error("invalid_request_error", "max_tokens: Field required")
        ),
    },
)


# Gemini.


def _candidate(text: str) -> Json:
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]}


def gemini_error(code: int, status: str, message: str, *details: Json) -> Json:
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


_RETRY_INFO: Json = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.01s"}

GEMINI = Api(
    answer=_candidate("fine"),
    events=(event(_candidate("one ")), event(_candidate("two"))),
    streams=lambda path, _: "streamGenerateContent" in path,
    refusals={
        "rate_limit": Refusal(
            429,
            gemini_error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", _RETRY_INFO),
        ),
        "quota": Refusal(
            403,
            gemini_error(403, "PERMISSION_DENIED", "Your API key was reported as leaked"),
        ),
        "overload": Refusal(
            503,
            gemini_error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
        ),
        "invalid": Refusal(
            400, gemini_error(400, "INVALID_ARGUMENT", "Invalid value at 'contents'")
        ),
    },
)


# Mistral.


def mistral_error(message: str, kind: str, code: str | None, status: int) -> Json:
    return {
        "object": "error",
        "message": message,
        "type": kind,
        "param": None,
        "code": code,
        "raw_status_code": status,
    }


MISTRAL = Api(
    answer=_completion(),
    events=_CHUNKS,
    done=_DONE,
    refusals={
        "rate_limit": Refusal(
            429, mistral_error("Rate limit exceeded", "rate_limited", "1300", 429)
        ),
        "quota": Refusal(401, {"detail": "Unauthorized"}),
        "overload": Refusal(
            503, mistral_error("Service unavailable.", "internal_server_error", None, 503)
        ),
        "invalid": Refusal(400, mistral_error("Invalid model: stub", "invalid_model", "1500", 400)),
    },
)


# Cohere.


def _content(text: str) -> str:
    delta = {"message": {"content": {"text": text}}}
    return event({"type": "content-delta", "index": 0, "delta": delta}, named=True)


_QUOTA = "You are using a Trial key, which is limited to 1000 API calls / month."

COHERE = Api(
    answer={
        "id": "1",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "fine"}]},
    },
    events=(_content("one "), _content("two")),
    done=event(
        {"type": "message-end", "id": "1", "delta": {"finish_reason": "COMPLETE"}}, named=True
    ),
    refusals={
        "rate_limit": Refusal(429, {"id": "1", "message": "You are past the per minute limit"}),
        "quota": Refusal(429, {"id": "1", "message": _QUOTA}, {"retry-after-ms": "10"}),
        "overload": Refusal(503, {"id": "1", "message": "service unavailable"}),
        "invalid": Refusal(
            400, {"id": "1", "message": "invalid request: message must not be empty"}
        ),
    },
)


# Not of language models.

POSTGREST = Api(
    answer=[{"id": 1}],
    refusals={
        "rate_limit": Refusal(429, {"message": "Too many requests"}),
        "quota": Refusal(
            400,
            {"code": "54001", "message": "statement too complex", "details": None, "hint": None},
        ),
        "overload": Refusal(
            503,
            {
                "code": "PGRST001",
                "message": "Could not connect with the database",
                "details": None,
                "hint": None,
            },
        ),
        "invalid": Refusal(
            404,
            {
                "code": "PGRST205",
                "message": "Could not find the table",
                "details": None,
                "hint": None,
            },
        ),
    },
)


def _qdrant(result: object, status: object = "ok") -> Json:
    return {"result": result, "status": status, "time": 0.001}


QDRANT = Api(
    answer=_qdrant({"points": [{"id": 1, "version": 0, "score": 0.5, "payload": None}]}),
    refusals={
        "rate_limit": Refusal(
            429, _qdrant(None, {"error": "Rate limiting exceeded: Read rate limit"})
        ),
        "quota": Refusal(403, _qdrant(None, {"error": "Forbidden: Global access is required"})),
        "overload": Refusal(
            503, _qdrant(None, {"error": "Service internal error: not enough replicas available"})
        ),
        "invalid": Refusal(
            404, _qdrant(None, {"error": "Not found: Collection `things` doesn't exist!"})
        ),
    },
)


def github_error(message: str, page: str = "rate-limits-for-the-rest-api") -> Json:
    site = "https://docs.github.com/rest"
    return {"message": message, "documentation_url": f"{site}/using-the-rest-api/{page}"}


GITHUB = Api(
    answer={"resources": {}, "rate": {"limit": 60, "remaining": 60, "reset": 1, "used": 0}},
    refusals={
        "rate_limit": Refusal(
            403,
            github_error("You have exceeded a secondary rate limit. Please wait a few minutes."),
            {"retry-after": "0"},
        ),
        "quota": Refusal(401, github_error("Bad credentials", "authenticating")),
        "overload": Refusal(503, github_error("No server is currently available", "status")),
        "invalid": Refusal(404, github_error("Not Found", "troubleshooting")),
    },
)
