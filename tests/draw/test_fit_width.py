"""Pictures that fit a width, with texts that can be read there."""

from __future__ import annotations

import re
import struct

import pytest
from checkout import ROOT

import dataflow
from dataflow.draw import fit_width
from dataflow.errors import DataError
from dataflow.support.lengths import parse_length


def load(name):
    return dataflow.load(ROOT / "models" / f"{name}.toml")


def svg_width(drawing):
    return float(re.search(rb'<svg[^>]* width="([\d.]+)pt"', drawing.render("svg"))[1])


@pytest.mark.parametrize(
    ("text", "points"), [("830px", 622.5), ("72pt", 72), ("2.54cm", 72), ("25.4mm", 72), ("1in", 72), ("1.5 in", 108)]
)
def test_lengths_have_units(text, points):
    """A pixel of CSS is 1/96 of an inch, a point 1/72."""
    assert parse_length(text).points == pytest.approx(points)


@pytest.mark.parametrize("text", ["", "830", "8em", "-3cm", "0px", "px", "1e3px"])
def test_what_is_no_length_is_refused(text):
    with pytest.raises(DataError, match="is no length such as 830px"):
        dataflow.draw(load("xor"), width=text)


@pytest.mark.parametrize("options", [{"both": True, "style": "graph"}, {"both": True, "style": "lecture"}], ids=str)
def test_a_picture_is_no_wider_than_it_may_be(options):
    model = load("xor")
    natural = dataflow.draw(model, **options)
    narrow = dataflow.draw(model, **options, width="300px")
    assert svg_width(narrow) == pytest.approx(220, abs=5)
    assert svg_width(dataflow.draw(model, **options, width="60in")) == svg_width(natural)
    columns = struct.unpack(">I", narrow.render("png")[16:20])[0]
    assert columns == pytest.approx(295, abs=6)


@pytest.mark.parametrize(("name", "options"), [("deep", {}), ("digits", {"both": True})], ids=str)
def test_it_is_turned_and_broken_until_it_can_be_read(name, options):
    """The one by shorter lines of its expressions, the other from top to bottom."""
    model = load(name)
    assert dataflow.draw(model, **options, width="830px").smallest_text < 8
    readable = dataflow.draw(model, **options, width="830px", min_font="8")
    assert readable.smallest_text >= 8
    assert svg_width(readable) <= 623
    assert not any("smallest text" in note for note in readable.picture.notes)


def test_where_nothing_helps_it_is_said_what_to_do():
    drawing = dataflow.draw(load("xor"), both=True, style="lecture", width="60px", min_font="9pt")
    assert any("--collapse" in note and "larger --width" in note for note in drawing.picture.notes)
    with pytest.raises(DataError, match="min_font goes with width"):
        dataflow.draw(load("xor"), min_font="9")


def test_it_is_folded_where_that_makes_texts_larger(monkeypatch):
    model = load("deep")
    wide = dataflow.draw(model, both=True, style="graph", direction="down", width="830px")
    monkeypatch.setattr(fit_width, "FOLDS", ())
    folded = dataflow.draw(model, both=True, style="graph", direction="down", width="830px", min_font="9")
    assert len(folded.picture.nodes) < len(wide.picture.nodes)
    assert folded.smallest_text > wide.smallest_text
