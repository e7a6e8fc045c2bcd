"""No output of a command replaces what the command reads: the model, the file of --data, the data a model declares."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from checkout import MODELS
from click.testing import CliRunner

from dataflow.cli.group import main

TABLE = "x0,x1,y\n0,1,1\n1,1,0\n"
OWN = 'file = "own.csv"\ncolumns = { x = ["x0", "x1"], y = "y" }\n'
COMMANDS = {
    "run": "run MODEL --data DATA --output OUT",
    "train": "train MODEL --data DATA --epochs 1 -o OUT",
    "plot of training": "train MODEL --data DATA --epochs 1 --plot OUT",
    "jacobian": "jacobian MODEL --of yhat --wrt W1 --data DATA --output OUT",
    "explain": "explain MODEL --wrt W1 --data DATA --output OUT",
    "draw": "draw MODEL --values --data DATA -o OUT",
    "view": "view MODEL --data DATA -o OUT",
    "predict": "predict MODEL --data DATA -o OUT",
    "score": "score MODEL --data DATA --plot OUT",
    "profile": "profile MODEL --plot OUT",
    "convert": "convert MODEL OUT",
    "new": "new OUT --data DATA --target y --force",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("read", ["MODEL", "DATA", "OWN"])
def test_what_a_command_reads_is_kept(command: str, read: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The output has another name: a link to the file, with an ending that the command writes."""
    monkeypatch.chdir(tmp_path)
    text = (MODELS / "xor.toml").read_text(encoding="utf-8")
    head, tail = text.split("[data]\n")
    Path("m.toml").write_text(f"{head}[data]\n{OWN}\n[train]{tail.split('[train]')[1]}", encoding="utf-8")
    for name in ("own.csv", "given.csv"):
        Path(name).write_text(TABLE, encoding="utf-8")
    words = COMMANDS[command]
    if (read == "DATA" and "DATA" not in words) or (command == "new" and read != "DATA"):
        pytest.skip("the command does not read it")
    ending = ENDINGS.get(command, ".svg")
    target = {"MODEL": "m.toml", "DATA": "given.csv", "OWN": "own.csv"}[read]
    before = Path(target).read_bytes()
    Path(f"out{ending}").symlink_to(target)
    names = {"MODEL": "m.toml", "DATA": "given.csv", "OUT": f"out{ending}"}
    done = CliRunner().invoke(main, [names.get(word, word) for word in words.split()])
    assert done.exit_code == 1, done.output
    assert done.stderr == f"Error: out{ending}: is read by this command, and is kept; write to another file\n"
    assert Path(target).read_bytes() == before


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ("predict m.toml --data given.csv -o given.csv", "given.csv"),
        ("run m.toml --data given.csv --output given.csv", "given.csv"),
        ("jacobian m.toml --of yhat --wrt W1 --data given.csv --output given.csv", "given.csv"),
        ("train m.toml --epochs 1 -o m.toml", "m.toml"),
        ("convert m.toml m.toml", "m.toml"),
    ],
)
def test_what_is_spelled_in_the_same_way_is_kept(
    words: str, read: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(MODELS / "xor.toml", "m.toml")
    Path("given.csv").write_text(TABLE, encoding="utf-8")
    before = Path(read).read_bytes()
    done = CliRunner().invoke(main, words.split())
    assert done.exit_code == 1, done.output
    assert done.stderr == f"Error: {read}: is read by this command, and is kept; write to another file\n"
    assert Path(read).read_bytes() == before


ENDINGS = {
    "run": ".csv",
    "train": ".msgpack",
    "jacobian": ".csv",
    "explain": ".json",
    "view": ".html",
    "predict": ".csv",
    "convert": ".toml",
    "new": ".toml",
}


def test_an_output_of_before_is_replaced(tmp_path: Path) -> None:
    shutil.copy(MODELS / "xor.toml", tmp_path / "m.toml")
    for _ in range(2):
        done = CliRunner().invoke(main, ["convert", str(tmp_path / "m.toml"), str(tmp_path / "m.msgpack")])
        assert done.exit_code == 0, done.output
