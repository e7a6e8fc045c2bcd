"""``dataflow view --serve``: who is answered, what a page does when its file changes, and how the server ends."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Watched, chromium
from checkout import MODELS
from click.testing import CliRunner

import dataflow
from dataflow.cli.group import main
from dataflow.viewer.server import Live, Server
from dataflow.viewer.viewer import view

XOR = MODELS / "xor.toml"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """A server in a thread, and the file that its page follows."""
    path = tmp_path / "xor.toml"
    path.write_text(XOR.read_text(encoding="utf-8"), encoding="utf-8")

    def build() -> tuple[dict[str, Any], list[Path]]:
        return view(dataflow.load(path)).content, [path]

    with Server(Live(build), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server, path
        server.shutdown()
        thread.join()


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def state(server: Server) -> dict[str, str]:
    found: dict[str, str] = json.loads(ask(server, "/state")[2])
    return found


def test_it_serves_the_page_and_its_state_and_nothing_else(served: tuple[Server, Path]) -> None:
    server, path = served
    status, headers, text = ask(server, "/")
    assert status == 200
    assert text.startswith("<!doctype html>")
    assert "connect-src 'self'" in text
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    assert "Access-Control-Allow-Origin" not in headers
    assert state(server) == {"revision": "1", "error": ""}
    for other in ("/xor.toml", f"/{path}", "/../xor.toml", "/index.html", "/state/", "/?x", "/%2e%2e/"):
        assert ask(server, other)[0] == 404
    assert ask(server, "/", "HEAD")[0::2] == (200, "")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(server, "/", method)[0] == 501


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1", "127.0.0.1:1", "localhost.example.org", "", "0.0.0.0"])
def test_another_host_is_refused(served: tuple[Server, Path], host: str) -> None:
    status, _, text = ask(served[0], "/", Host=host)
    assert status == 403
    assert "<" not in text


def test_localhost_is_this_host(served: tuple[Server, Path]) -> None:
    assert ask(served[0], "/state", Host=f"localhost:{served[0].server_port}")[0] == 200


def test_it_listens_on_the_loopback_address_alone(served: tuple[Server, Path]) -> None:
    assert served[0].server_address[0] == "127.0.0.1"


def test_the_page_follows_the_file(served: tuple[Server, Path]) -> None:
    server, path = served
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace("relu(z)", "tanh(z)"), encoding="utf-8")
    assert state(server) == {"revision": "2", "error": ""}
    assert "tanh(z)" in ask(server, "/")[2]
    path.write_text(good.replace("relu(z)", "rulu(z)"), encoding="utf-8")
    broken = state(server)
    assert broken["revision"] == "2"
    assert re.search(r"xor\.toml:\d+:\d+: unknown op 'rulu'; did you mean 'relu' or 'prelu'\?", broken["error"])
    assert "tanh(z)" in ask(server, "/")[2]  # the last good page stays
    path.unlink()
    assert "no such file" in state(server)["error"]
    path.write_text(good, encoding="utf-8")
    assert state(server) == {"revision": "3", "error": ""}
    assert state(server) == {"revision": "3", "error": ""}


@pytest.mark.slow
def test_many_readers_at_once(served: tuple[Server, Path]) -> None:
    server, _ = served
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(ask(server, "/")[0])) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 12


@pytest.mark.slow
def test_the_reader_s_step_stays_and_an_error_is_shown(served: tuple[Server, Path], tmp_path: Path) -> None:
    server, path = served
    good = path.read_text(encoding="utf-8")
    with chromium(tmp_path / "profile") as context:
        watched = Watched(context, server.address)
        page = watched.page
        page.goto(f"{server.address}#step=7&example=3&wrt=W1")
        page.wait_for_selector("#stage svg")
        assert page.inner_text("#step-title").startswith("∂ŷ/∂h")
        path.write_text(good.replace("[[0.7, -1.3]]", "[[0.7, -1.5]]"), encoding="utf-8")
        page.wait_for_selector("#step:has-text('−1.5')")
        assert page.inner_text("#step-title").startswith("∂ŷ/∂h")
        assert page.locator("#example option:checked").inner_text() == "example 3"
        path.write_text(good.replace("relu(z)", "relu(z"), encoding="utf-8")
        page.wait_for_selector("#banner:not([hidden])")
        assert "xor.toml" in page.inner_text("#banner")
        assert page.locator("#stage g.node").count() == 10
        page.keyboard.press("ArrowRight")  # and can still be walked through
        assert page.inner_text("#step-title").startswith("∂h/∂z")
        path.write_text(good, encoding="utf-8")
        page.wait_for_selector("#banner", state="hidden")
        page.wait_for_selector("#stage svg")
        assert watched.faults == []


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dataflow", "view", str(XOR), "--serve"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
    assert address is not None
    with urllib.request.urlopen(address[0] + "state", timeout=20) as answer:
        assert json.load(answer)["revision"] == "1"
    os.kill(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert (output.strip(), errors) == ("Ended.", "")


def test_a_port_that_is_taken_and_a_file_that_is_broken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(main, ["view", str(XOR), "--serve", "--port", port])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: port {port} cannot be had")
    broken = tmp_path / "broken.toml"
    broken.write_text("dataflow = 1\n[nodes\n", encoding="utf-8")
    done = CliRunner().invoke(main, ["view", str(broken), "--serve"])
    assert done.exit_code == 1
    assert "broken.toml:2" in done.stderr
    assert done.stderr.count("\n") == 1
