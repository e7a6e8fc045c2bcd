"""``dataflow diff``: what it prints, its JSON and exit status, and git with it as the driver of a real repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkout import MODELS
from click.testing import CliRunner, Result

import dataflow
from dataflow.cli.group import main

XOR = str(MODELS / "xor.toml")


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["diff", *map(str, words)])


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    model = dataflow.load(XOR)
    dataflow.train(model, epochs=3)
    dataflow.save(model, tmp_path / "trained.msgpack")
    return tmp_path / "trained.msgpack"


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    path = tmp_path / "changed.toml"
    path.write_text(Path(XOR).read_text(encoding="utf-8").replace("relu(z)", "tanh(z)"), encoding="utf-8")
    return path


def test_the_same(tmp_path: Path) -> None:
    dataflow.save(dataflow.load(XOR), tmp_path / "xor.msgpack")
    done = call(XOR, tmp_path / "xor.msgpack", "--exit-code")
    assert (done.exit_code, done.stdout) == (0, "The models are the same.\n")
    assert json.loads(call(XOR, XOR, "--json").stdout)["same"] is True


def test_what_differs_is_a_row(trained: Path, changed: Path) -> None:
    done = call(XOR, changed)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-2:] == ["node      A     B", "h     op  relu  tanh"]
    done = call(XOR, trained)
    for text in ("norm B − A", "W1  ", "learning_rate  none  0.1"):
        assert text in done.stdout
    assert "manifest" not in done.stdout


def test_json(trained: Path) -> None:
    found = json.loads(call(XOR, trained, "--data", _data(trained.parent), "--json").stdout)
    first, second = dataflow.load(XOR), dataflow.load(trained)
    difference = np.linalg.norm(second.parameters["W1"] - first.parameters["W1"])
    assert found["parameters"]["W1"]["difference"] == pytest.approx(difference, rel=1e-15)
    assert found["same"] is False
    assert found["training"]["epochs"] == [None, 3]
    results = found["results"]
    data = {"x": [[0, 1], [2, 3]], "y": [[1], [0]]}
    assert results["metrics"]["loss"] == [float(first.run(**data)["loss"]), float(second.run(**data)["loss"])]
    assert results["outputs"].keys() == {"yhat"}
    assert results["gradients"].keys() == {"W1", "b1", "W2", "b2"}


def _data(folder: Path) -> Path:
    (folder / "data.json").write_text('{"x": [[0, 1], [2, 3]], "y": [[1], [0]]}')
    return folder / "data.json"


def test_the_exit_status(changed: Path, tmp_path: Path) -> None:
    done = call(XOR, changed, "--exit-code")
    assert done.exit_code == 1
    assert done.stderr == f"Error: {XOR} and {changed} differ\n"
    for words in ((XOR,), (XOR, XOR, XOR), ("--git", XOR, XOR)):
        assert call(*words).exit_code == 2
    missing = call(XOR, tmp_path / "none.toml")
    assert missing.exit_code == 1
    assert missing.stderr.startswith(f"Error: {tmp_path / 'none.toml'}")
    assert missing.stderr.count("\n") == 1


def test_tables_are_cut_and_json_has_all(tmp_path: Path) -> None:
    graphs = []
    for shift in (0.0, 1.0):
        graph = dataflow.Graph("wide")
        total = graph.input("x", ())
        for i in range(50):
            total = graph.node(f"h{i}", total * shift)
        graphs.append(tmp_path / f"{shift}.msgpack")
        dataflow.save(dataflow.Model(graph, ["h49"]), graphs[-1])
    done = call(*graphs)
    assert "... and 10 more rows; --json has all" in done.stdout
    assert len(json.loads(call(*graphs, "--json").stdout)["changed"]) == 50


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_shows_what_differs_in_a_msgpack_model(tmp_path: Path) -> None:
    scripts = tmp_path / "bin"
    scripts.mkdir()
    (scripts / "dataflow").write_text(f'#!/bin/sh\nexec {sys.executable} -m dataflow "$@"\n')
    (scripts / "dataflow").chmod(0o755)
    folder = tmp_path / "repository"
    folder.mkdir()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "someone" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, cwd=folder, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    model = dataflow.load(XOR)
    git("init", "-q")
    # the two lines of docs/comparing.md
    git("config", "diff.dataflow.command", "dataflow diff --git")
    (folder / ".gitattributes").write_text("*.msgpack diff=dataflow\n")
    dataflow.save(model, folder / "net.msgpack")
    dataflow.save(dataflow.load(MODELS / "perspectives.toml"), folder / "gone.msgpack")
    (folder / "other.msgpack").write_bytes(b"\x80")
    git("add", ".")
    git("commit", "-qm", "first")
    assert git("diff") == ""
    model.parameters["b1"] = model.parameters["b1"] + 1
    dataflow.save(model, folder / "net.msgpack")
    (folder / "other.msgpack").write_bytes(b"\x81\xa1a\x01")
    shown = git("diff")
    assert "dataflow diff a/net.msgpack b/net.msgpack" in shown
    assert "b1         (2,)" in shown
    assert "W1" not in shown
    assert "a/other.msgpack b/other.msgpack\nexpected a dataflow msgpack file" in shown
    git("commit", "-qam", "second")
    assert "b1         (2,)" in git("show", "--ext-diff", "HEAD", "--", "net.msgpack")
    (folder / "gone.msgpack").unlink()
    dataflow.save(dataflow.load(MODELS / "jacobian.toml"), folder / "new.msgpack")
    model.parameters["b1"] = model.parameters["b1"] + 1
    dataflow.save(model, folder / "net.msgpack")
    git("mv", "net.msgpack", "moved.msgpack")
    git("add", "-A")
    shown = git("diff", "--cached", "--find-renames=20%")
    assert "dataflow diff a/gone.msgpack b/gone.msgpack\ndeleted: <model 'perspectives'" in shown
    assert "new: <model 'jacobian'" in shown
    assert "dataflow diff a/net.msgpack b/moved.msgpack\nA: a" in shown


def test_one_model_is_no_comparison() -> None:
    done = call(XOR)
    assert done.exit_code == 2
    assert "two models are compared, A and B; one was given" in done.output


WEIGHED = """\
dataflow = 2
name = "line"
inputs.x = { shape = ["n", 1] }
inputs.y = { shape = ["n", 1] }
parameters.W = { value = [[%s]] }
[nodes]
p = "x @ W"
loss = 'mse(p, y, reduction="mean")'
[model]
outputs = ["p"]
loss = "loss"
[data]
file = "t.csv"
columns = { x = "a", y = "b" }
weights = "w"
"""


@pytest.mark.parametrize("data", [[], ["--data", "later.csv"], ["--data", "-"]])
def test_results_are_those_of_weighed_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: list[str]
) -> None:
    """By hand: ½ Σ w (Wx − y)² / Σ w, and Σ w (Wx − y) x / Σ w; RMSE by the same weights."""
    monkeypatch.chdir(tmp_path)
    rows = np.array([[1, 2, 1], [2, 1, 0], [3, 5, 3.5]])
    text = "a,b,w\n" + "".join(f"{a},{b},{w}\n" for a, b, w in rows)
    for name, content in (("t.csv", text), ("later.csv", text), ("a.toml", WEIGHED % 1), ("b.toml", WEIGHED % 2)):
        (tmp_path / name).write_text(content)
    words = ["diff", "a.toml", "b.toml", "--json", *(data or ["--set", "W=[[1]]"])]
    done = CliRunner().invoke(main, words, input=text)
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)["results"]
    x, y, w = rows.T
    slopes = (1, 2) if data else (1, 1)
    errors = [slope * x - y for slope in slopes]
    assert results["metrics"]["loss"] == pytest.approx([w @ e**2 / 2 / w.sum() for e in errors], rel=1e-12)
    assert results["metrics"]["rmse"] == pytest.approx([np.sqrt(w @ e**2 / w.sum()) for e in errors], rel=1e-12)
    norms = [abs(w @ (e * x)) / w.sum() for e in errors]
    assert results["gradients"]["W"]["norms"] == pytest.approx(norms, rel=1e-12)


def test_without_a_terminal_lines_are_whole(tmp_path: Path) -> None:
    """A pipe has no width: a wide matrix is one line for each row, for programs that read it."""
    done = CliRunner().invoke(main, ["jacobian", str(MODELS / "digits.toml"), "--of", "loss", "--wrt", "b1"])
    assert done.exit_code == 0, done.output
    assert "loss" in done.stdout.splitlines()[-1]
    assert len(done.stdout.splitlines()[-1]) > 200
