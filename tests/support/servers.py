"""Servers that nobody here wrote, over loopback, and a job of many calls against them."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import uvicorn
import werkzeug.serving

from httpx_resilience import AsyncResilientTransport

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CALLS = 300
TASKS = 20
_STARTS_WITHIN = 10.0
_STOPS_WITHIN = 2.0

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Any, Receive, Send], Awaitable[None]]


class Report(NamedTuple):
    """What a job came to: the statuses that its calls ended with, and the seconds it took."""

    endings: Counter[int]
    seconds: float


async def run_job(transport: AsyncResilientTransport, url: str) -> Report:
    """Send the calls by tasks of which each sends one after the other."""
    endings = Counter[int]()
    numbers = iter(range(CALLS))
    timeout = httpx.Timeout(10.0, pool=None)
    began = time.monotonic()
    async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:

        async def some() -> None:
            for _ in numbers:
                endings[(await client.get(url)).status_code] += 1

        await asyncio.gather(*(some() for _ in range(TASKS)))
    return Report(endings, time.monotonic() - began)


class Quiet(werkzeug.serving.WSGIRequestHandler):
    """Keep-alive, and no line per request on stderr."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or a body waits 40 ms for its headers' acknowledgement

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@contextlib.contextmanager
def serving_wsgi(app: "WSGIApplication", statuses: Counter[int]) -> Iterator[str]:
    """Serve a WSGI application from a thread; the value is its URL. Count what it answers."""

    def counted(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            statuses[int(status[:3])] += 1
            return start_response(status, headers, exc_info)

        return app(environ, start)

    server = werkzeug.serving.make_server(
        "127.0.0.1", 0, counted, threaded=True, request_handler=Quiet
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(_STOPS_WITHIN)
        server.server_close()


@contextlib.contextmanager
def serving_asgi(app: ASGIApp, statuses: Counter[int], keep_alive: int = 5) -> Iterator[str]:
    """Serve an ASGI application from a thread; the value is its URL. Count what it answers.

    ``keep_alive``: seconds after which it closes an idle connection.
    """

    async def counted(scope: Any, receive: Receive, send: Send) -> None:
        async def start(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses[message["status"]] += 1
            await send(message)

        await app(scope, receive, start)

    config = uvicorn.Config(
        counted,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=keep_alive,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
        thread.start()
        try:
            _wait_for(lambda: server.started, "uvicorn")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = server.force_exit = True
            thread.join(_STOPS_WITHIN)


def find_nginx() -> str | None:
    """Return the path of nginx; Debian keeps it where users do not look."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def serving_nginx(nginx: str, folder: Path, limits: str, statuses: Counter[int]) -> Iterator[str]:
    """Run an nginx that limits requests for a file; the value is its URL.

    Args:
        nginx: Its path.
        folder: For all that it writes.
        limits: Directives for the location.
        statuses: Counts what it answered, once it has ended.
    """
    (folder / "page").write_text("{}")
    port = _free_port()
    config = folder / "nginx.conf"
    # As root its workers would be somebody else, who may not read here; else it cannot change.
    user = "user root root;" if os.geteuid() == 0 else ""
    config.write_text(_NGINX.format(user=user, folder=folder, port=port, limits=limits))
    process = subprocess.Popen(
        [nginx, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    )
    try:
        _wait_for(lambda: _answers(port) or process.poll() is not None, "nginx")
        assert process.poll() is None, (folder / "error.log").read_text()
        yield f"http://127.0.0.1:{port}/page"
    finally:
        process.terminate()
        process.wait(_STOPS_WITHIN)
        statuses.update(int(line) for line in (folder / "access.log").read_text().split())


_NGINX = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    log_format status $status;
    access_log {folder}/access.log status;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    limit_req_zone $server_name zone=calls:1m rate=100r/s;
    server {{
        listen 127.0.0.1:{port};
        server_name sole;
        root {folder};
        location / {{ {limits} }}
    }}
}}
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


def _wait_for(ready: Callable[[], bool], what: str) -> None:
    began = time.monotonic()
    while not ready():
        if time.monotonic() - began > _STARTS_WITHIN:
            raise RuntimeError(f"{what} did not start within {_STARTS_WITHIN:g} s")
        time.sleep(0.005)
