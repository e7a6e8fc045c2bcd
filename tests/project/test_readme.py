"""What the README, CONTRIBUTING and the table of models show works as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from checkout import ROOT
from click.testing import CliRunner, Result

import dataflow
from dataflow.cli.group import COMMANDS, main

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS_PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MODELS = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.compile(r"^```\n(dataflow .*?)^```$", re.DOTALL | re.MULTILINE)
FIRST, STEPS = ([line.partition("#")[0].strip() for line in block.splitlines()] for block in BLOCKS.findall(TEXT))
SHOWN = [line.partition("#")[0].strip() for block in BLOCKS.findall(COMMANDS_PAGE) for line in block.splitlines()]
(MODEL,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
TRIED = re.findall(r"\| `(dataflow [^`]+)` \|", MODELS)


def call(command: str) -> Result:
    return CliRunner().invoke(main, shlex.split(command)[1:])


# ------------------------------------------------------------------------------------------------ commands


@pytest.mark.parametrize("command", SHOWN)
def test_every_command_runs(command: str, checkout: Path) -> None:
    done = call(f"{command} --epochs 20 --jobs 1" if "--sweep" in command else command)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip()
    for word in shlex.split(command):
        if word.endswith(".msgpack"):
            dataflow.load(word)


def test_the_first_model_runs_as_shown(checkout: Path) -> None:
    assert len(MODEL.splitlines()) == 8
    Path("line.toml").write_text(MODEL, encoding="utf-8")
    command, shown = re.findall(r"```\n\$ (dataflow [^\n]*)\n(.*?)```", TEXT, re.DOTALL)[0]
    assert call(command).stdout == shown
    assert [step.split()[1] for step in FIRST] == ["check", "explain", "train", "draw", "view"]
    for step in FIRST:
        done = call(step)
        assert done.exit_code == 0, done.output
    assert (checkout / "line.html").exists()


def test_the_readme_is_short() -> None:
    assert len(TEXT.split()) < 900


def test_the_steps_with_data_of_your_own_run_one_after_another(checkout: Path) -> None:
    assert [command.split()[1] for command in STEPS] == ["new", "check", "train", "score", "predict"]
    for command in STEPS:
        done = call(command)
        assert done.exit_code == 0, done.output
    rows = (checkout / "models" / "penguins.csv").read_text(encoding="utf-8").count("\n")
    assert Path(STEPS[-1].split()[-1]).read_text(encoding="utf-8").count("\n") == rows


@pytest.mark.parametrize("command", TRIED)
def test_every_command_of_the_models_runs(command: str, checkout: Path) -> None:
    fewer = " --epochs 2" if command.startswith("dataflow train") else ""
    done = call(command + fewer)
    assert done.exit_code == 0, done.output


def test_the_commands_are_there() -> None:
    assert len(SHOWN) >= 9
    shown = {shlex.split(command)[1] for command in SHOWN}
    assert {"run", "train", "check", "jacobian", "gradients", "explain", "convert", "ops"} <= shown <= set(COMMANDS)
    files = {path.name for path in (ROOT / "models").glob("*.toml")}
    assert len(TRIED) == len(files)
    assert set(re.findall(r"^\| \[([\w-]+\.toml)\]", MODELS, re.MULTILINE)) == files
    assert f"{['ten', 'eleven', 'twelve', 'thirteen'][len(files) - 10]} worked examples" in TEXT


def test_the_two_commands() -> None:
    (block,) = re.findall(r"## Two commands\n.*?```\n(.*?)```", TEXT, re.DOTALL)
    assert block.splitlines() == ["python3 tools/run.py", "python3 tools/test.py"]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(line in script for line in block.splitlines())


def test_what_contributing_runs_is_there() -> None:
    (block,) = re.findall(r"## Set up\n.*?```\n(.*?)```", CONTRIBUTING, re.DOTALL)
    words = [word for line in block.splitlines() for word in line.partition("#")[0].split()]
    files = [word for word in words if "/" in word and not word.startswith(".venv/")]
    assert len(files) >= 5
    assert all((ROOT / file).exists() for file in files)


def test_an_error_is_the_line_that_is_shown(checkout: Path) -> None:
    command, shown = re.findall(r"^\$ (dataflow .*)\n(Error: .*)$", TEXT, re.MULTILINE)[0]
    broken = MODEL.replace('"x @ w + b"', '"matmull(x, w) + b"')
    (checkout / command.split()[-1]).write_text(broken, encoding="utf-8")
    done = call(command)
    assert done.exit_code == 1
    assert done.stderr == shown + "\n"
    assert not done.stdout


# ------------------------------------------------------------------------------------------------ Python, TOML


def test_the_python_runs(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102 (the README's own code)
    assert (checkout / "xor.msgpack").exists()
    promised = re.findall(r'print\(model.run\(\)\["loss"\]\)  # ([\d.]+)\.\.\.$', "\n".join(blocks), re.MULTILINE)
    assert [capsys.readouterr().out.splitlines()[0][: len(text)] for text in promised] == promised != []
    assert "rounded_relu" in names
