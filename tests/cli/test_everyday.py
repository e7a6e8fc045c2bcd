"""Completion in shells, the version, colours, an interrupt while dataflow starts."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from checkout import MODELS
from click.testing import CliRunner

from dataflow.cli.group import COMMANDS, main
from dataflow.registry import registry

XOR = str(MODELS / "xor.toml")


def completed(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """What is offered for the last of the words, as bash asks."""
    monkeypatch.setenv("COMP_WORDS", " ".join(["dataflow", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    done = CliRunner().invoke(main, env={"_DATAFLOW_COMPLETE": "bash_complete"}, prog_name="dataflow")
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_options_and_ops_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(monkeypatch, "pr") == ["plain,predict", "plain,profile"]
    assert completed(monkeypatch, "run", "--backe") == ["plain,--backend"]
    ops = [f"plain,{name}" for name in sorted(registry.registry().ops) if name.startswith("re")]
    assert len(ops) > 2
    assert set(completed(monkeypatch, "ops", "re")) >= set(ops)
    assert completed(monkeypatch, "draw", XOR, "--notation", "m") == ["plain,math"]
    assert completed(monkeypatch, "nonsense", "a") == []


def test_model_files_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("net.toml", "net.msgpack", "net.csv"):
        Path(name).touch()
    assert completed(monkeypatch, "run", "ne") == ["plain,net.msgpack", "plain,net.toml"]
    Path("nets").mkdir()
    assert completed(monkeypatch, "run", "ne") == ["file,ne"]  # the shell goes into folders
    assert completed(monkeypatch, "run", "nothing/n") == ["file,nothing/n"]


def test_completing_commands_imports_none_of_them() -> None:
    code = (
        "import sys, atexit; atexit.register(lambda: print(sorted(m for m in sys.modules if '.commands.' in m)));"
        "from dataflow.cli import main; main(prog_name='dataflow')"
    )
    environment = os.environ | {
        "_DATAFLOW_COMPLETE": "bash_complete",
        "COMP_WORDS": "dataflow tr",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.splitlines() == ["plain,train", "[]"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_DATAFLOW_COMPLETE={shell}_complete" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n", "-c", done.stdout], check=True, timeout=60)


def test_the_version_names_plugins() -> None:
    own = version("dataflow-autodiff")
    lines = CliRunner().invoke(main, ["--version"]).stdout.splitlines()
    assert lines[0] == f"dataflow {own}"
    assert any("llvm" in line and f"dataflow-autodiff {own}" in line for line in lines[1:])
    document = json.loads(CliRunner().invoke(main, ["--version", "--json"]).stdout)
    assert document["dataflow"] == own
    assert {"name": "nn", "distribution": "dataflow-autodiff", "version": own, "broken": False} in document["plugins"]
    done = CliRunner().invoke(main, ["--json", "run", XOR])
    assert (done.exit_code, done.stdout) == (2, "")


def on_a_terminal(*words: str, **environment: str) -> str:
    """What a command writes to a terminal of 80 columns."""
    primary, secondary = pty.openpty()
    settings = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"} | environment
    process = subprocess.Popen(
        [sys.executable, "-m", "dataflow", *words], stdin=secondary, stdout=secondary, stderr=secondary, env=settings
    )
    os.close(secondary)
    parts = []
    try:
        while part := os.read(primary, 4096):
            parts.append(part)
    except OSError:  # the process has ended
        pass
    process.wait(60)
    os.close(primary)
    return b"".join(parts).decode()


@pytest.mark.slow
def test_colours_on_a_terminal_unless_unwanted() -> None:
    words = ["explain", XOR, "--wrt", "W1", "--example", "3"]
    assert "\x1b[" in on_a_terminal(*words)
    assert "\x1b" not in on_a_terminal(*words, NO_COLOR="1")


@pytest.mark.slow
def test_an_error_on_a_terminal_is_broken_between_words() -> None:
    text = on_a_terminal("train", str(MODELS / "jacobian.toml"))
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "").strip()
    text = text[text.index("Error:") :]  # after a bar that is gone
    lines = text.splitlines()
    assert all(len(line) <= 80 or len(line.split()) < 3 for line in lines)
    assert "the model has no loss to make small" in " ".join(text.split())


@pytest.mark.slow
def test_an_interrupt_at_any_moment_of_the_start_shows_no_traceback() -> None:
    command = Path(sys.executable).parent / "dataflow"
    for moment in range(1, 12):
        with subprocess.Popen(
            [command, "run", XOR], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as one:
            time.sleep(0.06 * moment)
            one.send_signal(signal.SIGINT)
            assert one.stderr is not None
            told = one.stderr.read()
        # Python itself starts in the first moments, and may look for an editable package; then nothing is told, or one
        # line
        of_python = "Fatal Python error" in told or "dataflow" not in told
        assert of_python or told.startswith("Error: interrupted"), told


def test_every_command_is_listed() -> None:
    text = CliRunner().invoke(main, ["-h"]).stdout
    assert all(name in text for name in COMMANDS)
