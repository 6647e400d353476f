"""What is asked of a store, and what it answers."""

from collections.abc import Sequence

from .._core.outcome import Command
from .errors import StoreError

__all__ = ["Command", "Replies", "reply_of"]

Replies = list[list[str] | StoreError]


def reply_of(answer: object) -> list[str] | StoreError:
    """Return a script's reply as strings, whatever the client's decoding and protocol.

    >>> reply_of([b"1", 2, None])
    ['1', '2', '']
    >>> str(reply_of({}))
    "the store's reply is no list of strings and numbers"
    """
    if isinstance(answer, StoreError):
        return answer
    if not isinstance(answer, Sequence) or isinstance(answer, str | bytes):
        return _unexpected()
    strings = []
    for item in answer:
        text = _text(item)
        if text is None:
            return _unexpected()
        strings.append(text)
    return strings


def _text(item: object) -> str | None:
    match item:
        case bytes():
            return item.decode("utf-8", "replace")
        case None:
            return ""
        case bool():
            return str(int(item))
        case str() | int() | float():
            return str(item)
    return None


def _unexpected() -> StoreError:
    return StoreError("reply")
