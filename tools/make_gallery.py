"""Draw the pictures of ``docs/gallery.md``: the page says which, each by the command that it shows.

``.venv/bin/python tools/make_gallery.py`` draws them into ``docs/gallery/`` and writes what the page repeats: each
model's own description, after ``<!-- models/NAME.toml -->``, and each picture's description as the text of its image.
``--check`` changes nothing, and exit status 1 says that something is out of date.

graphviz-pure lays all of them out, whatever Graphviz the machine has besides, so that the bytes are the same
everywhere.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import dataflow
from dataflow.cli import main as run_dataflow
from dataflow.draw.layout.engines import PURE

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "gallery"
OPTIONS = ("--engine", PURE, "--theme", "auto", "--quiet")
"""What is added to the commands of the page."""

_COMMAND = re.compile(r"^dataflow draw .* -o ([\w-]+\.svg)$", re.MULTILINE)
_IMAGE = re.compile(r"^!\[.*\]\(gallery/([\w-]+\.svg)\)$", re.MULTILINE)
_MODEL = re.compile(r"<!-- models/([\w-]+)\.toml -->\n.*?<!-- end -->", re.DOTALL)


def main() -> int:
    """Write what is out of date, or with ``--check`` only say what is."""
    page = PAGE.read_text(encoding="utf-8")
    drawn = dict(pictures(page))
    wanted = {PICTURES / name: content for name, content in drawn.items()}
    wanted[PAGE] = filled(page, drawn).encode()
    return update(wanted, PICTURES, "tools/make_gallery.py")


def update(wanted: dict[Path, bytes], folder: Path, tool: str) -> int:
    """Write the files whose content is another, and remove what else is in the folder; with ``--check`` only say so."""
    check = "--check" in sys.argv[1:]
    stray = [path for path in folder.iterdir() if path not in wanted] if folder.exists() else []
    stale = [path for path, content in wanted.items() if not path.exists() or path.read_bytes() != content]
    for path in stray if check else ():
        print(f"{path.relative_to(ROOT)} is drawn by no command of its page: run {tool}")
    for path in stale if check else ():
        print(f"{path.relative_to(ROOT)} is out of date: run {tool}")
    if check:
        return 1 if stray or stale else 0
    for path in stray:
        path.unlink()
        print(f"removed {path.relative_to(ROOT)}")
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(wanted[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


def pictures(page: str) -> Iterator[tuple[str, bytes]]:
    """What each command of the page draws, by the file's name."""
    with tempfile.TemporaryDirectory() as folder, chdir(ROOT):
        for match in _COMMAND.finditer(page):
            target = Path(folder) / match[1]
            words = shlex.split(match[0])[1:-1]
            run_dataflow([*words, str(target), *OPTIONS], standalone_mode=False)
            yield match[1], target.read_bytes()


def filled(page: str, drawn: dict[str, bytes]) -> str:
    """The page with the models' descriptions of themselves, and with the pictures' for those that cannot see them."""

    def model(match: re.Match[str]) -> str:
        doc = dataflow.load(ROOT / "models" / f"{match[1]}.toml").doc.strip()
        quoted = "\n".join(f"> {line}".rstrip() for line in escaped(doc).splitlines())
        return f"<!-- models/{match[1]}.toml -->\n\n{quoted}\n\n<!-- end -->"

    def image(match: re.Match[str]) -> str:
        return f"![{described(drawn[match[1]])}](gallery/{match[1]})" if match[1] in drawn else match[0]

    return _IMAGE.sub(image, _MODEL.sub(model, page))


def described(picture: bytes) -> str:
    """The description that an SVG file has of itself."""
    text = ET.fromstring(picture).findtext("{http://www.w3.org/2000/svg}desc") or ""
    return escaped(text).replace("[", r"\[").replace("]", r"\]")


def escaped(text: str) -> str:
    """Text in which Markdown finds no markup but `code`."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if i % 2 else re.sub(r"[\\*_<|]", r"\\\g<0>", part) for i, part in enumerate(parts))


if __name__ == "__main__":
    sys.exit(main())
