"""A store in virtual time: it runs the scripts that are shipped, in Lua, over a dict.

What is a model here is Redis around them: hashes, the time, a way to it that takes a while, loses
what is sent, or leads nowhere. The scripts are those that a server runs.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from lupa import lua51

import httpx_resilience
from httpx_resilience._core.outcome import Command, Leased
from simulation.engine import EPOCH, Engine

SCRIPTS = Path(httpx_resilience.__file__).parent / "_store" / "scripts"
DEADLINE = 0.25
"""Seconds that a client waits for the store."""

_CALL = """
function(source, key, args, redis)
  local env = setmetatable({redis = redis, KEYS = {key}, ARGV = args}, {__index = _G})
  local chunk = assert(loadstring(source))
  setfenv(chunk, env)
  return chunk()
end
"""


class SimulatedStore:
    """Hashes with a time to live, and the scripts that change them.

    Attributes:
        hashes: What is in it.
        calls: Scripts that were run, by key.
        is_away: Nothing reaches it.
        answers_after: Seconds until it answers.
        lost: Share of the answers that are lost.
    """

    def __init__(self, engine: Engine, *, latency: float = 0.001, seed: int = 0) -> None:
        self.engine = engine
        self.hashes: dict[str, dict[str, str]] = {}
        self.ends: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self.is_away = False
        self.answers_after = latency
        self.lost = 0.0
        self._chance = Random(seed)
        self._lua: Any = lua51.LuaRuntime(unpack_returned_tuples=True)
        self._run: Any = self._lua.eval(_CALL)
        self._redis = self._lua.table_from({"call": self._call, "pcall": self._call})
        self._redis["error_reply"] = lambda text: self._lua.table_from({"err": text})
        self._sources = {path.stem: path.read_text() for path in SCRIPTS.glob("*.lua")}

    # What of Redis the scripts use.

    def _call(self, name: str, *args: Any) -> Any:
        answer = getattr(self, f"_{name.lower()}")(*args)
        return self._lua.table_from(answer) if isinstance(answer, list) else answer

    def _time(self) -> list[str]:
        micros = round((EPOCH + self.engine.now) * 1e6)
        return [str(micros // 1_000_000), str(micros % 1_000_000)]

    def _hash(self, key: str) -> dict[str, str]:
        if self.engine.now >= self.ends.get(key, float("inf")):
            self.hashes.pop(key, None)
            self.ends.pop(key)
        return self.hashes.setdefault(key, {})

    def _hgetall(self, key: str) -> list[str]:
        return [word for pair in self._hash(key).items() for word in pair]

    def _hmget(self, key: str, *fields: str) -> list[Any]:
        found = self._hash(key)
        return [found.get(field, False) for field in fields]

    def _hset(self, key: str, *pairs: str) -> int:
        self._hash(key).update(zip(pairs[::2], pairs[1::2], strict=True))
        return len(pairs) // 2

    def _hdel(self, key: str, *fields: str) -> int:
        for field in fields:
            self._hash(key).pop(field, None)
        return len(fields)

    def _del(self, key: str) -> int:
        return int(self.hashes.pop(key, None) is not None)

    def _pexpire(self, key: str, milliseconds: str) -> int:
        self.ends[key] = self.engine.now + float(milliseconds) / 1000
        return 1

    # What a client does.

    def run(self, commands: Sequence[Command]) -> list[list[str] | None]:
        """Run scripts at once."""
        return [self._script(command) for command in commands]

    def _script(self, command: Command) -> list[str] | None:
        self.calls[command.key] = self.calls.get(command.key, 0) + 1
        args = self._lua.table_from([str(arg) for arg in command.args])
        answer = self._run(self._sources[command.script], command.key, args, self._redis)
        if answer["err"] is not None:
            return None
        return [str(answer[i]) for i in range(1, len(answer) + 1)]

    def ask(self, commands: Sequence[Command], reply: Callable[[Leased], None]) -> None:
        """Send commands; ``reply`` when they are answered, or the client waits no longer."""
        engine, begun = self.engine, self.engine.now
        one_way = self.answers_after / 2

        def arrive() -> None:
            if self.is_away:
                return
            replies = self.run(commands)
            if engine.now + one_way < begun + DEADLINE and self._chance.random() >= self.lost:
                engine.at(engine.now + one_way, partial(answer, Leased(0.0, replies)))

        is_answered = False

        def answer(leased: Leased) -> None:
            nonlocal is_answered
            if not is_answered:
                is_answered = True
                reply(leased._replace(at=engine.now))

        engine.at(begun + one_way, arrive)
        engine.at(begun + DEADLINE, partial(answer, Leased(0.0, None, "timeout")))


class PlainNames:
    """Names for a store that is looked at in tests."""

    def key(self, kind: str, *parts: str) -> str:
        return f"{kind}:{'|'.join(parts)}"

    def hashed(self, name: bytes) -> str:
        return name.hex()

    def token(self, *parts: str) -> str:
        return "".join(char for char in "".join(parts) if char.isalnum())[:32]
