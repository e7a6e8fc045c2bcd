"""Output fits a terminal of 80 columns: every command, over every model, and every help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from checkout import MODELS
from click.testing import CliRunner

import dataflow
from dataflow.cli.group import COMMANDS, main
from dataflow.registry import registry
from dataflow.support.text_tables import columns_text, display_width, fit_lines, lines_within

XOR = MODELS / "xor.toml"
ALL = sorted(MODELS.rglob("*.toml"))
ANSWER = '{"W1": [[9, 9], [9, 9]], "b1": [0, 0], "W2": [[0, 0]], "b2": [1]}'


def command_lines(path: Path, folder: Path) -> Iterator[list[str]]:
    """A call or two of each command, as far as the model allows."""
    model, name = dataflow.load(path), str(path)
    of = model.loss or model.outputs[0]
    wrt = next(iter(model.parameters), None) or model.graph.names("input")[0]
    about = ["--of", of, "--wrt", wrt]
    yield ["run", name, *about]
    yield ["check", name, *about]
    yield ["jacobian", name, *about]
    yield ["gradients", name, *about]
    yield ["explain", name, *about, "--exact"]
    yield ["profile", name, *about, "--rounds", "1", "--passes"]
    yield ["profile", name, "--rounds", "1", "--batch-size", "2"]
    yield ["predict", name]
    yield ["score", name]
    yield ["train", name, "--epochs", "1", "-o", str(folder / "trained.msgpack")]
    yield ["check", str(folder / "trained.msgpack"), *about]
    yield ["diff", name, str(XOR)]
    yield ["diff", str(MODELS / "wine.toml"), name]
    yield ["draw", name, "-o", str(folder / "a.dot")]
    yield ["convert", name, str(folder / "a.msgpack")]


def other_lines(folder: Path) -> Iterator[list[str]]:
    answer = folder / "answer.json"
    answer.write_text(ANSWER)
    yield ["check", str(XOR), "--against", str(answer)]
    yield ["train", str(XOR), "--epochs", "1", "--sweep", "seed=0,1", "--sweep", "optimizer.momentum=0.1,0.123456789"]
    yield ["plot", str(XOR), "--boundary", "--train", "-o", str(folder / "a.svg")]
    yield ["view", str(XOR), "-o", str(folder / "a.html")]
    yield ["new", str(folder / "new.toml"), "--data", str(MODELS / "wine.csv"), "--target", "alcohol"]
    yield ["new-plugin", "soft-step", "--output-dir", str(folder)]
    yield ["plugins"]
    yield ["ops"]
    yield from (["ops", name] for name in ("relu", "conv", *registry.registry().blocks))


def wide_lines(words: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that are wider than 80 columns, but for single words: a number, a path, a name."""
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0 or "Error: " in done.stderr or words[:3:2] == ["check", "--against"], done.output
    return [line for line in done.stdout.splitlines() if display_width(line) > 80 and len(line.split()) > 1]


def check_model(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in command_lines(path, folder):
        assert wide_lines(words, monkeypatch) == [], words


@pytest.mark.parametrize("name", ["xor.toml", "penguin-mass.toml"])
def test_commands_over_two_models(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_model(MODELS / name, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_commands_over_all_models(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_model(path, tmp_path, monkeypatch)


@pytest.mark.slow
def test_commands_without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in other_lines(tmp_path):
        assert wide_lines(words, monkeypatch) == [], words


def test_every_command_is_called(tmp_path: Path) -> None:
    called = {words[0] for lines in (command_lines(XOR, tmp_path), other_lines(tmp_path)) for words in lines}
    assert called >= {*COMMANDS} - {"completion"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wide_lines([name, "-h"], monkeypatch) == []


def test_every_example_of_a_help_is_whole() -> None:
    """A long example goes on below after a backslash, so that it can be pasted."""
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        assert command.epilog is not None
        text = command.epilog.replace("\\\n", " ").partition("Example:\n")[2]
        lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
        assert all(line.startswith(("dataflow ", "git config ", 'eval "$(dataflow')) for line in lines), lines


def test_a_message_is_one_line_for_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(main, ["run", "models/" + "x" * 100 + ".toml"])
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1


def test_no_word_is_cut() -> None:
    text = "  one " + "two " * 40 + "x" * 90
    lines = fit_lines(text, 80).split("\n")
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= 80 or line.strip() == "x" * 90 for line in lines)
    assert all(line.startswith("      ") for line in lines[1:])


def test_columns_that_do_not_fit_follow_below() -> None:
    rows = [["row", "a", "b"], ["1", "x" * 20, "y" * 20]]
    with lines_within(30):
        text = columns_text(rows, 1)
    assert text.split("\n\n") == [
        "row                     a\n1    " + "x" * 20,
        "row                     b\n1    " + "y" * 20,
    ]
    assert len(columns_text(rows, 1).splitlines()) == 2
