"""The dialects that ship: data, not code, as far as it can be.

Each is imported when it is first used.

>>> from httpx_resilience.dialects import OPENAI
>>> OPENAI.spec("insufficient_quota").error_class
ErrorClass.PERMANENT
"""

import typing as _typing
from importlib import import_module as _import_module

if _typing.TYPE_CHECKING:
    from .anthropic import ANTHROPIC
    from .aws_secrets_manager import AWS_SECRETS_MANAGER
    from .azure_openai import AZURE_OPENAI
    from .gemini import GEMINI
    from .generic import GENERIC
    from .github import GITHUB
    from .groq import GROQ
    from .hashicorp_vault import HASHICORP_VAULT
    from .mistral import MISTRAL
    from .notion import NOTION
    from .openai import OPENAI
    from .scaivault import SCAIVAULT
    from .shopify import SHOPIFY
    from .slack import SLACK
    from .stripe import STRIPE

__all__ = [
    "ANTHROPIC",
    "AWS_SECRETS_MANAGER",
    "AZURE_OPENAI",
    "GEMINI",
    "GENERIC",
    "GITHUB",
    "GROQ",
    "HASHICORP_VAULT",
    "MISTRAL",
    "NOTION",
    "OPENAI",
    "SCAIVAULT",
    "SHOPIFY",
    "SLACK",
    "STRIPE",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(_import_module(f".{name.lower()}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
