"""The SDKs as a program uses them: where the transport goes, a question, errors.

``docs/sdks.md`` says the same to people; its examples are run, too.
"""

from dataclasses import replace
from typing import Any

from httpx_resilience import GENERIC, Dialect, ErrorClass, MessageRule, RequestRules
from support import sdk_apis
from support.sdks import Errors, Sdk

MESSAGES = [{"role": "user", "content": "How are you?"}]
QUESTION: dict[str, Any] = {"model": "stub", "messages": MESSAGES}


REPEATABLE = replace(
    GENERIC,
    name="repeatable",
    requests=RequestRules(post_is_repeatable=True),
    stop_layers_above=True,
)
"""An API of which nothing is known but that POST may be sent twice."""

_MONTH = MessageRule(contains="API calls / month", code="monthly_limit", statuses=(429,))

COHERE = replace(
    REPEATABLE, name="cohere", envelope=replace(GENERIC.envelope, messages=(_MONTH,))
).extend(codes={"monthly_limit": ErrorClass.PERMANENT})


class _Stainless(Sdk):
    """Those that Stainless makes: alike in everything."""

    kind = ""
    path = ""
    own_attempts = 3
    obeys = True

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
    errors = Errors(
        "openai.RateLimitError",
        "openai.InternalServerError",
        "openai.BadRequestError",
        "openai.APIConnectionError",
    )


class Anthropic(_Stainless):
    package = module = "anthropic"
    api = sdk_apis.ANTHROPIC
    dialect = "ANTHROPIC"
    kind = "Anthropic"
    errors = Errors(
        "anthropic.APIStatusError",
        "anthropic.InternalServerError",
        "anthropic.BadRequestError",
        "anthropic.APIConnectionError",
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
    errors = Errors(
        "groq.RateLimitError",
        "groq.InternalServerError",
        "groq.BadRequestError",
        "groq.APIConnectionError",
    )


class LangChainOpenAI(Sdk):
    package = "langchain-openai"
    module = "langchain_openai"
    api = sdk_apis.OPENAI
    dialect = "OPENAI"
    errors = OpenAI.errors
    own_attempts = 3
    obeys = True

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
        "google.genai.errors.ClientError",
        "google.genai.errors.ServerError",
        "google.genai.errors.ClientError",
        "httpx2.ConnectError",
    )
    own_attempts = 5

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
    errors = Errors(
        "cohere.TooManyRequestsError",
        "cohere.ServiceUnavailableError",
        "cohere.BadRequestError",
        "httpx.ConnectError",
    )
    own_attempts = 3

    def speaks(self) -> Dialect:
        return COHERE

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
    """Its models that answer questions; its client is the process's."""

    package = module = "huggingface_hub"
    api = sdk_apis.HUGGING_FACE
    errors = Errors(
        "huggingface_hub.errors.HfHubHTTPError",
        "huggingface_hub.errors.HfHubHTTPError",
        "huggingface_hub.errors.HfHubHTTPError",
        "httpx2.ConnectError",
    )

    def speaks(self) -> Dialect:
        return REPEATABLE

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        module = self.load()
        http_client = self.http_client(transport, is_async=is_async)
        if is_async:
            module.set_async_client_factory(lambda: http_client)
            return module.AsyncInferenceClient(base_url=url, api_key="key")
        module.set_client_factory(lambda: http_client)
        return module.InferenceClient(base_url=url, api_key="key")

    def undo(self) -> None:
        module, http = self.load(), self.load("huggingface_hub.utils._http")
        module.set_client_factory(http.default_client_factory)
        module.set_async_client_factory(http.default_async_client_factory)

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
        "supabase.PostgrestAPIError",
        "supabase.PostgrestAPIError",
        "supabase.PostgrestAPIError",
        "httpx.ConnectError",
    )
    own_attempts = 4

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
        "qdrant_client.http.exceptions.UnexpectedResponse",
        "qdrant_client.http.exceptions.ResponseHandlingException",
    )

    def speaks(self) -> Dialect:
        return REPEATABLE

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
        "githubkit.exception.RequestFailed",
        "githubkit.exception.RequestError",
    )
    own_attempts = 4

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
