"""``dataflow draw`` for several models, with ``--check``, and for the marked path alone."""

from __future__ import annotations

import json

import pytest
from checkout import ROOT
from commands import invoke

import dataflow
from dataflow.errors import DataError, GraphError

XOR, WINE = (str(ROOT / "models" / f"{name}.toml") for name in ("xor", "wine"))


def test_each_model_has_a_picture_in_a_folder_that_is_made(tmp_path):
    done = invoke("draw", XOR, WINE, "--output-dir", tmp_path / "a" / "b", "--format", "mmd", "--json")
    assert done.exit_code == 0, done.output
    written = [tmp_path / "a" / "b" / f"{name}.mmd" for name in ("xor", "wine")]
    assert [picture["file"] for picture in json.loads(done.stdout)["pictures"]] == list(map(str, written))
    assert all(path.read_text(encoding="utf-8").startswith("%%") for path in written)
    assert invoke("draw", XOR, "-o", tmp_path / "c" / "xor.dot").exit_code == 0
    assert (tmp_path / "c" / "xor.dot").is_file()


def test_no_folder_is_made_for_a_model_that_cannot_be_read(tmp_path):
    assert invoke("draw", tmp_path / "none.toml", "-o", tmp_path / "c" / "none.svg").exit_code == 1
    assert not (tmp_path / "c").exists()
    (tmp_path / "file").write_text("")
    done = invoke("draw", XOR, "-o", tmp_path / "file" / "xor.dot")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)


def test_check_says_which_pictures_are_out_of_date(tmp_path):
    words = (XOR, WINE, "--output-dir", tmp_path, "--format", "dot")
    assert invoke("draw", *words).exit_code == 0
    done = invoke("draw", *words, "--check")
    assert (done.exit_code, done.stdout) == (0, "All 2 pictures are up to date.\n")
    (tmp_path / "wine.dot").write_text("digraph {}")
    done = invoke("draw", *words, "--check")
    assert done.exit_code == 1
    assert str(tmp_path / "wine.dot") in done.stderr
    assert "xor" not in done.stderr
    assert (tmp_path / "wine.dot").read_text() == "digraph {}"
    (tmp_path / "xor.dot").unlink()
    done = invoke("draw", *words, "--check", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["out_of_date"] == [str(tmp_path / f"{name}.dot") for name in ("xor", "wine")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((XOR,), "say where to write"),
        ((XOR, WINE, "-o", "a.svg"), "-o is for one model"),
        ((XOR, "--neurons", "--style", "lecture", "-o", "a.svg"), "take either --neurons or --style lecture"),
        ((XOR, "-o", "a.svg", "--output-dir", "a"), "take either -o or --output-dir"),
        ((XOR, WINE, "--frames-to", "a"), "--frames-to is for one model"),
        ((XOR, "--frames-to", "a", "--check"), "--check is for -o and --output-dir"),
        ((XOR, "-o", "a.svg", "--format", "png"), "--format goes with --output-dir"),
        ((XOR, "xor.msgpack", "--output-dir", "a"), "would both be drawn to"),
        ((XOR, "-o", "a.svg", "--only"), "--only goes with --wrt"),
    ],
)
def test_options_that_do_not_go_together(words, message):
    done = invoke("draw", *words)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_picture_replaces_no_model_that_is_read(tmp_path):
    model = tmp_path / "xor.dot"
    model.write_bytes((ROOT / "models" / "xor.toml").read_bytes())
    assert "is read by this command" in invoke("draw", model, "-o", model).stderr


@pytest.mark.parametrize("options", [{}, {"both": True}, {"backward": True}], ids=str)
def test_only_the_path_is_drawn(options):
    """What is on the path of W1 in x W1ᵀ + b1, relu, h W2ᵀ + b2, mse."""
    model = dataflow.load(XOR)
    picture = dataflow.draw(model, style="graph", wrt="W1", only=True, **options).picture
    forward, path = ["W1", "z", "h", "yhat", "loss"], [node.key for node in picture.nodes]
    backward = ["grad.loss.seed", "grad.yhat", "grad.h", "grad.z", "grad.W1"]
    expected = (forward if not options.get("backward") else []) + (backward if options else [])
    assert sorted(path) == sorted(expected)
    assert all(edge.mark for edge in picture.edges)
    assert {edge.source for edge in picture.edges} | {edge.target for edge in picture.edges} == set(path)


def test_only_the_path_is_drawn_in_the_lecture_style():
    picture = dataflow.draw(dataflow.load(XOR), style="lecture", both=True, wrt="W2", only=True).picture
    assert {node.key for node in picture.nodes} == {"W2", "yhat", "loss"}
    assert sorted((edge.source, edge.target) for edge in picture.edges) == sorted(
        [("W2", "yhat"), ("yhat", "loss"), ("loss", "yhat"), ("yhat", "W2")]
    )


def test_only_needs_a_path():
    model = dataflow.load(XOR)
    with pytest.raises(DataError, match="only goes with wrt"):
        dataflow.draw(model, only=True)
    with pytest.raises(GraphError, match="no path leads"):
        dataflow.draw(model, of="z", wrt="W2", only=True)
