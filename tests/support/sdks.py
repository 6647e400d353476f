"""The SDKs as a program uses them over our transports: where the transport goes, a question, errors.

Each is imported only when it is used, for none of them is needed for anything else.
"""

import importlib
from typing import Any, NamedTuple

import pytest

import httpx_resilience
from httpx_resilience import GENERIC, Backoff, Dialect, ErrorClass, Policy, RetryPolicy
from support import sdk_apis
from support.sdk_apis import Api

QUICK = Backoff(initial=0.01, maximum=0.01)
POLICY = Policy(
    retry=RetryPolicy(
        backoff=dict.fromkeys(
            (ErrorClass.RATE_LIMITED, ErrorClass.TRANSIENT, ErrorClass.CONNECTION), QUICK
        )
    ),
    throttle=None,  # it would slow down for seconds after a 429
    park=None,
)
MESSAGES = [{"role": "user", "content": "How are you?"}]
QUESTION: dict[str, Any] = {"model": "stub", "messages": MESSAGES}


def installed(module: str, package: str) -> Any:
    """Return a module of an SDK; skip the test where it is not installed."""
    return pytest.importorskip(
        module, reason=f"{package} is not installed: pip install httpx-resilience[sdks]"
    )


class Errors(NamedTuple):
    """The names of what an SDK raises, with their modules."""

    quota: str
    invalid: str
    unreachable: str


class Sdk:
    """One SDK.

    Attributes:
        package: Its name on PyPI.
        module: Its name for ``import``.
        library: What it is made of.
        api: What it is made for.
        dialect: The name of the dialect that goes with it.
        errors: What it raises.
    """

    package = ""
    module = ""
    library = "httpx2"
    api: Api
    dialect = "GENERIC"
    errors: Errors
    streams = True

    def __repr__(self) -> str:
        return self.package

    def load(self, module: str | None = None) -> Any:
        return installed(module or self.module, self.package)

    def error(self, which: str) -> Any:
        """Return the class of an error."""
        module, _, name = getattr(self.errors, which).rpartition(".")
        return getattr(self.load(module), name)

    def speaks(self) -> Dialect:
        """Return the dialect that goes with it."""
        dialect = getattr(httpx_resilience, self.dialect)
        assert isinstance(dialect, Dialect)
        return dialect

    def transport(
        self, *, is_async: bool, dialect: Dialect | None = None, policy: Policy = POLICY
    ) -> Any:
        door = "httpx_resilience" if self.library == "httpx" else "httpx_resilience.httpx2"
        name = "AsyncResilientTransport" if is_async else "ResilientTransport"
        kind = getattr(importlib.import_module(door), name)
        return kind(dialect=dialect or self.speaks(), policy=policy)

    def http_client(self, transport: Any, *, is_async: bool, **more: Any) -> Any:
        library = importlib.import_module(self.library)
        kind = library.AsyncClient if is_async else library.Client
        return kind(transport=transport, **more)

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        """Return the SDK's client over a transport; ``retries``: with its own left on."""
        raise NotImplementedError

    def ask(self, client: Any, *, is_async: bool) -> Any:
        """Ask; return the answer, or what gives it when it is awaited."""
        raise NotImplementedError

    def text(self, answer: Any) -> str:
        """Return what an answer says."""
        return str(answer.choices[0].message.content)

    def stream(self, client: Any, *, is_async: bool) -> Any:
        """Ask for a stream; return an iterator, or what gives one when it is awaited."""
        raise NotImplementedError

    def piece(self, event: Any) -> str:
        """Return what one event of a stream says."""
        return str(event.choices[0].delta.content)


class _Stainless(Sdk):
    """Those that Stainless makes: alike in everything."""

    kind = ""
    path = ""

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        kind = getattr(self.load(), ("Async" if is_async else "") + self.kind)
        http_client = self.http_client(transport, is_async=is_async)
        more = {} if retries else {"max_retries": 0}
        return kind(api_key="key", base_url=url + self.path, http_client=http_client, **more)

    def ask(self, client: Any, *, is_async: bool, stream: bool = False) -> Any:
        return client.chat.completions.create(**QUESTION, stream=stream)

    def stream(self, client: Any, *, is_async: bool) -> Any:
        return self.ask(client, is_async=is_async, stream=True)


class OpenAI(_Stainless):
    package = module = "openai"
    api = sdk_apis.OPENAI
    dialect = "OPENAI"
    kind = "OpenAI"
    path = "/v1"
    errors = Errors("openai.RateLimitError", "openai.BadRequestError", "openai.APIConnectionError")


