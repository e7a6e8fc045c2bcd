"""Standard streams that are closed, full or gone; texts from outside on their way to a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import MODELS
from click.testing import CliRunner

from dataflow.cli.group import COMMANDS, main
from dataflow.errors import DataflowError, printable

XOR = str(MODELS / "xor.toml")
ESCAPES = "\x1b[31m\x9b2J\x07\u202e\r\x7f"
"""Colour, an erased screen, a bell, writing from right to left, back to the line's start, delete."""

COMMAND_LINES = {
    "run": ["run", XOR],
    "train": ["train", XOR, "--epochs", "5", "-o", "trained.msgpack"],
    "predict": ["predict", XOR],
    "score": ["score", XOR],
    "check": ["check", XOR],
    "jacobian": ["jacobian", XOR, "--of", "yhat", "--wrt", "W1"],
    "gradients": ["gradients", XOR],
    "explain": ["explain", XOR, "--wrt", "W1", "--example", "0"],
    "draw": ["draw", XOR, "-o", "xor.dot"],
    "view": ["view", XOR, "-o", "xor.html"],
    "plot": ["plot", XOR, "--boundary", "--train", "-o", "xor.svg"],
    "convert": ["convert", XOR, "xor.msgpack"],
    "diff": ["diff", XOR, str(MODELS / "wine.toml")],
    "new": ["new", "new.toml", "--data", str(MODELS / "wine.csv"), "--target", "alcohol", "--force"],
    "profile": ["profile", XOR, "--rounds", "1"],
    "ops": ["ops"],
    "plugins": ["plugins"],
    "completion": ["completion", "bash"],
    "new-plugin": ["new-plugin", "softstep"],
}
FILES = {"train": "trained.msgpack", "draw": "xor.dot", "view": "xor.html", "convert": "xor.msgpack", "new": "new.toml"}
STREAMS = {  # redirection: status, standard error
    ">&-": (1, "Error: standard output: it is closed"),
    "2>&-": (0, ""),
    ">&- 2>&-": (1, ""),
    "<&-": (0, ""),
    ">/dev/full": (1, "Error: standard output: No space left on device"),
    "2>/dev/full": (0, ""),
    "| true": (None, ""),  # whoever reads has gone, or has not yet: nothing is told
}
SHORT = [("train", ">/dev/full")]
ALL = [
    (name, stream)
    for name in COMMAND_LINES
    for stream in STREAMS
    if name in ("train", "run") or stream in (">&-", "2>&-", ">/dev/full", "| true")
]


def test_every_command_is_here() -> None:
    assert {*COMMAND_LINES} == {*COMMANDS}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
@pytest.mark.parametrize(
    ("name", "stream"),
    [pytest.param(*case, marks=() if case in SHORT else pytest.mark.slow, id=" ".join(case)) for case in ALL],
)
def test_a_stream_that_nobody_listens_to(tmp_path: Path, name: str, stream: str) -> None:
    words = [sys.executable, "-m", "dataflow", *COMMAND_LINES[name]]
    script = f'set -o pipefail; "$@" {stream}'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120
    )
    status, told = STREAMS[stream]
    assert status is None or done.returncode == status, done.stderr
    assert done.returncode in (0, 1)
    lines = done.stderr.splitlines()
    kept = "; the trained model is in trained.msgpack" if name == "train" and told else ""
    assert lines == ([told + kept] if told else [])
    if name in FILES:  # the work is done and saved all the same
        assert (tmp_path / FILES[name]).stat().st_size > 100


@pytest.mark.parametrize("name", ["run", "check", "train", "convert", "profile", "draw", "view", "explain", "ops"])
@pytest.mark.parametrize("wrong", [False, True])
def test_a_file_s_name_does_not_steer_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, wrong: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    model = Path(f"{ESCAPES}.toml")
    text = Path(XOR).read_text()
    model.write_text("dataflow = 1\n[nodes\n" if wrong else text)
    words = [str(model) if word == XOR else word for word in COMMAND_LINES[name]]
    words = [f"{ESCAPES}{word}" if word in FILES.values() else word for word in words]
    if name == "ops":
        words = ["ops", ESCAPES]
    done = CliRunner().invoke(main, [*words, "--debug"] if wrong else words)
    assert done.exit_code == (1 if wrong or name == "ops" else 0), done.output
    for line in done.output.splitlines():
        assert line.isprintable(), line
    assert "\\x1b" in done.output or name in ("run", "explain", "profile", "view")


def test_a_wrong_word_does_not_steer_the_terminal() -> None:
    for words in (["run", XOR, ESCAPES], [ESCAPES], ["run", XOR, f"--{ESCAPES}"], ["train", XOR, "--epochs", ESCAPES]):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 2
        assert all(line.isprintable() for line in done.output.splitlines())
        assert "\\x1b" in done.output


def test_one_function_for_every_text() -> None:
    assert printable("a\x1b[1mé\tb\nc") == "a\\x1b[1mé b c"
    assert str(DataflowError("no\x1b", file="f\u202e")) == "f\\u202e: no\\x1b"
    assert printable(os.fsdecode(b"\xff")) == "\\udcff"
