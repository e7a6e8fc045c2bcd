"""The documentation is right: every example runs, every link leads somewhere, what is generated is up to date."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
import tomllib
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import pytest
from checkout import ROOT
from click.testing import CliRunner

import dataflow
from dataflow.cli.group import main
from dataflow.errors import ExpressionError, FileFormatError, NonFiniteError
from dataflow.expressions.parser import Silent, parse
from dataflow.files.toml.known_keys import KEYS
from dataflow.files.toml.read import loads_toml
from dataflow.metrics.compared import Compared
from dataflow.registry import registry

DOCS = sorted((ROOT / "docs").rglob("*.md"))
INSIDE = sorted(path for folder in ("dataflow", "plugins") for path in (ROOT / folder).rglob("README.md"))
PAGES = [
    *DOCS,
    *INSIDE,
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "models/README.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

FENCE = re.compile(r"^(```+)([\w-]*)\n(.*?)^\1$", re.DOTALL | re.MULTILINE)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return [content for _, found, content in FENCE.findall(read(name)) if found == language]


# ------------------------------------------------------------------------------------------------ generated parts


@pytest.fixture(scope="module")
def make_docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "tools" / "make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_generated_is_up_to_date(make_docs: ModuleType) -> None:
    for path, content in make_docs.pages().items():
        assert path.read_text(encoding="utf-8") == content, f"{path.name} is out of date: run tools/make_docs.py"


def test_every_generated_part_stands_in_one_page(make_docs: ModuleType) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in DOCS)
    assert sorted(re.findall(r"<!-- generated: ([\w-]+) -->", text)) == sorted(make_docs.PARTS)
    assert sorted(re.findall(r"<!-- end of ([\w-]+) -->", text)) == sorted(make_docs.PARTS)


def test_every_op_is_documented(make_docs: ModuleType) -> None:
    text = read("docs/ops.md")
    own = [op for op in dataflow.registry.all_ops().values() if make_docs.is_own("op", op.name)]
    assert len(own) >= 40
    for op in own:
        assert f"### {op.name}\n\n`{op.signature}`\n" in text


# ------------------------------------------------------------------------------------------------ pages


@pytest.mark.parametrize("name", NAMES)
def test_every_block_is_of_a_kind_that_is_tested(name: str) -> None:
    found = {language for _, language, _ in FENCE.findall(read(name))}
    # blocks without a language hold commands of a shell, which test_readme.py looks at; py is quoted from the source
    known = {"python", "py", "toml", "text"} if name.startswith("docs/") else {"python", "toml", ""}
    known |= {""} if name == "docs/commands.md" else set()
    assert found <= known
    assert "```" not in FENCE.sub("", read(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", read(name))):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors(there), f"{name} links to {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {
        "".join(c for c in heading.lower() if c in " -_" or unicodedata.category(c)[0] in "LN").replace(" ", "-")
        for heading in headings
    }


# ------------------------------------------------------------------------------------------------ python.md, format.md


PYTHON = {
    "docs/backends.md": 1,
    "docs/comparing.md": 1,
    "docs/documents.md": 1,
    "docs/fine_tuning.md": 1,
    "docs/metrics.md": 1,
    "docs/pictures.md": 1,
    "docs/profiling.md": 1,
    "docs/python.md": 8,
    "docs/scaling.md": 1,
    "docs/streams.md": 2,
    "docs/training.md": 2,
    "docs/view.md": 1,
}
"""The pages whose examples run one after another, and how many there are at least."""


@pytest.mark.parametrize("name", PYTHON)
def test_the_python_of_a_page_runs(name: str, checkout: Path) -> None:
    names: dict[str, object] = {}
    found = blocks(name, "python")
    assert len(found) >= PYTHON[name]
    for block in found:
        exec(compile(block, name, "exec"), names)  # noqa: S102 (the page's own code)


@pytest.mark.slow
def test_the_python_of_the_page_on_onnx_prints_what_it_says(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    names: dict[str, object] = {}
    for block in blocks("docs/onnx.md", "python"):
        exec(compile(block, "docs/onnx.md", "exec"), names)  # noqa: S102 (the page's own code)
    printed = "".join(block for block in blocks("docs/onnx.md", "text") if block.startswith("True"))
    assert capsys.readouterr().out.split() == printed.split()


PICTURE_COMMANDS = [line for block in blocks("docs/pictures.md", "text") for line in block.splitlines()]


def test_the_commands_of_the_page_on_pictures_are_right() -> None:
    """The options are there and take these values. The slow test below runs the commands."""
    assert len(PICTURE_COMMANDS) >= 4
    for command in PICTURE_COMMANDS:
        program, name, *words = shlex.split(command)
        assert program == "dataflow"
        subcommand = main.get_command(click.Context(main), name)
        assert subcommand is not None
        subcommand.make_context(name, words).close()


@pytest.mark.slow
def test_the_commands_of_the_page_on_pictures_run(checkout: Path) -> None:
    for command in PICTURE_COMMANDS:
        words = command.split()
        assert ("up to date" if "--check" in words else "Wrote ") in invoke(*shlex.split(command)[1:])
        (option,) = {"-o", "--frames-to", "--output-dir"} & {*words}
        target = checkout / words[words.index(option) + 1]
        files = list(target.iterdir()) if target.is_dir() else [target]
        assert all(file.stat().st_size > 1000 for file in files if file.suffix != ".json")
        assert files


def test_the_pages_with_python_are_all_tested() -> None:
    # tour.md in test_developer_docs.py, README.md in test_readme.py, tutorial.md and docs/lecture in test_lecture.py
    elsewhere = {
        "CONTRIBUTING.md",
        "docs/developer/tour.md",
        "docs/onnx.md",
        "docs/plugins.md",
        "docs/tutorial.md",
        "README.md",
    }
    elsewhere |= {"docs/examples/minilm.md", "docs/examples/shakespeare.md", "docs/real_models.md"}  # tests/models
    elsewhere |= {name for name in NAMES if name.startswith("docs/lecture/") and blocks(name, "python")}
    assert {name for name in NAMES if blocks(name, "python")} == elsewhere | PYTHON.keys()


def test_the_page_on_checking_shows_what_the_check_prints(checkout: Path) -> None:
    (model,), (shown,) = blocks("docs/checking.md", "toml"), blocks("docs/checking.md", "text")
    Path("threshold.toml").write_text(model, encoding="utf-8")
    assert f"\n{shown}\n" in invoke("check", "threshold.toml")


@pytest.mark.parametrize("number", range(5))
def test_the_models_of_the_specification_can_be_read(number: int, checkout: Path) -> None:
    found = blocks("docs/format.md", "toml")
    assert len(found) == 5
    loads_toml(found[number], str(checkout / "models" / "model.toml"))


def test_what_the_specification_says_of_calls() -> None:
    calls, repeated = (loads_toml(text) for text in blocks("docs/format.md", "toml") if "[blocks" in text)
    assert set(calls.parameters) == {"first.W", "first.b", "second.layer.W", "second.layer.b"}
    assert repeated.parameters["deep.4.up"].shape == (16, 8)


def test_the_specification_has_every_key() -> None:
    text = read("docs/format.md")
    for kind, keys in KEYS.items():
        for key in keys:
            assert f"`{key}`" in text or f"`[{key}]`" in text or f"`[{key}." in text, f"{key} of {kind}"


GRAMMATICAL = {
    "-x ** 2": ["power", "negative"],
    "2 ** -x": ["negative", "power"],
    "x ** y ** z": ["power", "power"],
    "-x @ y": ["negative", "matmul"],
    "x - y - z < 3": ["subtract", "subtract", "less"],
    "+x": [],
    "x.T[0, 1:, ::2, ..., newaxis, None,]": ["transpose", "index"],
    "[x, y, z,]": ["stack"],
    "sum(x, axis=(0, 1,), keepdims=true,)": ["sum"],
    "linear(x, y, None)": ["linear"],
    "(x < y) * (y < z)": ["less", "less", "multiply"],
    "f(x, a=-1.5, b='t', c=[1, (2,)], d=None, e=-inf, f=nan, g=())": ["f"],
    "1_000 + 0x1f + .5 + 1e-3": ["add", "add", "add"],
}
UNGRAMMATICAL = [
    "x < y < z",
    "x[y]",
    "x[]",
    "[]",
    "()",
    "x.shape",
    "x if y else z",
    "f(axis=x)",
    "f(axis=0, x)",
    "True",
    "'text'",
    "f('text')",
    "x, y",
    "1j",
    "x[1:2:3:4]",
    "lambda: x",
]


@pytest.mark.parametrize("text", GRAMMATICAL)
def test_what_the_grammar_lets_in(text: str) -> None:
    seen: list[str] = []

    class Seen:
        def __getattr__(self, kind: str):
            def act(*arguments: Any) -> None:
                if kind == "binary":
                    seen.append(arguments[0].name)
                elif kind == "call":
                    seen.append(str(arguments[0]))
                elif kind in ("negative", "transpose", "index", "stack"):
                    seen.append(kind)

            return act

    dataflow.expressions.build_nodes.parse(text, Seen())
    assert seen == GRAMMATICAL[text]


@pytest.mark.parametrize("text", UNGRAMMATICAL)
def test_what_the_grammar_keeps_out(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text, Silent())


# ------------------------------------------------------------------------------------------------ plugins


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The plugin of docs/plugins.md, registered beside what is installed; its block of tests runs when it is
    imported."""
    yield from registered(tmp_path, monkeypatch, "\n".join(blocks("docs/plugins.md", "python")))