class Anthropic(_Stainless):
    package = module = "anthropic"
    api = sdk_apis.ANTHROPIC
    dialect = "ANTHROPIC"
    kind = "Anthropic"
    errors = Errors(
        "anthropic.APIStatusError", "anthropic.BadRequestError", "anthropic.APIConnectionError"
    )

    def ask(self, client: Any, *, is_async: bool, stream: bool = False) -> Any:
        return client.messages.create(**QUESTION, max_tokens=9, stream=stream)

    def text(self, answer: Any) -> str:
        return str(answer.content[0].text)

    def piece(self, event: Any) -> str:
        return str(event.delta.text) if event.type == "content_block_delta" else ""


class Groq(_Stainless):
    package = module = "groq"
    library = "httpx"
    api = sdk_apis.GROQ
    dialect = "GROQ"
    kind = "Groq"
    errors = Errors("groq.RateLimitError", "groq.BadRequestError", "groq.APIConnectionError")


class LangChainOpenAI(Sdk):
    package = "langchain-openai"
    module = "langchain_openai"
    api = sdk_apis.OPENAI
    dialect = "OPENAI"
    errors = OpenAI.errors

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        http_client = self.http_client(transport, is_async=is_async)
        more: dict[str, Any] = {} if retries else {"max_retries": 0}
        more["http_async_client" if is_async else "http_client"] = http_client
        return self.load().ChatOpenAI(model="stub", api_key="key", base_url=url + "/v1", **more)

    def ask(self, client: Any, *, is_async: bool) -> Any:
        return (client.ainvoke if is_async else client.invoke)("How are you?")

    def text(self, answer: Any) -> str:
        return str(answer.content)

    def stream(self, client: Any, *, is_async: bool) -> Any:
        return (client.astream if is_async else client.stream)("How are you?")

    def piece(self, event: Any) -> str:
        return str(event.content)


class GoogleGenai(Sdk):
    package = "google-genai"
    module = "google.genai"
    api = sdk_apis.GEMINI
    dialect = "GEMINI"
    errors = Errors(
        "google.genai.errors.ClientError", "google.genai.errors.ClientError", "httpx2.ConnectError"
    )

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        types = self.load("google.genai.types")
        more: dict[str, Any] = {
            "async_client_args" if is_async else "client_args": {"transport": transport}
        }
        if retries:
            more["retry_options"] = types.HttpRetryOptions(initial_delay=0.01, jitter=0.0)
        options = types.HttpOptions(base_url=url, **more)
        return self.load().Client(api_key="key", http_options=options)

    def ask(self, client: Any, *, is_async: bool) -> Any:
        models = client.aio.models if is_async else client.models
        return models.generate_content(model="stub", contents="How are you?")

    def text(self, answer: Any) -> str:
        return str(answer.text)

    def stream(self, client: Any, *, is_async: bool) -> Any:
        models = client.aio.models if is_async else client.models
        return models.generate_content_stream(model="stub", contents="How are you?")

    def piece(self, event: Any) -> str:
        return str(event.text)


class Mistral(Sdk):
    package = "mistralai"
    module = "mistralai.client"
    api = sdk_apis.MISTRAL
    dialect = "MISTRAL"
    errors = Errors(
        "mistralai.client.errors.SDKError",
        "mistralai.client.errors.SDKError",
        "httpx2.ConnectError",
    )

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        http_client = self.http_client(transport, is_async=is_async)
        more: dict[str, Any] = {"async_client" if is_async else "client": http_client}
        return self.load().Mistral(api_key="key", server_url=url, **more)

    def ask(self, client: Any, *, is_async: bool) -> Any:
        return (client.chat.complete_async if is_async else client.chat.complete)(**QUESTION)

    def stream(self, client: Any, *, is_async: bool) -> Any:
        return (client.chat.stream_async if is_async else client.chat.stream)(**QUESTION)

    def piece(self, event: Any) -> str:
        return str(event.data.choices[0].delta.content)


