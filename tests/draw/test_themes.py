"""One SVG that is as light or dark as the page around it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from checkout import ROOT

import dataflow
from dataflow.draw.picture.picture import Kind

SVG = "{http://www.w3.org/2000/svg}"
RULE = re.compile(r'#(\w+) (?::is\(\.node,\.sample\)\.(\w+) )?\[(fill|stroke)="([^"]+)"\]\{\3:([^}]+)\}')
MODELS = {
    "xor": {"style": "graph", "both": True, "values": True, "wrt": "W1", "example": 3},
    "xor lecture": {"both": True, "values": True, "wrt": "W1", "example": 3},
    "wine": {"style": "graph", "both": True, "direction": "right"},
    "deep": {"collapse": "residual"},
    "digits": {"max_nodes": 8},
}
"""Together they have every kind of node."""


def drawn(name: str, theme: str) -> dataflow.Drawing:
    model = dataflow.load(ROOT / "models" / f"{name.split(maxsplit=1)[0]}.toml")
    return dataflow.draw(model, theme=theme, engine="graphviz-pure", **MODELS[name])


def colours(root: ET.Element) -> list[tuple[str, str, str | None]]:
    """What each element has for fill and stroke, with the kind of the node that it stands in."""
    found = []

    def walk(element: ET.Element, kind: str | None) -> None:
        words = element.get("class", "").split()
        kind = words[1] if len(words) > 1 and words[0] in ("node", "sample") else kind
        found.extend((name, element.attrib[name], kind) for name in ("fill", "stroke") if name in element.attrib)
        for child in element:
            walk(child, kind)

    walk(root, None)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_the_rules_of_auto_give_the_colours_of_the_dark_theme(name):
    auto, dark = (ET.fromstring(drawn(name, theme).render("svg")) for theme in ("auto", "dark"))
    (style,) = auto.iter(f"{SVG}style")
    text = str(style.text)
    rules = RULE.findall(text)
    assert RULE.sub("", text) == "@media (prefers-color-scheme:dark){}"
    assert {root for root, *_ in rules} == {auto.get("id")}  # inside a page they are about nothing else
    general = {(attribute, light): dark for _, kind, attribute, light, dark in rules if not kind}
    special = {(attribute, light, kind): dark for _, kind, attribute, light, dark in rules if kind}
    shown = [
        special.get((attribute, light, kind), general.get((attribute, light), light))
        for attribute, light, kind in colours(auto)
    ]
    expected = [colour for _, colour, _ in colours(dark)]
    assert len(expected) > 20
    assert shown == expected


def test_all_kinds_are_looked_at():
    assert {node.kind for name in MODELS for node in drawn(name, "auto").picture.nodes} == set(Kind)


@pytest.mark.parametrize("form", ["png", "dot", "tikz", "mermaid"])
def test_in_other_formats_auto_is_light(form):
    assert drawn("xor", "auto").render(form) == drawn("xor", "light").render(form)


def test_pictures_of_other_themes_have_no_stylesheet():
    for theme in ("light", "dark"):
        assert b"<style" not in drawn("xor", theme).render("svg")
