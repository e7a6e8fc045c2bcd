"""The command line: what each command prints, its JSON, its exit status, and what wrong input gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import MODELS
from commands import invoke

import dataflow
from dataflow.cli.group import COMMANDS
from dataflow.model.digests import graph_digest
from dataflow.operations.op import Op

XOR = str(MODELS / "xor.toml")
JACOBIAN = str(MODELS / "jacobian.toml")


def document(*words: str) -> Any:
    done = invoke(*words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refused(*words: str, status: int = 1) -> str:
    done = invoke(*words)
    assert done.exit_code == status, done.output
    assert "Traceback" not in done.output
    if status == 1:
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    done = invoke(name, "--help")
    assert done.exit_code == 0
    assert f"dataflow {name} " in done.output
    assert "Example" in done.output


def test_run_prints_every_node_and_gradient() -> None:
    done = invoke("run", XOR)
    assert done.exit_code == 0
    for text in ("yhat", "z.matmul", "relu", "(4, 2)", "0.3863", "gradient of loss"):
        assert text in done.stdout


def test_run_json() -> None:
    found = document("run", XOR, "--json")
    assert found.keys() == {"values", "gradients", "loss", "warnings"}
    assert found["loss"] == pytest.approx(0.3863, rel=1e-12)
    assert np.shape(found["values"]["z"]) == (4, 2)
    assert np.shape(found["gradients"]["W1"]) == (2, 2)
    of = document("run", XOR, "--of", "yhat", "--wrt", "W1,x", "--json")
    assert of["gradients"].keys() == {"W1", "x"}
    one = document("run", XOR, "--example", "1", "--json")
    assert one["values"]["x"] == [[0.0, 1.0]]


def test_without_labels_the_loss_is_not_computed_and_never_zero() -> None:
    done = invoke("run", XOR, "--set", "x=[[1, 1]]")
    assert done.exit_code == 0
    assert "not computed" in done.stdout
    found = document("run", XOR, "--set", "x=[[1, 1]]", "--json")
    assert found["loss"] is None
    assert found["gradients"] == {}
    assert any("not" in note and "computed" in note for note in found["warnings"])


def test_numbers_that_are_not_finite_are_text_in_json_and_named() -> None:
    found = document("run", str(MODELS / "log-exercise.toml"), "--set", "w=[2, 0]", "--json")
    assert found["values"]["f"][0] == "inf"
    assert any("'f.divide'" in note for note in found["warnings"])


def test_a_gradient_without_a_path_is_zero_and_said() -> None:
    found = document("run", XOR, "--of", "h", "--wrt", "W2", "--json")
    assert found["gradients"]["W2"] == [[0.0, 0.0]]
    assert any("no path" in note for note in found["warnings"])


@pytest.mark.parametrize("ending", ["csv", "json", "npz"])
def test_output_files_have_a_row_for_each_example(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out.{ending}"
    assert invoke("run", XOR, "--output", str(path), "--quiet").exit_code == 0
    if ending == "csv":
        assert len(path.read_text().strip().split("\n")) == 5
    elif ending == "npz":
        assert np.load(path)["yhat"].shape[0] == 4
    else:
        assert path.read_text().startswith(("{", "["))


def test_jacobian() -> None:
    found = document("jacobian", str(MODELS / "jacobian.toml"), "--of", "f", "--wrt", "x", "--json")
    assert found["shape"] == [3, 2]
    np.testing.assert_allclose(found["jacobian"], [[2, 1], [0, np.pi], [-0.5, 0.75]], rtol=1e-12)
    found = document("jacobian", str(MODELS / "perspectives.toml"), "--of", "f", "--wrt", "b,a", "--json")
    np.testing.assert_allclose(found["jacobian"], [[0.5, 6]], rtol=1e-12)


def test_train_and_go_on_with_the_result(tmp_path: Path) -> None:
    trained = tmp_path / "trained.msgpack"
    found = document("train", XOR, "--epochs", "10", "-o", str(trained), "--json")
    assert found["epochs"] == 10
    assert found["loss"][9] == pytest.approx(0.117023863239782, rel=1e-12)
    assert document("run", str(trained), "--json")["loss"] == pytest.approx(0.117023863239782, rel=1e-12)
    done = invoke("train", XOR, "--epochs", "2", "--plot", str(tmp_path / "loss.png"))
    assert done.exit_code == 0
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert "not saved" in done.output


def test_train_resumes_from_a_checkpoint(tmp_path: Path) -> None:
    whole = document("train", XOR, "--epochs", "6", "--json")
    folder = str(tmp_path / "checkpoints")
    document("train", XOR, "--epochs", "3", "--checkpoint", folder, "--json")
    resumed = document("train", XOR, "--epochs", "6", "--checkpoint", folder, "--resume", "--json")
    assert resumed["loss"] == whole["loss"]
    assert resumed["parameters"] == whole["parameters"]


def test_check_compares_gradients() -> None:
    done = invoke("check", XOR)
    assert done.exit_code == 0
    assert "All gradients agree" in done.stdout
    assert graph_digest(dataflow.load(XOR)) in done.stdout
    assert invoke("check", XOR, "--json").exit_code == 0


def test_convert_keeps_what_it_cannot_make_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("train", XOR, "--epochs", "1", "-o", "trained.msgpack").exit_code == 0
    trained = Path("trained.msgpack").read_bytes()
    Path("mine.toml").write_bytes(Path(XOR).read_bytes() + b"# mine\n")
    Path("other.msgpack").write_bytes(trained[:-1])
    for target, why in (
        ("trained.msgpack", "holds the state of a training run"),
        ("mine.toml", "not written by convert"),
        ("other.msgpack", "cannot be read here"),
    ):
        kept = Path(target).read_bytes()
        result = invoke("convert", JACOBIAN, target)
        assert (result.exit_code, why in result.stderr, "--force" in result.stderr) == (1, True, True)
        assert Path(target).read_bytes() == kept
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    for source in (XOR, "trained.msgpack", JACOBIAN):  # what convert wrote is replaced, again and again
        for target in ("a.toml", "a.toml", "b.msgpack" if source != "trained.msgpack" else "a.toml"):
            assert invoke("convert", source, target).exit_code == 0
    Path("same.msgpack").write_bytes(trained)
    assert invoke("convert", "trained.msgpack", "same.msgpack").exit_code == 0
    assert invoke("convert", "--force", JACOBIAN, "mine.toml").exit_code == 0
    assert invoke("convert", "--force", XOR, "trained.msgpack").exit_code == 0


def test_convert_there_and_back(tmp_path: Path) -> None:
    assert invoke("convert", XOR, str(tmp_path / "x.msgpack")).exit_code == 0
    assert invoke("convert", str(tmp_path / "x.msgpack"), str(tmp_path / "x.toml")).exit_code == 0
    assert document("run", str(tmp_path / "x.toml"), "--json") == document("run", XOR, "--json")


def test_ops() -> None:
    done = invoke("ops")
    assert done.exit_code == 0
    assert "softmax_cross_entropy" in done.stdout
    assert "derivative at 0 is taken as 0" in invoke("ops", "relu").stdout
    assert invoke("ops", "--json").exit_code == 0


def test_gradients_in_every_mode() -> None:
    for words, end in (
        (["--of", "yhat"], ", with a cotangent of ones"),
        ([], ", with the cotangent 1"),
        (["--of", "yhat", "--tangent", "yhat=[[1], [0], [0], [0]]"], ""),
        (["--mode", "jvp", "--of", "yhat"], ", with a tangent of ones"),
        (["--mode", "hvp"], ", with a tangent of ones"),
        (["--mode", "jvp", "--tangent", "b1=[1, 0]"], ""),
        (["--mode", "hessian"], ""),
        (["--mode", "per-example"], ""),
    ):  # what was taken where none was given is said
        first = invoke("gradients", XOR, "--wrt", "b1", *words).stdout.splitlines()[0]
        assert first.endswith(f" with respect to b1{end}")
    per = document("gradients", XOR, "--mode", "per-example", "--wrt", "b1", "--json")
    whole = document("run", XOR, "--json")["gradients"]["b1"]
    np.testing.assert_allclose(np.sum(per["gradients"]["b1"], axis=0), whole, rtol=1e-12)
    hessian = document("gradients", XOR, "--mode", "hessian", "--wrt", "b1,b2", "--json")
    hvp = document("gradients", XOR, "--mode", "hvp", "--wrt", "b1,b2", "--tangent", "b1=[1, 0]", "--json")
    np.testing.assert_allclose(np.array(hessian["hessian"])[:2, 0], hvp["gradients"]["b1"], rtol=1e-12)
    jvp = document("gradients", XOR, "--mode", "jvp", "--of", "yhat", "--wrt", "b2", "--json")
    assert jvp["tangent"] == [[1.0]] * 4
    vjp = document("gradients", XOR, "--wrt", "W1", "--json")
    np.testing.assert_allclose(vjp["gradients"]["W1"], document("run", XOR, "--json")["gradients"]["W1"], rtol=1e-12)


def test_explain_in_every_form(tmp_path: Path) -> None:
    found = document("explain", XOR, "--wrt", "W1", "--example", "3", "--json")
    assert [factor["op"] for factor in found["paths"][0]["factors"]] == ["mse", "add", "relu", "add"]
    assert found["value"] == document("run", XOR, "--example", "3", "--json")["loss"]
    several = document("explain", XOR, "--of", "yhat", "--json")
    assert several["value"] == document("run", XOR, "--json")["values"]["yhat"]
    assert "Factor 4 of 4" in invoke("explain", XOR, "--wrt", "W1", "--step").stdout
    assert "27" in invoke("explain", XOR, "--example", "3").stdout
    for form, start in (("latex", "\\begingroup"), ("html", "<!doctype html>")):
        path = tmp_path / form
        assert invoke("explain", XOR, "--wrt", "W1", "--format", form, "--output", str(path)).exit_code == 0
        assert path.read_text().startswith(start)
    assert "align*" in invoke("explain", XOR, "--wrt", "b1", "--symbolic").stdout


BROKEN = [
    (["run", "nope.toml"], "there is no such file"),
    (["run", XOR, "--set", "q=3"], "unknown input 'q'"),
    (["run", XOR, "--set", "x=[[1, 2, 3]]"], "axis 1 should be 2"),
    (["run", XOR, "--set", 'x=[["a", 1]]'], "x"),
    (["run", XOR, "--example", "9"], "no example 9"),
    (["run", XOR, "--of", "lss"], "did you mean 'loss'"),
    (["run", XOR, "--wrt", "W9"], "W9"),
    (["run", XOR, "--data", "nope.csv"], "nope.csv"),
    (["run", XOR, "--output", "out.txt"], "out.txt"),
    (["run", XOR, "--backend", "nmpy"], "did you mean 'numpy'"),
    (["jacobian", XOR, "--of", "yhatt", "--wrt", "W1"], "did you mean 'yhat'"),
    (["train", XOR, "--optimizer", "adm"], "did you mean 'adam'"),
    (["train", str(MODELS / "jacobian.toml")], "no loss"),
    (["convert", XOR, "out.json"], "of no known format"),
    (["convert", XOR, "no-such-folder/x.msgpack"], "no folder"),
    (["ops", "matmull"], "did you mean 'matmul'"),
    (["explain", XOR, "--wrt", "W9"], "W9"),
    (["explain", XOR, "--wrt", "W1", "--order", "z"], "inner vertex"),
    (["explain", XOR, "--symbolic"], "--wrt"),
    (["gradients", XOR, "--mode", "hessian", "--tangent", "b1=[1]"], "takes no --tangent"),
    (["gradients", XOR, "--mode", "jvp", "--wrt", "b1", "--tangent", "b1=[1]"], "(2,)"),
]


@pytest.mark.parametrize(
    ("words", "message"), BROKEN, ids=[" ".join(words[:1] + words[2:])[:50] for words, _ in BROKEN]
)
def test_wrong_input_is_one_line(words: list[str], message: str) -> None:
    assert message in refused(*words)


@pytest.mark.parametrize("words", [["run"], ["frobnicate"], ["run", XOR, "--nope"], ["run", XOR, "--set", "x=[["]])
def test_wrong_usage_is_status_2(words: list[str]) -> None:
    refused(*words, status=2)


def test_a_training_that_overflows_names_the_node(tmp_path: Path) -> None:
    text = Path(XOR).read_text().replace("learning_rate = 0.1", "learning_rate = 1e9")
    (tmp_path / "wild.toml").write_text(text)
    message = refused("train", str(tmp_path / "wild.toml"), "-o", str(tmp_path / "kept.msgpack"))
    assert "node '" in message
    assert "smaller learning rate" in message


def test_the_process_itself(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text('dataflow = 1\n[nodes]\ny = "relu(q)"\n')
    done = subprocess.run(
        [sys.executable, "-m", "dataflow", "run", "broken.toml"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: broken.toml:3:11: ")
    assert "Traceback" in invoke("run", str(tmp_path / "broken.toml"), "--debug").stderr


def test_run_computes_each_node_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted where every op's kernel is called, forward and backward."""
    calls: list[str] = []
    plain = Op.compute

    def counted(op: Op, *arguments: Any, **keywords: Any) -> Any:
        calls.append(op.name)
        return plain(op, *arguments, **keywords)

    monkeypatch.setattr(Op, "compute", counted)
    assert invoke("run", str(MODELS / "xor.toml")).exit_code == 0
    assert calls.count("relu") == calls.count("mse") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "x.toml", "--epochs", "many"], "'many' is not a whole number"),
        (["draw", "x.toml", "--time-limit", "long"], "'long' is not a number"),
        (["new-plugin", "relu"], "take another name, such as my-relu"),
    ],
)
def test_wrong_words_are_told_in_plain_english(words, message):
    done = invoke(*words)
    assert done.exit_code in (1, 2)
    assert message in done.stderr


def test_what_is_built_in_is_listed_once():
    lines = invoke("plugins").stdout.splitlines()
    assert lines.count("  dataflow") == 1
    assert {"    backend: numpy", "    file formats: .toml, .msgpack"} <= set(lines)
