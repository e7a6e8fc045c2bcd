"""Pictures as files: endings, engines, limits, the command, notebooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkout import ROOT
from commands import invoke

import dataflow
from dataflow.draw.drawing import FORMATS, Drawing
from dataflow.draw.layout import engines
from dataflow.draw.layout.engines import Engine, find_engine
from dataflow.draw.layout.layout import read_layout
from dataflow.draw.picture.picture import Kind, Line, Picture, PictureNode, Role
from dataflow.errors import DataflowError, FileFormatError, GraphError, MissingExtraError

XOR = ROOT / "models" / "xor.toml"
STARTS = {
    ".svg": b"<?xml",
    ".png": b"\x89PNG",
    ".pdf": b"%PDF",
    ".gif": b"GIF89a",
    ".dot": b"digraph picture",
    ".gv": b"digraph picture",
    ".tex": b"\\documentclass",
    ".mmd": b"%%{init:",
}
PLAIN = [ending for ending in STARTS if ending not in (".pdf", ".gif")]


@pytest.fixture
def xor():
    return dataflow.load(XOR)


def has_pdf() -> bool:
    return any("pdf" in engine.formats for engine in engines.engines())


def only_pure(monkeypatch) -> None:
    pure = find_engine("svg", "graphviz-pure")
    monkeypatch.setattr(engines, "engines", lambda: iter([pure]))


def test_there_is_a_file_for_every_ending():
    assert set(STARTS) == set(FORMATS)


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_layouts")
def test_files_are_the_same_bytes_each_time(tmp_path):
    """In processes that hash differently, too."""
    code = (
        "import sys\n"
        "from dataflow.cli.group import main\n"
        "for target in sys.argv[2:]:\n"
        "    words = ['draw', sys.argv[1], '--both', '--wrt', 'W1', '--values', '-o', target]\n"
        "    main(words, standalone_mode=False)\n"
    )
    for seed in "01":
        command = [sys.executable, "-c", code, XOR, *(tmp_path / f"{seed}{ending}" for ending in PLAIN)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed})
    for ending in PLAIN:
        first, second = ((tmp_path / f"{seed}{ending}").read_bytes() for seed in "01")
        assert first.startswith(STARTS[ending])
        assert first == second, ending


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_layouts")
def test_pdf_is_the_same_bytes_each_time(tmp_path, xor):
    if not has_pdf():
        pytest.skip("no engine for PDF")
    found = []
    for seconds in (0, 1.1):
        time.sleep(seconds)
        dataflow.draw(xor).save(tmp_path / "a.pdf")
        found.append((tmp_path / "a.pdf").read_bytes())
    assert found[0].startswith(b"%PDF")
    assert found[0] == found[1]


def test_an_unknown_ending_lists_those_that_are_known(tmp_path, xor):
    for name, found in ("a.jpg", "files ending in '.jpg'"), ("a", "without an ending"):
        with pytest.raises(
            FileFormatError, match=r"choose \.svg, \.png, \.pdf, \.gif, \.dot, \.gv, \.tex, \.mmd"
        ) as caught:
            dataflow.draw(xor).save(tmp_path / name)
        assert found in str(caught.value)
    with pytest.raises(FileFormatError, match="available: svg, png"):
        dataflow.draw(xor).render("jpg")


def test_a_folder_that_is_not_there(tmp_path, xor):
    with pytest.raises(FileFormatError, match="there is no folder"):
        dataflow.draw(xor).save(tmp_path / "none" / "a.svg")


def test_endings_may_be_in_capitals(tmp_path, xor):
    dataflow.draw(xor).save(tmp_path / "a.SVG")
    assert (tmp_path / "a.SVG").read_bytes().startswith(b"<?xml")


# ------------------------------------------------------------------------------------------------ engines


def test_without_an_engine_the_dot_file_is_written(tmp_path, monkeypatch, xor):
    monkeypatch.setattr(engines, "engines", lambda: iter(()))
    for ending, form in (".svg", "SVG"), (".pdf", "PDF"), (".png", "PNG"):
        with pytest.raises(MissingExtraError, match=f"writes {form} is installed; install Graphviz") as caught:
            dataflow.draw(xor).save(tmp_path / f"a{ending}")
        assert str(tmp_path / "a.dot") in str(caught.value)
        assert (tmp_path / "a.dot").read_text(encoding="utf-8").startswith("digraph picture")
    dataflow.draw(xor).save(tmp_path / "a.mmd")


def test_pdf_without_an_engine_for_it(tmp_path, monkeypatch):
    only_pure(monkeypatch)
    done = invoke("draw", XOR, "-o", tmp_path / "a.pdf")
    assert done.exit_code == 1
    assert "dataflow-autodiff[render]" in done.output
    assert (tmp_path / "a.dot").exists()
    assert len(done.output.strip().split("\n")) == 1


def test_engines_are_tried_in_order(monkeypatch):
    from graphviz.backend import dot_command

    chosen = find_engine("svg", "graphviz-pure").command[0]
    monkeypatch.setattr(engines.shutil, "which", lambda name, path=None: "/bin/dot" if name == "dot" else chosen)
    monkeypatch.setattr(engines, "why_unusable", lambda: "")
    monkeypatch.setattr(dot_command, "DOT_BINARY", Path("mine"))
    assert [engine.name for engine in engines.engines()] == [*("graphviz-pure", "dot", "pygraphviz", "graphviz-pure")]
    monkeypatch.setattr(dot_command, "DOT_BINARY", Path("dot"))
    assert [engine.name for engine in engines.engines()] == ["dot", "pygraphviz", "graphviz-pure"]
    assert find_engine("pdf").name == "dot"


def test_an_engine_that_is_not_there(xor, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        with pytest.raises(
            MissingExtraError, match="^dot is not on the PATH; install Graphviz, or take another --engine"
        ):
            dataflow.draw(xor, engine="dot").render("svg")
    with pytest.raises(MissingExtraError, match="unknown layout engine 'neat'; choose 'dot'"):
        dataflow.draw(xor, engine="neat").render("svg")
    with pytest.raises(MissingExtraError, match="graphviz-pure writes no PDF"):
        dataflow.draw(xor, engine="graphviz-pure").render("pdf")


def test_pygraphviz_without_a_library_that_it_needs(tmp_path, xor, monkeypatch):
    """An engine that is installed and cannot be imported is passed over, and says why where it is asked for."""
    (tmp_path / "pygraphviz.py").write_text("raise ImportError('libcairo.so.2: no such file')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pygraphviz", raising=False)
    engines.why_unusable.cache_clear()
    try:
        assert "pygraphviz" not in [engine.name for engine in engines.engines()]
        with pytest.raises(MissingExtraError, match=r"^pygraphviz is installed, .* here: libcairo.so.2: no such file$"):
            dataflow.draw(xor, engine="pygraphviz").render("svg")
    finally:
        engines.why_unusable.cache_clear()


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "engine"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_layout_is_stopped_at_its_time_limit(tmp_path, xor):
    engine = script(tmp_path, "exec sleep 20")
    start = time.perf_counter()
    with pytest.raises(GraphError, match=r"more than 0\.2 s and was stopped; fold it with --collapse"):
        dataflow.draw(xor, engine=engine, time_limit=0.2).save(tmp_path / "a.svg")
    assert time.perf_counter() - start < 5
    assert not (tmp_path / "a.svg").exists()


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo broken >&2; exit 3", "failed: broken"),
        ("echo first; seq 1 500; echo last >&2; exit 3", "failed: last$"),
        ("(echo first; seq 1 500; echo last) >&2; exit 3", "failed: first 1 2 .* 500 last$"),
        ("exit 0", "failed: status 0"),
        ("echo '<svg'", "cannot be read"),
    ],
)
def test_an_engine_that_fails(tmp_path, xor, text, words):
    with pytest.raises(DataflowError, match=words):
        dataflow.draw(xor, engine=script(tmp_path, f"cat > /dev/null; {text}")).render("svg")


def test_a_layout_that_is_none():
    for text in b"", b"[]", b"{}", b'{"bb": "x"}', b'{"bb": "0,0,1,1", "objects": [{"id": "node-1"}]}':
        with pytest.raises(DataflowError, match="cannot be read"):
            read_layout(text)


def test_pygraphviz_if_it_is_there(tmp_path, xor):
    pytest.importorskip("pygraphviz")
    drawing = dataflow.draw(xor, style="graph", both=True, engine="pygraphviz")
    for ending in (".svg", ".png", ".pdf"):
        drawing.save(tmp_path / f"a{ending}")
        assert (tmp_path / f"a{ending}").read_bytes().startswith(STARTS[ending])


def test_a_helper_that_cannot_run(monkeypatch):
    with pytest.raises(DataflowError, match="cannot be run"):
        Engine("none", ("/does/not/exist",)).run("digraph {}", "svg", 1)


def big_picture(count: int) -> Picture:
    nodes = tuple(PictureNode(f"n{i}", Kind.OP, (Line(Role.NAME, f"n{i}"),), (f"n{i}",)) for i in range(count))
    return Picture("big", "big", nodes, ())


def test_a_picture_that_is_too_large_says_how_to_fold_it(tmp_path):
    drawing = Drawing(big_picture(3001))
    with pytest.raises(GraphError, match=r"3,001 nodes, too many to lay out .* --collapse or a smaller --max-nodes"):
        drawing.save(tmp_path / "a.svg")
    drawing.save(tmp_path / "a.dot")
    drawing.save(tmp_path / "a.mmd")


def test_glyphs_that_a_png_would_lack_are_said(tmp_path, monkeypatch):
    only_pure(monkeypatch)
    node = PictureNode("a", Kind.OP, (Line(Role.NAME, "∇f"),), ("a",))
    drawing = Drawing(Picture("a", "a", (node,), ()))
    assert any("∇" in note for note in drawing.save(tmp_path / "a.png"))
    assert not drawing.save(tmp_path / "a.svg")


# ------------------------------------------------------------------------------------------------ the command


def test_the_command(tmp_path):
    target = tmp_path / "xor.svg"
    done = invoke("draw", XOR, "--style", "graph", "--both", "--values", "--example", 3, "-o", target)
    assert done.exit_code == 0, done.output
    assert done.output == f"Wrote 18 nodes and 22 edges of 'xor' to {target}.\n"
    assert "0.01125" in target.read_text(encoding="utf-8")
    done = invoke("draw", XOR, "--set", "x=[[0, 1]]", "--values", "-o", target, "--json")
    document = json.loads(done.stdout)
    assert document == {
        "file": str(target),
        "format": "svg",
        "nodes": 10,
        "edges": 9,
        "warnings": ["the model's own data for 'y', of shape [4, 1], does not fit --set and is left out"],
    }
    assert "not computed" in target.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["-o", "a.jpg"], 1, "choose .svg"),
        (["-o", "a.svg", "--wrt", "W3"], 1, "unknown node 'W3'"),
        (["-o", "a.svg", "--collapse", "layer"], 1, "unknown block or call 'layer'"),
        (["-o", "a.svg", "--both", "--backward"], 2, "either"),
        (["-o", "a.svg", "--max-nodes", "0"], 2, "x>=1"),
        (["-o", "a.svg", "--time-limit", "0"], 2, "x>0"),
        (["-o", "a.svg", "--theme", "blue"], 2, "light"),
        ([], 2, "say where to write"),
    ],
    ids=str,
)
def test_wrong_words(tmp_path, monkeypatch, words, status, message):
    monkeypatch.chdir(tmp_path)
    done = invoke("draw", XOR, *words)
    assert done.exit_code == status
    assert message in done.output
    assert "Traceback" not in done.output


def test_a_folded_picture_says_so(tmp_path):
    done = invoke("draw", ROOT / "models" / "deep.toml", "--no-repeats", "--max-nodes", 20, "-o", tmp_path / "a.svg")
    assert done.exit_code == 0
    assert "all blocks were collapsed" in done.output


# ------------------------------------------------------------------------------------------------ in Python


def test_notebooks_show_models_and_graphs(xor):
    for shown in xor, xor.graph, dataflow.draw(xor, backward=True):
        bundle = shown._repr_mimebundle_()
        assert bundle["image/svg+xml"].startswith("<?xml")
        assert bundle["text/plain"]


def test_notebooks_show_the_text_where_there_can_be_no_picture(monkeypatch, xor):
    monkeypatch.setattr(engines, "engines", lambda: iter(()))
    assert "image/svg+xml" not in xor._repr_mimebundle_()
    assert "is installed" in dataflow.draw(xor)._repr_mimebundle_()["text/plain"]
    assert dataflow.Graph("empty")._repr_mimebundle_()["text/plain"]


@pytest.mark.slow
def test_drawing_needs_no_package_until_it_lays_out():
    code = "import sys, dataflow; dataflow.draw(dataflow.load('models/xor.toml')); print('graphviz' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


def test_the_module_is_the_function(xor):
    assert dataflow.draw.draw(xor).source == dataflow.draw(xor).source
    assert repr(dataflow.draw(xor)) == "<picture 'xor: forward pass': 10 nodes, 9 edges>"
    assert isinstance(dataflow.draw(xor), dataflow.Drawing)
    assert dataflow.draw(xor.graph).source.startswith("digraph")
