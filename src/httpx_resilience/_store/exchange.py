"""What one pipeline sends, and what it sends once more: no client, no clock, no waiting.

A script goes by its hash; where the store does not know it (a new store, a failover, a restart), it
goes once more by its text. In a cluster a node may say that another one has the key. Whatever else
comes back is the answer: nothing that may have run is sent again.
"""

import binascii
from collections.abc import Sequence
from typing import Any

from .commands import Command, Replies, reply_of
from .errors import StoreError
from .script import script

Address = tuple[str, int]

_MOST_SENDINGS = 4
"""By its hash, by its text, and twice to where a cluster says that the key is."""


_OLD_MAP = ("MovedError", "ClusterDownError", "ReadOnlyError")


class Request:
    """A command on its way.

    Attributes:
        key: Its one key.
        node: Where a cluster said that the key is; None where nobody said so.
        asking: Whether the node is to be asked about a key that is being moved to it.
        answer: What came back: what the client made of the reply, its error, or a ``StoreError``.
    """

    __slots__ = ("_by_text", "_command", "answer", "asking", "key", "node", "sendings")

    def __init__(self, command: Command) -> None:
        self._command = command
        self._by_text = False
        self.key = command.key
        self.node: Address | None = None
        self.asking = False
        self.answer: object = StoreError("connection")
        self.sendings = 0

    @property
    def words(self) -> tuple[Any, ...]:
        """The command as it is sent."""
        name, key, args = self._command
        text, sha = script(name)
        head = (b"EVAL", text) if self._by_text else (b"EVALSHA", sha)
        return (*head, 1, key, *args)

    @property
    def has_moved(self) -> bool:
        """Whether the answer says that what is known of a cluster's nodes is old."""
        answer = self.answer
        if isinstance(answer, StoreError):
            return answer.reason in ("connection", "timeout")
        return isinstance(answer, Exception) and _name(answer) in _OLD_MAP

    def is_again(self) -> bool:
        """Return whether it is to be sent once more, and otherwise than before."""
        self.sendings += 1
        if self.sendings >= _MOST_SENDINGS or not isinstance(self.answer, Exception):
            return False
        match _name(self.answer):
            case "NoScriptError":
                self.asking = False
                is_other, self._by_text = not self._by_text, True
                return is_other
            case "MovedError" | "AskError" as name:
                self.asking = name == "AskError"
                self.node = _address(self.answer, self.node)
                return self.node is not None
        return False

    def reply(self) -> list[str] | StoreError:
        """Return what the caller is given."""
        if isinstance(self.answer, Exception) and not isinstance(self.answer, StoreError):
            return refusal(self.answer)
        return reply_of(self.answer)


class Exchange:
    """The commands of one pipeline, until each has its answer.

    Args:
        commands: Those whose replies the caller is given.
        besides: Those whose replies nobody needs.
    """

    __slots__ = ("_all", "_count", "requests")

    def __init__(self, commands: Sequence[Command], besides: Sequence[Command] = ()) -> None:
        self._all = [Request(command) for command in (*commands, *besides)]
        self._count = len(commands)
        self.requests: Sequence[Request] = self._all
        """What is to be sent now; their answers are to be set."""

    def is_done(self) -> bool:
        """Return whether nothing is to be sent once more; else ``requests`` are what is."""
        self.requests = [each for each in self.requests if each.is_again()]
        return not self.requests

    @property
    def has_failed(self) -> bool:
        """Whether there is a command whose answer did not come."""
        return any(isinstance(each.answer, StoreError) for each in self._all)

    def replies(self) -> Replies:
        """Return the replies, in the order of the commands.

        Raises:
            StoreError: Of none there is an answer: the store is away.
        """
        replies = [each.reply() for each in self._all[: self._count]]
        errors = [each for each in replies if isinstance(each, StoreError)]
        is_away = all(error.reason in ("timeout", "connection") for error in errors)
        if errors and len(errors) == len(replies) and is_away:
            raise errors[0]
        return replies


def refusal(error: Exception) -> StoreError:
    """Return a store's refusal of one command as an error that names no value."""
    found = StoreError("refused", _code(error))
    found.__cause__ = error
    return found


def lost(error: BaseException | None, *, is_late: bool) -> StoreError:
    """Return the error of a command whose answer did not come, or not in time."""
    is_late = is_late or (error is not None and is_a(error, "TimeoutError"))
    found = StoreError("timeout") if is_late else StoreError("connection", _name(error))
    found.__cause__ = error
    return found


def is_refusal(error: Exception) -> bool:
    """Return whether an error is what the store replied; its connection is as good as before."""
    return is_a(error, "ResponseError") and not is_a(error, "ConnectionError")


def is_stale(answer: object) -> bool:
    """Return whether a server has become one that cannot be written to: another may take over."""
    return isinstance(answer, Exception) and is_a(answer, "ReadOnlyError")


def is_a(error: BaseException, name: str) -> bool:
    """Return whether an error is of a class of this name; the client's library is not imported."""
    return any(kind.__name__ == name for kind in type(error).__mro__)


def slot_of(key: str) -> int:
    """Return a key's slot in a cluster: its hash tag's CRC-16 (XMODEM) modulo 16,384.

    >>> slot_of("hr1:{123456789}:scope")
    12739
    """
    tag = key.partition("{")[2].partition("}")[0]
    return binascii.crc_hqx(tag.encode(), 0) % 16384


def _code(error: Exception) -> str:
    """Return the word in capitals that a refusal begins with; else what the client calls it."""
    first = str(error).partition(" ")[0]
    return first if first.isascii() and first.isalpha() and first.isupper() else _name(error)


def _name(error: BaseException | None) -> str:
    return type(error).__name__


def _address(error: Any, before: Address | None) -> Address | None:
    """Return where a key is said to be; a node that does not know its own name leaves it out."""
    host, port = getattr(error, "host", ""), getattr(error, "port", 0)
    if not host and before is not None:
        host = before[0]
    return (str(host), int(port)) if host else None
