"""Light and dark in a real browser: pictures and explanations follow the page that they stand in, not the system."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from browser import chromium
from checkout import ROOT

import dataflow
from dataflow.draw.picture.styles import DARK, LIGHT
from dataflow.sphinx import STYLESHEET

PAPER = {LIGHT.paper: "light", DARK.paper: "dark"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as context:
        yield context.new_page()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    model = dataflow.load(ROOT / "models" / "xor.toml")
    for theme in ("light", "dark", "auto"):
        dataflow.draw(model, theme=theme, engine="graphviz-pure").save(folder / f"{theme}.svg")
    return folder


def show(page: Any, folder: Path, html: str, system: str) -> None:
    file = folder / "page.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{html}", encoding="utf-8")
    page.emulate_media(color_scheme=system)
    page.goto(file.as_uri())


def paper(page: Any, selector: str) -> str:
    """Whether the picture's corner is light or dark."""
    pixels = matplotlib.image.imread(io.BytesIO(page.locator(selector).screenshot()))
    colour = "#" + "".join(f"{round(255 * part):02x}" for part in pixels[3, 3, :3])
    return PAPER[colour]


@pytest.mark.parametrize("system", ["light", "dark"])
def test_a_file_of_its_own_follows_the_system(page: Any, folder: Path, system: str) -> None:
    for theme, expected in {"light": "light", "dark": "dark", "auto": system}.items():
        page.emulate_media(color_scheme=system)
        page.goto((folder / f"{theme}.svg").as_uri())
        assert paper(page, "svg") == expected, theme


@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize("scheme", ["light", "dark", "light dark"])
def test_an_image_follows_its_page(page: Any, folder: Path, system: str, scheme: str) -> None:
    show(page, folder, f'<html style="color-scheme:{scheme}"><img src="auto.svg">', system)
    assert paper(page, "img") == (system if scheme == "light dark" else scheme)


@pytest.mark.parametrize("system", ["light", "dark"])
def test_a_part_of_a_page_leaves_other_parts_alone(page: Any, folder: Path, system: str) -> None:
    """Both pictures stand in the page itself, where a stylesheet of the one could reach into the other."""
    inline = "".join((folder / f"{theme}.svg").read_text("utf-8").partition("?>")[2] for theme in ("auto", "light"))
    show(page, folder, inline, system)
    assert paper(page, "svg >> nth=0") == system
    assert paper(page, "svg >> nth=1") == "light"


@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize(
    ("attribute", "expected"),
    [("", "light"), ('data-theme="light"', "light"), ('data-theme="dark"', "dark"), ('data-theme="auto"', "system")],
)
def test_the_stylesheet_for_sphinx_follows_what_its_themes_say(
    page: Any, folder: Path, system: str, attribute: str, expected: str
) -> None:
    style = f"<style>{STYLESHEET.read_text(encoding='utf-8')}</style>"
    show(page, folder, f'{style}<body {attribute}><img class="dataflow" src="auto.svg">', system)
    assert paper(page, "img") == (system if expected == "system" else expected)


COLOURS = """
[...document.querySelectorAll('.dataflow-explanation, .dataflow-explanation :not(style)')]
    .map(element => getComputedStyle(element).color)
"""


@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize(("ground", "ink"), [("#ffffff", "rgb(17, 17, 17)"), ("#111111", "rgb(238, 238, 238)")])
def test_an_explanation_is_written_in_the_ink_of_its_page(
    page: Any, folder: Path, system: str, ground: str, ink: str
) -> None:
    found = dataflow.explain(dataflow.load(ROOT / "models" / "xor.toml"), wrt="W1", example=3)
    html = found._repr_mimebundle_(include={"text/html"})["text/html"]
    show(page, folder, f'<body style="background:{ground};color:{ink}">{html}', system)
    colours = page.evaluate(COLOURS)
    assert len(colours) > 30
    assert set(colours) == {ink}
