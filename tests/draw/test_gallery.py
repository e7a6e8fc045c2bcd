"""The gallery shows every model, and no committed picture or description is out of date."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from checkout import ROOT

PAGE = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line) for line in re.findall(r"^dataflow draw .*$", PAGE, re.MULTILINE)]
IMAGES = re.findall(r"^!\[(.*)\]\(gallery/([\w-]+\.svg)\)$", PAGE, re.MULTILINE)
MODELS = sorted(path.stem for path in (ROOT / "models").glob("*.toml"))


def make_gallery(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "tools" / "make_gallery.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root.parent)


def test_the_gallery_is_up_to_date():
    done = make_gallery(ROOT, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout


@pytest.fixture
def checkout(tmp_path):
    for name in ("docs", "models", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.slow
def test_what_is_out_of_date_is_said_and_mended(checkout):
    gallery, page = checkout / "docs" / "gallery", checkout / "docs" / "gallery.md"
    (gallery / "xor.svg").write_bytes((gallery / "xor.svg").read_bytes().replace(b"relu", b"tanh"))
    (gallery / "deep.svg").unlink()
    (gallery / "old.svg").write_text("<svg/>", encoding="utf-8")
    model = checkout / "models" / "wine.toml"
    model.write_text(
        model.read_text(encoding="utf-8").replace("A regression on a real", "Another regression on a real"),
        encoding="utf-8",
    )
    said = make_gallery(checkout, "--check")
    assert said.returncode == 1
    assert {line.split()[0] for line in said.stdout.splitlines()} == {
        "docs/gallery/old.svg",
        "docs/gallery/xor.svg",
        "docs/gallery/deep.svg",
        "docs/gallery.md",
    }
    assert make_gallery(checkout).returncode == 0
    assert make_gallery(checkout, "--check").stdout == ""
    for picture in (ROOT / "docs" / "gallery").iterdir():
        assert (gallery / picture.name).read_bytes() == picture.read_bytes()
    assert page.read_text(encoding="utf-8") == PAGE.replace("A regression on a real", "Another regression on a real")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_shown_forward_and_backward(name):
    words = [set(command) for command in COMMANDS if f"models/{name}.toml" in command]
    assert any({"--both", "--backward"} & some for some in words)
    assert any("--backward" not in some for some in words)
    assert f"<!-- models/{name}.toml -->\n\n> " in PAGE


def test_every_command_has_its_picture_below_it():
    assert len(COMMANDS) >= 2 * len(MODELS)
    assert [command[-1] for command in COMMANDS] == [name for _, name in IMAGES]
    assert len({name for _, name in IMAGES}) == len(IMAGES)


@pytest.mark.parametrize(("text", "name"), IMAGES, ids=[name for _, name in IMAGES])
def test_a_picture_is_light_and_dark_and_described(text, name):
    content = (ROOT / "docs" / "gallery" / name).read_bytes()
    assert b"prefers-color-scheme:dark" in content
    assert text.startswith("A data-flow graph of ")
    assert len(list(ET.fromstring(content).iter())) > 20


@pytest.mark.parametrize("name", [name for _, name in IMAGES])
def test_every_text_can_be_read_on_a_page_of_830_pixels(name):
    """Sizes are in units of the view box, and a picture that is wider is shown smaller. A pixel of CSS is 3/4 point."""
    root = ET.parse(ROOT / "docs" / "gallery" / name).getroot()
    width = float(root.get("viewBox", "").split()[2])
    shown = min(830, float(root.get("width", "").removesuffix("pt")) / 0.75)
    texts = [text for text in root.iter("{http://www.w3.org/2000/svg}text") if "".join(text.itertext()).strip()]
    assert len(texts) > 5
    assert min(float(text.get("font-size", "nan")) for text in texts) * shown / width >= 9


def test_the_pictures_stay_small():
    assert sum(path.stat().st_size for path in (ROOT / "docs" / "gallery").iterdir()) < 700_000


def test_the_numbers_of_a_picture():
    """At (1, 1), by hand: yhat = 0.7·2.1 − 1.3·1.4 + 0.2 = −0.15, loss = ½·0.15², ∂loss/∂h = −0.15·[0.7, −1.3]."""
    root = ET.parse(ROOT / "docs" / "gallery" / "xor-both.svg").getroot()
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"(2.1, 1.4)", "−0.15", "0.01125", "∂ŷ/∂h = (0.7, −1.3)"} <= texts