class Cohere(Sdk):
    package = module = "cohere"
    library = "httpx"
    api = sdk_apis.COHERE
    errors = Errors("cohere.TooManyRequestsError", "cohere.BadRequestError", "httpx.ConnectError")

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        module = self.load()
        http_client = self.http_client(transport, is_async=is_async)
        more = {} if retries else {"max_retries": 0}
        kind = module.AsyncClientV2 if is_async else module.ClientV2
        return kind(api_key="key", base_url=url, httpx_client=http_client, **more)

    def ask(self, client: Any, *, is_async: bool) -> Any:
        return client.chat(**QUESTION)

    def text(self, answer: Any) -> str:
        return str(answer.message.content[0].text)

    def stream(self, client: Any, *, is_async: bool) -> Any:
        return client.chat_stream(**QUESTION)

    def piece(self, event: Any) -> str:
        return str(event.delta.message.content.text) if event.type == "content-delta" else ""


class HuggingFaceHub(Sdk):
    """Its client is the process's: ``huggingface_restored`` undoes what is set here."""

    package = module = "huggingface_hub"
    api = sdk_apis.HUGGING_FACE
    errors = Errors(
        "huggingface_hub.errors.HfHubHTTPError",
        "huggingface_hub.errors.HfHubHTTPError",
        "httpx2.ConnectError",
    )

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        module = self.load()
        http_client = self.http_client(transport, is_async=is_async)
        if is_async:
            module.set_async_client_factory(lambda: http_client)
            return module.AsyncInferenceClient(base_url=url, api_key="key")
        module.set_client_factory(lambda: http_client)
        return module.InferenceClient(base_url=url, api_key="key")

    def ask(self, client: Any, *, is_async: bool, stream: bool = False) -> Any:
        return client.chat_completion(MESSAGES, stream=stream)

    def stream(self, client: Any, *, is_async: bool) -> Any:
        return self.ask(client, is_async=is_async, stream=True)


class Supabase(Sdk):
    package = module = "supabase"
    library = "httpx"
    api = sdk_apis.POSTGREST
    streams = False
    errors = Errors(
        "supabase.PostgrestAPIError", "supabase.PostgrestAPIError", "httpx.ConnectError"
    )

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        module = self.load()
        http_client = self.http_client(transport, is_async=is_async)
        kind = module.AsyncClientOptions if is_async else module.ClientOptions
        options = kind(httpx_client=http_client, postgrest_client_retry=retries)
        return (module.AsyncClient if is_async else module.Client)(url, "key", options)

    def ask(self, client: Any, *, is_async: bool) -> Any:
        return client.table("things").select("*").execute()

    def text(self, answer: Any) -> str:
        return "fine" if answer.data == [{"id": 1}] else repr(answer)


class Qdrant(Sdk):
    package = "qdrant-client"
    module = "qdrant_client"
    library = "httpx"
    api = sdk_apis.QDRANT
    streams = False
    errors = Errors(
        "qdrant_client.http.exceptions.UnexpectedResponse",
        "qdrant_client.http.exceptions.UnexpectedResponse",
        "qdrant_client.http.exceptions.ResponseHandlingException",
    )

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        module = self.load()
        kind = module.AsyncQdrantClient if is_async else module.QdrantClient
        return kind(url, transport=transport, check_compatibility=False)

    def ask(self, client: Any, *, is_async: bool) -> Any:
        return client.query_points("things", query=[0.5])

    def text(self, answer: Any) -> str:
        return "fine" if answer.points[0].id == 1 else repr(answer)


class GitHubKit(Sdk):
    package = module = "githubkit"
    library = "httpx"
    api = sdk_apis.GITHUB
    dialect = "GITHUB"
    streams = False
    errors = Errors(
        "githubkit.exception.RequestFailed",
        "githubkit.exception.RequestFailed",
        "githubkit.exception.RequestError",
    )

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        more = {"async_transport" if is_async else "transport": transport}
        return self.load().GitHub(base_url=url, auto_retry=retries, **more)

    def ask(self, client: Any, *, is_async: bool) -> Any:
        # Outside of its own block, it makes an httpx client for each request, and closes it.
        if not is_async:
            with client:
                return client.request("GET", "/rate_limit")

        async def ask() -> Any:
            async with client:
                return await client.arequest("GET", "/rate_limit")

        return ask()

    def text(self, answer: Any) -> str:
        return "fine" if answer.json()["rate"]["limit"] == 60 else answer.text


SDKS: list[Sdk] = [
    OpenAI(),
    Anthropic(),
    Groq(),
    LangChainOpenAI(),
    GoogleGenai(),
    Mistral(),
    Cohere(),
    HuggingFaceHub(),
    Supabase(),
    Qdrant(),
    GitHubKit(),
]
"""All that are asked alike; mcp has tests of its own."""
