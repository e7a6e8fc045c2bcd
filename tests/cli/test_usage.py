"""Wrong calls: each is told in one line that says what to do."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any, cast

import click
import pytest
from checkout import MODELS
from click.testing import CliRunner

from dataflow.cli.group import COMMANDS, main
from dataflow.errors import closest
from dataflow.graph.graph import Graph
from dataflow.notation.names import Names

XOR = str(MODELS / "xor.toml")


def told(*words: str, status: int = 2) -> str:
    """What is told of a wrong call, which is one line."""
    done = CliRunner().invoke(main, list(words), prog_name="dataflow")
    assert (done.exit_code, done.stdout) == (status, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_no_command_has(name: str) -> None:
    assert told(name, "--qqqq") == f"unknown option '--qqqq'; 'dataflow {name} -h' shows how it is called"


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"ops", "plugins", "diff"}))
def test_what_is_missing_is_named(name: str) -> None:
    line = told(name)
    assert " is missing; " in line
    assert line.endswith(f"'dataflow {name} -h' shows how it is called")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", XOR, "--epochs", "3"], "unknown option '--epochs'; it is an option of 'train'"),
        (["run", XOR, "--verison"], "unknown option '--verison'; 'dataflow run -h' shows how it is called"),
        (["train", XOR, "--lr", "0.1"], "unknown option '--lr'; did you mean '--learning-rate'?"),
        (["train", XOR, "--bs", "2"], "unknown option '--bs'; did you mean '--batch-size'?"),
        (["jacobian", XOR, "--wrt", "W1"], "--of NODE is missing; 'dataflow jacobian -h' shows how it is called"),
        (["completion"], "{bash|zsh|fish} is missing; 'dataflow completion -h' shows how it is called"),
        (
            ["plugins", "foo"],
            "unexpected 'foo'; 'dataflow plugins' takes options alone; 'dataflow plugins -h' shows how it is called",
        ),
        (
            ["run", XOR, "a.toml"],
            "unexpected 'a.toml'; 'dataflow run' takes MODEL and options; 'dataflow run -h' shows how it is called",
        ),
        (["run", XOR, "--digits", "99"], "Invalid value for '--digits': 99 is not in the range 1<=x<=17"),
        (
            ["train", XOR, "--sweep", "lr=1,2"],
            "Invalid value for '--sweep': there is no option 'lr' to sweep; did you mean 'learning_rate'?",
        ),
        (
            ["train", XOR, "--sweep", "learning_rate=0.1..1"],
            "Invalid value for '--sweep': '0.1..1': A..B are whole numbers; write others out, with commas: 0.05,0.1",
        ),
    ],
)
def test_what_to_do_is_said(words: list[str], line: str) -> None:
    assert told(*words) == line


@pytest.mark.parametrize(
    "words", [["gradients"], ["jacobian", "--wrt", "W1"], ["explain"], ["draw", "--both"], ["check"]]
)
@pytest.mark.parametrize(("name", "meant"), [("ŷ", "yhat"), ("W⁽¹⁾", "W1"), ("b₁", "b1"), ("b⁽²⁾", "b2")])
def test_a_name_as_pictures_write_it_leads_to_the_node(words: list[str], name: str, meant: str, tmp_path: Path) -> None:
    target = ["-o", str(tmp_path / "a.svg")] if words[0] == "draw" else []
    for option in ("--of", "--wrt"):
        if option not in words:
            line = told(
                words[0],
                XOR,
                *words[1:],
                *(["--of", "yhat"] if option == "--wrt" else []),
                *target,
                option,
                name,
                status=1,
            )
            assert line.endswith(f"'{name}'; did you mean '{meant}'?")


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("α", ["alpha", "a"], ["alpha"]),
        ("Σ₂", ["sigma2", "sum"], ["sigma2"]),
        ("λ⁽¹²⁾", ["lambda12"], ["lambda12"]),
        ("x̂", ["x_hat", "x"], ["x_hat"]),
        ("Wᵢₙ", ["W_in", "w"], ["W_in"]),
        ("enc.ẑ", ["enc.zhat", "enc.z"], ["enc.zhat"]),
    ],
)
def test_symbols_are_meant_for_what_is_typed(name: str, known: list[str], meant: list[str]) -> None:
    assert closest(name, known) == meant


@pytest.mark.parametrize(
    "notation_of", ["W1", "yhat", "x_hat", "b2", "alpha", "alpha2", "W_in", "ytilde", "Gamma", "xbar"]
)
def test_each_symbol_leads_back(notation_of: str) -> None:
    """What the pictures write is the independent side."""
    for shape in ((), (2,)):
        graph = Graph()
        graph.input(notation_of, shape)
        symbol = Names(graph).text(notation_of)
        assert symbol == notation_of or closest(symbol, [notation_of, "other"]) == [notation_of]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "completion"])
def test_too_many_arguments_are_told_what_is_taken(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    taken = [p for p in command.params if isinstance(p, click.Argument)]
    if any(p.nargs == -1 for p in taken):
        return
    needed = [word for p in command.params if p.required and p not in taken for word in (p.opts[0], XOR)]
    line = told(name, *[XOR] * len(taken), *needed, "one more")
    assert line.startswith(f"unexpected 'one more'; 'dataflow {name}' takes ")
    assert line.endswith(f"; 'dataflow {name} -h' shows how it is called")
    assert all(p.make_metavar(click.Context(command)) in line for p in taken)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_used(name: str) -> None:
    """What a command's function is given, it reads: an option that it ignores looks as if it did something."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    (function,) = ast.parse(inspect.getsource(inspect.unwrap(cast(Any, command.callback)))).body
    assert isinstance(function, ast.FunctionDef)
    given = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    read = {node.id for statement in function.body for node in ast.walk(statement) if isinstance(node, ast.Name)}
    assert not [argument.arg for argument in given if argument.arg not in read]