def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Iterator[ModuleType]:
    file = tmp_path / "dataflow_documented.py"
    file.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("dataflow_documented", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "dataflow_documented", module)
    fresh = registry.Registry()
    registry.load_plugins(fresh)
    monkeypatch.setattr(registry, "_current", [fresh])
    spec.loader.exec_module(module)
    fresh.add(module, "the plugin of the documentation")
    yield module


def invoke(*words: str) -> str:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_plugin_s_ops(plugin: ModuleType) -> None:
    assert "relu with a rounded corner" in invoke("ops", "rounded_relu")
    assert re.search(r"rounded_relu +ok", invoke("ops", "rounded_relu", "--check"))
    model = loads_toml(
        'dataflow = 1\ninputs.x = { shape = [3] }\nnodes.y = "cumulated(rounded_relu(x, beta=2.0))"\n'
        'nodes.f = "sum(y)"\nmodel.loss = "f"\n'
    )
    y = model.run(x=[0.0, 0.0, 0.0])["y"]
    np.testing.assert_allclose(y, np.log(2) / 2 * np.array([1, 2, 3]), rtol=1e-12)
    np.testing.assert_allclose(model.gradients(wrt="x", x=[0.0, 0.0, 0.0])["x"], [1.5, 1.0, 0.5], rtol=1e-12)


