"""``--digits`` and ``--exact``: every command that prints numbers of a model has them, and each obeys."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from checkout import MODELS
from click.testing import CliRunner, Result

from dataflow.cli.group import COMMANDS, main
from dataflow.support.number_texts import current_format, number_format
from dataflow.viewer.numbers import matrix

WITHOUT = {"new", "convert", "profile", "ops", "plugins", "plot", "completion", "new-plugin"}
"""These print no numbers of a model."""
XOR = str(MODELS / "xor.toml")
LINES = [
    f"run {XOR}",
    "jacobian other.toml --of yhat --wrt W2,b2",
    f"gradients {XOR}",
    f"gradients {XOR} --mode hessian --wrt W2,b2",
    f"gradients {XOR} --mode per-example --wrt b1",
    f"explain {XOR} --wrt W1",
    f"explain {XOR} --wrt W1 --format latex",
    f"explain {XOR} --wrt W1 --format html",
    "score other.toml",
    "predict other.toml",
    f"check {XOR} --against mine.json",
    f"diff {XOR} other.toml",
    f"train {XOR} --epochs 2 --quiet -o trained.toml",
    f"train {XOR} --epochs 2",
]
LONG = re.compile(r"(?<![\w.])-?\d+\.\d+(?![\w.])")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text(json.dumps({"b1": [1.23456789, 7 / 9]}))
    Path("other.toml").write_text(Path(XOR).read_text().replace("0.9", "0.97777777"))


def called(line: str) -> Result:
    done = CliRunner().invoke(main, shlex.split(line))
    assert done.exit_code in (0, 1), done.output
    return done


def test_every_command_that_prints_numbers_has_the_options() -> None:
    for name in {*COMMANDS} - WITHOUT:
        command = main.get_command(None, name)
        assert {"digits", "exact"} <= {option.name for option in command.params}, name


def digits_in(text: str) -> int:
    """The most significant digits of a number with a point, of those that a model gave."""
    return max((len(number.strip("-0.").replace(".", "")) for number in LONG.findall(text)), default=0)


@pytest.mark.parametrize("line", LINES)
def test_no_number_has_more_digits_than_asked_for(line: str) -> None:
    few = called(f"{line} --digits 2").stdout
    assert digits_in(few) <= 2 or "style" in few, few  # a page has lengths of its own
    if "--quiet" not in line:
        assert digits_in(called(f"{line} --digits 5").stdout) > 2
    if "latex" not in line and "html" not in line:
        assert called(f"{line} --digits 2 --json").stdout == called(f"{line} --json").stdout


def test_pictures_have_them_too() -> None:
    for digits, number in ((2, "0.39"), (3, "0.386"), (6, "0.3863")):
        called(f"draw {XOR} --values -o xor.dot --digits {digits}")
        assert f'= {number}"' in Path("xor.dot").read_text() or f"= {number}<" in Path("xor.dot").read_text()


def test_the_page_has_them_in_its_matrices() -> None:
    with number_format(2):
        assert matrix(np.array([[0.123456, 1e-20]]), 8)["cells"] == [0.12, 0]
    assert matrix(np.array([[0.123456, 1e-20]]), 8)["cells"] == [0.123456, 0]


def test_what_is_nearly_zero_is_0_with_a_note_and_as_it_is_with_exact() -> None:
    line = f"run {XOR} --set 'b1=[2.775557e-17, 0.5]' --of z --wrt b1"
    done = called(line)
    assert "e-" not in done.stdout
    assert done.stderr.startswith("Note: numbers below 1e-12 of their array's largest are written as 0; --exact")
    exact = called(f"{line} --exact")
    assert "2.775557e-17" in exact.stdout
    assert exact.stderr == ""
    assert "2.775557e-17" in called(f"{line} --json").stdout
    assert called(f"{line} --json").stderr == ""


@pytest.mark.parametrize("digits", ["0", "18", "-1", "x"])
def test_digits_are_from_1_to_17(digits: str) -> None:
    done = CliRunner().invoke(main, ["run", XOR, "--digits", digits])
    assert done.exit_code == 2
    assert "--digits" in done.stderr


def test_wrong_usage_leaves_no_format_behind() -> None:
    for words in (["explain", "--exact"], ["run", "--exact", "none.toml", "--nope"], ["check", "--digits", "3"]):
        assert CliRunner().invoke(main, words).exit_code == 2
        assert current_format().is_plain
