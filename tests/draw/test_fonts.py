"""A character that no font has is a warning that says what to do; SVG keeps text as text."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

import dataflow
from dataflow.draw.layout import fonts
from dataflow.draw.layout.engines import Engine, find_engine

NAME = "\u4e2d\u6587"


@pytest.fixture
def chinese():
    graph = dataflow.Graph("names")
    graph.node("f", dataflow.ops.relu(graph.input(NAME, ())))
    return dataflow.draw(dataflow.Model(graph, ["f"]))


def has_only(monkeypatch, *kinds):
    monkeypatch.setattr(fonts, "_fonts_with", lambda what, *_: what in kinds)
    monkeypatch.setattr(shutil, "which", lambda name, **_: name)


def test_a_missing_glyph_is_told(chinese, monkeypatch):
    has_only(monkeypatch, ":", ":charset=4e2d")
    (note,) = fonts.glyph_notes(Engine("dot", ("dot",)), chinese.source)
    assert "no installed font has \u6587" in note
    assert "\u4e2d" not in note
    assert "write SVG" in note
    assert "install a font" in note


def test_no_font_at_all_is_told(monkeypatch):
    has_only(monkeypatch)
    (note,) = fonts.glyph_notes(Engine("dot", ("dot",)), "x")
    assert "no font is installed" in note


@pytest.mark.skipif(shutil.which("fc-list") is None, reason="fontconfig is not installed")
def test_fonts_that_are_there_are_found():
    """As fontconfig itself lists them."""
    program = str(shutil.which("fc-list"))
    there = subprocess.run([program], capture_output=True, check=True).stdout
    assert fonts._fonts_with(":", program, tuple(sorted(os.environ.items()))) == bool(there)


def test_what_all_fonts_have_is_not_asked_for(monkeypatch):
    has_only(monkeypatch, ":")
    assert fonts.glyph_notes(Engine("dot", ("dot",)), "x\u00e9") == []


def test_the_engine_with_its_own_fonts_has_none_of_east_asia(chinese):
    chinese.engine = "graphviz-pure"
    assert any("graphviz-pure has no glyph for \u4e2d \u6587" in note for note in chinese.caveats("png"))
    assert chinese.caveats("svg") == []
    assert NAME in chinese.render("svg").decode()
    assert find_engine("png", "graphviz-pure").png_font is not None
