"""A training option is declared once: one line more in a copy of the package, and every way in and out knows it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT

from dataflow.model.train_settings import DECIDING_OPTIONS, FILE_OPTIONS, RunSettings, TrainSettings, options_of

LINE = """    warmth: float = option(Number(), 0.5, "How warm training is.")
    patience: int | None = option(Whole(1), None, "How long training waits.", decides=False)
    gentle: bool = option(Flag(), False, "Whether training is gentle.")
    bound: Mapping[str, float] | None = option(
        Table({"above": Key(Number()), "below": Key(Number()), "often": Key(Whole(1), 3)}, ("above", "below")),
        None,
        "What is bound.",
    )
    left: list[str] = option(Names(), [], "What is left out.")
    part: float | Mapping[str, Any] = option(
        ValueOrTable(Share(), Table({"share": Key(Share(), required=True), "by": Key(Text())}), "share"),
        0.0,
        "What part.",
    )

    def __post_init__("""

IMPORTS = """from dataflow.model.option_kinds import Names
from dataflow.model.table_kinds import Key, Table, ValueOrTable
from dataflow.registry import registry
"""

USES = """
import dataclasses, inspect, json, pathlib, sys, warnings
import dataflow
from click.testing import CliRunner
from dataflow.cli.group import main
from dataflow.files.msgpack.container import read_container, write_container
from dataflow.files.toml.read import loads_toml

folder = pathlib.Path(sys.argv[1])
assert str(folder) in dataflow.__file__
TOML = '''dataflow = 1
[inputs]
x = { shape = ["n"] }
[parameters]
w = { value = 1.0 }
[nodes]
loss = "sum((w * x) ** 2)"
[model]
loss = "loss"
[data]
x = [1, 2]
[train]
'''

# TOML: read, with errors at their place, and written where it is not the default.
model = loads_toml(TOML + "warmth = 0.75\\npatience = 3\\ngentle = true\\n")
assert (model.train_settings.warmth, model.train_settings.patience, model.train_settings.gentle) == (0.75, 3, True)
for line, text in (("warmth = 'hot'", "warmth takes a number"), ("patience = 0", "patience takes an integer")):
    try:
        loads_toml(TOML + line)
    except dataflow.DataflowError as error:
        assert text in str(error) and error.line == 13, error
    else:
        raise AssertionError(line)
dataflow.save(model, folder / "m.toml")
assert "warmth = 0.75\\npatience = 3\\ngentle = true\\n" in (folder / "m.toml").read_text()

TABLES = "bound = { above = 0.5 }\\nleft = ['a', 'b']\\npart = { share = 0.25, by = 'kind' }\\n"
model = loads_toml(TOML + "warmth = 0.75\\npatience = 3\\ngentle = true\\n" + TABLES)
stated = model.train_settings
assert (stated.bound, stated.left) == ({"above": 0.5, "often": 3}, ["a", "b"])
assert stated.part == {"share": 0.25, "by": "kind"}
assert loads_toml(TOML + "part = 0.5").train_settings.part == 0.5
for line, text, column in (
    ("bound = 3", "bound takes a table of above (a number), below (a number), often (an integer", 9),
    ("bound = { abov = 3 }", "unknown key 'abov' in bound; did you mean 'above'", 11),
    ("bound = { above = 'x' }", "above takes a number, not 'x'", 20),
    ("bound = { above = 1, below = 2 }", "bound takes one of above and below", 9),
    ("bound = { often = 2 }", "bound takes one of above and below", 9),
    ("left = 'a'", "left takes a list of names, not 'a'", 9),
    ("left = ['a', 3]", "left takes a list of names, not 3", 14),
    ("left = ['a', 'a']", "left lists 'a' twice; leave one out", 8),
    ("part = 1", "part takes a share from 0", 8),
    ("part = { by = 'x' }", "part needs share, a share from 0", 8),
):
    try:
        loads_toml(TOML + line)
    except dataflow.DataflowError as error:
        assert text in str(error) and (error.line, error.column) == (13, column), error
    else:
        raise AssertionError(line)

# msgpack, and a file from before there was the option.
for path in (folder / "m.msgpack", folder / "m.toml"):
    dataflow.save(model, path)
    assert dataflow.load(path).train_settings == model.train_settings
plain = loads_toml(TOML)
dataflow.save(plain, folder / "old.msgpack")
header = read_container(folder / "old.msgpack").header["train"]
assert set(header) == {"optimizer", "epochs", "batch_size", "shuffle", "seed", "validation"}, header
assert dataflow.load(folder / "old.msgpack").train_settings.warmth == 0.5
container = read_container(folder / "m.msgpack")
for name, value, text in (
    ("warmth", "hot", "warmth is a number, not 'hot'"),
    ("bound", {"abov": 1.0}, "bound is a table of above (a number)"),
    ("bound", {"above": 1.0, "below": 2.0}, "bound takes one of above and below"),
    ("left", "a", "left is a list of names, not 'a'"),
    ("part", {"share": 2.0}, "part is a share from 0"),
):
    header = {**container.header, "train": {**container.header["train"], name: value}}
    write_container(folder / "bad.msgpack", header, container.tensors)
    try:
        dataflow.load(folder / "bad.msgpack")
    except dataflow.DataflowError as error:
        assert text in str(error), error
    else:
        raise AssertionError(name)

# Python: a keyword that is checked, and its value is in the record of the run.
for function in (dataflow.train, dataflow.Trainer):
    assert {"warmth", "patience", "gentle"} <= inspect.signature(function).parameters.keys()
assert dataflow.Trainer(model, warmth=0.25).settings.warmth == 0.25
assert dataflow.Trainer(model).settings.warmth == 0.75
assert dataflow.Trainer(model, bound={"below": 2}).settings.bound == {"below": 2.0, "often": 3}
assert dataflow.Trainer(model, part=0.0, left=()).settings.part == 0.0
for wrong in (
    {"warmth": "hot"}, {"patience": 0}, {"gentle": 1}, {"bound": 3}, {"bound": {}}, {"bound": {"often": 0}},
    {"left": "a"}, {"left": [1]}, {"part": 1}, {"part": {}}, {"part": {"share": 0.5, "by": 3}},
):
    try:
        dataflow.train(model, **wrong)
    except dataflow.DataflowError as error:
        assert next(iter(wrong)) in str(error)
    else:
        raise AssertionError(wrong)

# Checkpoints keep it: another value is refused, and one from before there was the option goes on.
dataflow.train(plain, checkpoint=folder / "run", epochs=1)
assert plain.training["warmth"] == 0.5 and "patience" not in plain.training
try:
    dataflow.train(loads_toml(TOML), checkpoint=folder / "run", resume=True, epochs=2, warmth=0.75)
except dataflow.DataflowError as error:
    assert "was made with warmth = 0.5, and this run has 0.75" in str(error), error
else:
    raise AssertionError
for path in (folder / "run").glob("*.msgpack"):
    container = read_container(path, mapped=False)
    del container.header["settings"]["warmth"], container.header["settings"]["gentle"]
    write_container(path, container.header, container.tensors)
assert dataflow.train(loads_toml(TOML), checkpoint=folder / "run", resume=True, epochs=2, patience=2).epochs == 2

# The command line.
(folder / "m.toml").write_text(TOML)
text = CliRunner().invoke(main, ["train", "--help"]).output
assert "--bound KEY=VALUE|JSON" in text and "--bound.often N" in text and "--left NAME,..." in text, text
assert "--warmth NUMBER" in text and "How warm training is." in text and "--gentle / --no-gentle" in text, text
words = ["train", str(folder / "m.toml"), "--warmth", "0.125", "--gentle", "-o", str(folder / "out.msgpack")]
result = CliRunner().invoke(main, words)
assert result.exit_code == 0, result.output
record = dataflow.load(folder / "out.msgpack").training
assert (record["warmth"], record["gentle"]) == (0.125, True)

(folder / "t.toml").write_text(TOML + TABLES)
for given, expected in (
    ("", {}),
    ("--bound.above=2", {"bound": {"above": 2.0, "often": 3}}),
    ("--bound.often 7", {"bound": {"above": 0.5, "often": 7}}),
    ("--bound.below=2 --bound.often=7", {"bound": {"below": 2.0, "often": 7}}),
    ('--bound {"below":2}', {"bound": {"below": 2.0, "often": 3}}),
    ('--bound {"below":2} --bound.often=4', {"bound": {"below": 2.0, "often": 4}}),
    ("--left c", {"left": ["c"]}),
    ("--left c,d --left e", {"left": ["c", "d", "e"]}),
    ('--left ["c"]', {"left": ["c"]}),
    ("--part 0.5", {"part": 0.5}),
    ("--part.by=7", {"part": {"share": 0.25, "by": "7"}}),
    ("--part 0.5 --part.by=w", {"part": {"share": 0.5, "by": "w"}}),
    ("--optimizer.momentum=0.5", {"optimizer": {"name": "sgd", "momentum": 0.5}}),
    ("--optimizer adam --optimizer.beta1=0.5", {"optimizer": {"name": "adam", "beta1": 0.5}}),
    ("--optimizer.name adam", {"optimizer": {"name": "adam", "beta1": 0.9}}),
):
    words = ["train", str(folder / "t.toml"), *given.split(), "-o", str(folder / "out.msgpack")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    record = dataflow.load(folder / "out.msgpack").training
    stated = {"bound": {"above": 0.5, "often": 3}, "left": ["a", "b"], "part": {"share": 0.25, "by": "kind"}} | expected
    for name, value in stated.items():
        assert record[name] == value or (name == "optimizer" and value.items() <= record[name].items()), (given, record)
for given, text in (
    ("--bound.abov=2", "unknown key 'abov' in bound; did you mean 'above'"),
    ("--bound.above=x", "bound.above is a number, not 'x'"),
    ("--bound 3", "'3' is no value; it takes a table of above"),
    ("--bound {", "'{' is no value"),
    ("--bound.often 1 --bound.often 2", "often is given twice"),
    ("--bound.often", "Option '--bound.often' requires an argument"),
    ("--boun.often=1", "unknown option '--boun.often'"),
    ("--part 2", "a share from 0 up to"),
    ("--part 0.5 --part 0.25", "two values; give one"),
    ("--left a,a", "left lists 'a' twice"),
    ("--left [", "no JSON list"),
):
    result = CliRunner().invoke(main, ["train", str(folder / "t.toml"), *given.split()])
    assert result.exit_code == 2 and text in result.output, (given, result.output)
for given, text in (("--bound.often=0", "bound.often is a whole number, 1 or more"),):
    result = CliRunner().invoke(main, ["train", str(folder / "t.toml"), *given.split()])
    assert result.exit_code == 2 and text in result.output, (given, result.output)

# The schema and the documentation.
sys.path.insert(0, str(folder / "tools"))
import make_docs

schema = json.loads(make_docs.schema())["$defs"]["train"]["properties"]
assert schema["warmth"] == {"description": "How warm training is.", "type": "number", "default": 0.5}
assert schema["patience"] == {"description": "How long training waits.", "type": "integer", "minimum": 1}
assert schema["left"]["uniqueItems"] and schema["left"]["default"] == []
above = {"description": "Above: a number.", "type": "number"}
assert schema["bound"]["properties"]["above"] == above
assert schema["bound"]["oneOf"] == [{"required": ["above"]}, {"required": ["below"]}]
assert schema["bound"]["properties"]["often"]["default"] == 3
assert schema["part"]["anyOf"][0]["exclusiveMaximum"] == 1 and schema["part"]["anyOf"][1]["required"] == ["share"]
assert "| `warmth` | a number | How warm training is. | `0.5` |" in make_docs.train_table()
"""


@pytest.mark.slow
def test_one_line_more_is_an_option_everywhere(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "dataflow", tmp_path / "dataflow")
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("benchmark", "fuzzing"))
    declaration = tmp_path / "dataflow" / "model" / "train_settings.py"
    text = declaration.read_text(encoding="utf-8")
    text = text.replace("    def __post_init__(", LINE, 1).replace("from dataflow.registry import registry\n", IMPORTS)
    declaration.write_text(text, encoding="utf-8")
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.svg", "*.png"))
    # Isolated from this checkout but for its plugins, which entry points name.
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", USES, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'plugins'}"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_what_every_file_holds_is_that_of_version_1() -> None:
    required = [name for name, option in FILE_OPTIONS.items() if option.required]
    assert required == ["optimizer", "epochs", "batch_size", "shuffle", "seed", "validation"]


def test_each_option_is_declared_whole() -> None:
    for name, option in options_of().items():
        assert option.help.endswith("."), name
        assert option.default is None or option.check(option.default) == option.default
    assert set(FILE_OPTIONS) == set(options_of(TrainSettings))
    only_for_runs = {"learning_rate", "backend", "threads", "memory_limit", "fresh_optimizer", "sync_every"}
    assert set(options_of(RunSettings)) - set(FILE_OPTIONS) == only_for_runs
    assert not {"epochs", "backend", "threads", "memory_limit"} & set(DECIDING_OPTIONS)


@pytest.mark.parametrize("name", sorted(options_of()))
def test_defaults_are_not_shared(name: str) -> None:
    first, second = getattr(RunSettings(), name), getattr(RunSettings(), name)
    assert first == second
    assert not isinstance(first, dict) or first is not second
