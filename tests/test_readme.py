"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dataflow.cli.group import main

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line.split("#")[0].strip() for line in re.findall(r"^dataflow [a-z].*$", TEXT, re.MULTILINE)]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(command: str, checkout: Path) -> None:
    done = CliRunner().invoke(main, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output


def test_the_commands_are_there() -> None:
    assert len(COMMANDS) >= 9
    assert "python3 tools/run.py" in TEXT
    assert "python3 tools/test.py" in TEXT


def test_the_python_runs(checkout: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102 (the README's own code)
    assert (checkout / "xor.msgpack").exists()


def test_the_model_file_runs(checkout: Path) -> None:
    (declared,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    (checkout / "net.toml").write_text(declared, encoding="utf-8")
    assert CliRunner().invoke(main, ["run", "net.toml", "--set", "x=[[0, 1]]", "--set", "y=[[1]]"]).exit_code == 0