def test_a_faulty_op_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(blocks("CONTRIBUTING.md", "python")).replace("(1 + exp(-beta * x))", "(2 + exp(-beta * x))")
    for _ in registered(tmp_path, monkeypatch, text):
        done = CliRunner().invoke(main, ["ops", "rounded_relu", "--check"])
        assert done.exit_code == 1
        assert (
            "Error: op 'rounded_relu' (the plugin of the documentation) is not right: vjp: the cotangent" in done.stderr
        )
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (2, 2)])
def test_the_plugin_s_initializer(plugin: ModuleType, shape: tuple[int, int]) -> None:
    graph = dataflow.Graph()
    graph.parameter("W", shape, init={"name": "orthogonal", "gain": 2})
    W = dataflow.Model(graph).parameters["W"]
    product = W @ W.T if shape[0] < shape[1] else W.T @ W
    np.testing.assert_allclose(product, 4 * np.eye(min(shape)), atol=1e-12)


def test_the_plugin_s_optimizer_and_schedule(plugin: ModuleType, checkout: Path) -> None:
    model = dataflow.load("models/xor.toml")
    schedule = {"name": "polynomial", "power": 1.0, "warmup": 3}
    history = dataflow.train(
        model, epochs=20, optimizer={"name": "adamax", "learning_rate": 0.01}, schedule=schedule, backend="llvm"
    )
    assert history.loss[-1] < history.loss[0]
    with pytest.raises(dataflow.OpError, match="decay lies from 0"):
        dataflow.train(model, epochs=1, optimizer={"name": "adamax", "decay": 1.0})
    with pytest.raises(dataflow.OpError, match="power is a number above 0"):
        dataflow.train(model, epochs=1, schedule={"name": "polynomial", "power": 0.0})
    rates = plugin.Polynomial(power=1.0, warmup=2).rates(0.5, np.arange(7), 6)
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.5, 0.375, 0.25, 0.125, 0.0])


