"""Sizes of texts and boxes: the same on every machine, and large enough for the font that they are measured in."""

from __future__ import annotations

import string

import pytest
from checkout import MODELS

import dataflow
from dataflow.draw.layout.engines import engines, find_engine
from dataflow.draw.layout.layout import read_layout
from dataflow.draw.layout.text_metrics import EM, node_size, text_width
from dataflow.draw.picture.picture import Kind

GREEK = "αβγδεζηθικλμνξοπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"


def test_widths_are_those_of_the_font() -> None:
    """Held against matplotlib's reading of the font file that comes with it."""
    pytest.importorskip("matplotlib")
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font, LoadFlags

    font = FT2Font(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf")

    def advance(character: str) -> int:
        return font.load_char(ord(character), flags=LoadFlags.NO_SCALE).horiAdvance

    for character in string.ascii_letters + string.digits + string.punctuation + " ":
        assert text_width(character, EM) == advance(character)
    text = "∂loss/∂W⁽¹⁾ = (x.T @ ∂z).T"
    assert text_width(text, EM) >= sum(map(advance, text)) > 0.8 * text_width(text, EM)
    assert text_width(GREEK, EM) >= sum(map(advance, GREEK)) > 0.8 * text_width(GREEK, EM)


def test_a_text_is_as_wide_as_its_characters() -> None:
    assert text_width("ab", 12) == pytest.approx(12 * (1255 + 1300) / 2048)
    assert text_width("e\u0301", 12) == text_width("e", 12)
    assert text_width("語", 12) == 12
    assert text_width("", 12) == 0


@pytest.mark.parametrize("kind", Kind)
def test_a_node_holds_its_text(kind: Kind) -> None:
    for lines in ([], ["x"], ["x", "(n, 2) float64"], ["W" * 40] * 5):
        width, height = node_size(kind, lines)
        assert width > max((text_width(line, 12) for line in lines), default=0)
        assert height >= 14.4 * len(lines)


def test_every_engine_gives_the_same_boxes() -> None:
    model = dataflow.load(MODELS / "deep.toml")
    source = dataflow.draw(model, style="graph", both=True).source
    sizes = []
    for engine in engines():
        layout = read_layout(find_engine("json0", engine.name).run(source, "json0", 60))
        sizes.append({key: (p.width, p.height) for key, p in layout.nodes.items()})
    assert len(sizes[0]) > 20
    for other in sizes[1:]:
        assert other.keys() == sizes[0].keys()
        for key, size in sizes[0].items():
            assert other[key] == pytest.approx(size, abs=0.5), key  # Graphviz 2 rounds to whole points