@pytest.mark.parametrize(
    "words", ["", "--format markdown", "--format latex", "--format html", "--symbolic", "--symbolic --format text"]
)
def test_explain_writes_names_as_the_file_has_them(words: str) -> None:
    """``ŷ`` and its LaTeX are what ``yhat`` is set as."""
    call = ["explain", str(MODELS / "xor-scalars.toml"), "--wrt", "w1", *words.split()]
    math, plain = (CliRunner().invoke(main, [*call, "--notation", notation]).stdout for notation in ("math", "plain"))
    assert "ŷ" in math or r"\hat{y}" in math
    assert "yhat" in plain
    assert not re.search(r"ŷ|\\hat|[₁₂₃]|w_\{?1", plain)


def test_initials_stand_for_words() -> None:
    assert closest("lr", ["learning_rate", "plot", "clr"]) == ["learning_rate"]
    assert closest("BS", ["batch-size", "bar"]) == ["batch-size"]
    assert closest("plt", ["plot", "loss"]) == ["plot"]  # one word has no initials
    assert closest("l", ["learning_rate"]) == []


def test_names_of_an_order_have_several_letters() -> None:
    done = CliRunner().invoke(main, ["explain", XOR, "--wrt", "W1", "--example", "3", "--order", "yhat,h,z"])
    assert done.exit_code == 0
    assert "In the order ŷ, h, z: 14 multiplications" in done.stdout
    assert "'foo' is not an inner vertex" in told("explain", XOR, "--wrt", "W1", "--order", "foo", status=1)


@pytest.mark.parametrize("words", [["run"], ["jacobian", "--of", "yhat", "--wrt", "W1"], ["explain", "--wrt", "W1"]])
def test_o_is_the_output_everywhere(words: list[str], tmp_path: Path) -> None:
    target = tmp_path / ("a.csv" if words[0] != "explain" else "a.txt")
    assert CliRunner().invoke(main, [words[0], XOR, *words[1:], "-o", str(target)]).exit_code == 0
    assert target.stat().st_size


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """What is meant is looked for by what stands before the ending, which alone makes no two names alike."""
    for name in ("line.toml", "tables"):
        (tmp_path / name).write_text("")
    missing = {
        "lime.toml": "; did you mean '{}/line.toml'?",
        "nope.toml": "; check the name",
        "line.msgpack": "; did you mean '{}/line.toml'?",
        "line.tml": "; did you mean '{}/line.toml'?",
        "nothing": "; check the name",
    }
    for name, hint in missing.items():
        line = told("run", str(tmp_path / name), status=1)
        assert line == f"{tmp_path / name}: there is no such file{hint.format(tmp_path)}"
    assert told("run", str(tmp_path), status=1) == f"{tmp_path}: expected a file, found a folder; name the file itself"


def test_convert_that_keeps_a_file_says_nothing_else(tmp_path: Path) -> None:
    trained = tmp_path / "a.msgpack"
    assert CliRunner().invoke(main, ["train", XOR, "--epochs", "1", "-o", str(trained)]).exit_code == 0
    (tmp_path / "a.toml").write_text("# mine\n")
    assert "--force replaces it" in told("convert", str(trained), str(tmp_path / "a.toml"), status=1)
    done = CliRunner().invoke(main, ["convert", str(trained), str(tmp_path / "a.toml"), "--force"])
    assert done.stderr.startswith("Warning: TOML holds the model, not the state")


def test_a_call_that_does_not_fit_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(
        'dataflow = 1\ninputs.x = { shape = ["n", 3] }\nparameters.W = { shape = [2, 4], init = "zeros" }\n'
        'nodes.y = "x @ W"\nmodel.outputs = ["y"]\n'
    )
    assert "(2, 4) does not fit" in told("run", str(path), status=1)
    path.write_text(path.read_text().replace("x @ W", "linear(x, W)"))
    assert told("run", str(path), status=1).count("linear(x, W)") == 1