def test_the_plugin_s_metric(plugin: ModuleType) -> None:
    compared = Compared("numbers", np.array([1.0, 2.0, 5.0]), np.array([1.0, 4.0, 4.0]))
    assert registry.metric("largest_error").measure(compared) == 2


def test_the_plugin_s_backend(plugin: ModuleType, checkout: Path) -> None:
    model = dataflow.load("models/digits.toml")
    (values, gradients), (expected, expected_gradients) = (
        model.compile(values=["loss"], gradients=["W1"], backend=backend)() for backend in ("careful", "numpy")
    )
    assert values["loss"] == pytest.approx(float(expected["loss"]), rel=1e-13)  # sums in another order
    np.testing.assert_allclose(gradients["W1"], expected_gradients["W1"], rtol=1e-10, atol=1e-12)
    exercise = dataflow.load("models/log-exercise.toml")
    with pytest.raises(NonFiniteError, match="not finite"):
        exercise.compile(values=exercise.outputs, backend="careful")(w=[-1, 2])


def test_the_plugin_s_file_format(plugin: ModuleType, checkout: Path) -> None:
    invoke("convert", "models/xor.toml", "xor.tomlz")
    assert dataflow.load("xor.tomlz").run()["loss"] == dataflow.load("models/xor.toml").run()["loss"]
    packed = Path("xor.tomlz").read_bytes()
    bomb = __import__("zlib").compress(bytes(plugin.LIMIT + 1))
    for content in (packed[:-9], b"", b"nothing", bomb):
        Path("broken.tomlz").write_bytes(content)
        with pytest.raises(FileFormatError, match="broken.tomlz"):
            dataflow.load("broken.tomlz")
    with pytest.raises(FileFormatError, match="no such file"):
        dataflow.load("missing.tomlz")


def test_the_plugin_s_command(plugin: ModuleType, checkout: Path) -> None:
    assert invoke("count", "models/xor.toml") == "9\n"
    assert "count" in invoke("--help")
    done = CliRunner().invoke(main, ["count", "missing.toml"])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: missing.toml: there is no such file")


def test_the_plugin_s_package() -> None:
    (text,) = blocks("docs/plugins.md", "toml")
    project = tomllib.loads(text)
    assert project["project"]["entry-points"]["dataflow"] == {"mine": "dataflow_mine"}
    assert project["project"]["dependencies"] == [tomllib.loads(read("pyproject.toml"))["project"]["name"]]


def test_the_plugin_of_contributing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = blocks("CONTRIBUTING.md", "python")
    for module in registered(tmp_path, monkeypatch, text):
        dataflow.testing.assert_op(module.rounded_relu)
        assert "relu with a rounded corner" in invoke("ops", "rounded_relu")
    (package,) = blocks("CONTRIBUTING.md", "toml")
    assert tomllib.loads(package)["project"]["entry-points"]["dataflow"] == {"mine": "dataflow_mine"}
