"""A server for one page that follows its model's file: only for this machine, and only for that page.

It listens on the loopback address alone, answers only requests that name it as their host, so that no other site's name
can be made to lead here, and has two addresses: the page, and what its state is.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dataflow.errors import DataflowError
from dataflow.viewer.page import page

HOST = "127.0.0.1"
Build = Callable[[], tuple[dict[str, Any], Sequence[Path]]]
"""Makes the content of a page, and says from which files."""
Mark = tuple[tuple[str, int, int, int] | None, ...]


class Live:
    """The newest page that could be made; it is made again when one of its files has changed."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._revision = 1
        self._content, self._files = build()
        self._seen = self._mark()
        self.error = ""
        """What is wrong with the file as it is now; the page is then the last one that could be made."""

    def state(self) -> dict[str, str]:
        """The revision of the page and the error, after a look at the files."""
        with self._lock:
            mark = self._mark()
            if mark != self._seen:
                self._seen = mark
                self._rebuild()
                if not self.error:
                    self._seen = self._mark()  # it may be made from other files now
            return {"revision": str(self._revision), "error": self.error}

    def page(self) -> str:
        """The newest page."""
        revision = self.state()["revision"]
        with self._lock:
            return page(self._content, served=revision)

    def _rebuild(self) -> None:
        try:
            self._content, self._files = self._build()
        except Exception as error:  # noqa: BLE001 (the page must not look as if it were that of the file)
            text = " ".join(str(error).split())
            self.error = text if isinstance(error, DataflowError) else f"{type(error).__name__}: {text}"
            return
        self.error = ""
        self._revision += 1

    def _mark(self) -> Mark:
        """What tells that a file has changed; ``None`` for one that is not there."""
        return tuple(_stat(path) for path in self._files)


class Server(ThreadingHTTPServer):
    """Serves a ``Live`` page on the loopback address; port 0 takes any that is free."""

    daemon_threads = True

    def __init__(self, live: Live, port: int) -> None:
        self.live = live
        super().__init__((HOST, port), _Handler)

    @property
    def address(self) -> str:
        """The page's address."""
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has gone away is no reason for a traceback."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "dataflow"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        """The page, or its state."""
        if self.headers.get("Host", "").lower() not in self._hosts():
            self._answer(403, "text/plain", f"this page is at {self.server.address} only\n")
        elif self.path == "/":
            self._answer(200, "text/html", self.server.live.page())
        elif self.path == "/state":
            self._answer(200, "application/json", json.dumps(self.server.live.state()))
        else:
            self._answer(404, "text/plain", f"there is nothing here; the page is at {self.server.address}\n")

    def do_HEAD(self) -> None:
        """The same without its content."""
        self.do_GET()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (its name in the class above)
        """Not every look at the state is worth a line."""

    def _hosts(self) -> set[str]:
        port = self.server.server_port
        names = {f"{name}:{port}" for name in (HOST, "localhost")}
        return names | {HOST, "localhost"} if port == 80 else names

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _stat(path: Path) -> tuple[str, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return str(path), status.st_mtime_ns, status.st_size, status.st_ino
