"""Run the commands of the tutorial and of the pages in ``docs/lecture/``, and put in what they print and draw.

A block that begins with ``dataflow`` holds commands, and a block of Python is run, too. An image below it is what they
draw; a block below it is what they print. ``<!-- from TEXT until TEXT -->`` between the two leaves out the lines before
the first that begins with the one text, and those from the first on that begins with the other; either may be left out.
A block after ``<!-- file: NAME -->`` is a file that is there before the commands run.

``.venv/bin/python tools/make_lecture.py`` writes both; ``--check`` changes nothing, and exit status 1 says that
something is out of date.

The commands of a page run one after another in a folder in which ``docs`` and ``models`` are those of the checkout.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path

from click.testing import CliRunner
from make_gallery import OPTIONS, ROOT, described, update

from dataflow.cli import main as run_dataflow

LECTURE = ROOT / "docs" / "lecture"
PICTURES = LECTURE / "pictures"
PAGES = [ROOT / "docs" / "tutorial.md", *sorted(LECTURE.glob("*.md"))]

RUN = re.compile(
    r"^```(?P<language>text\n(?=dataflow )|python\n)(?P<source>.*?)^```\n"
    r"(?:\n(?P<part><!--(?: from (?P<from>[^\n]+?))?(?: until (?P<until>[^\n]+?))? -->)\n)?"
    r"(?:\n```text\n(?!dataflow )(?P<printed>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"^<!-- file: (\S+) -->\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_IMAGE = re.compile(r"^!\[(.*)\]\(((?:lecture/)?pictures)/([\w-]+\.svg)\)$", re.MULTILINE)
_MATPLOTLIB = re.compile(rb"Matplotlib v[\d.]+")
"""Curves are drawn by matplotlib, whose next version may draw the same curve in other bytes."""


def main() -> int:
    """Write what is out of date, or with ``--check`` only say what is."""
    os.environ.pop("COLUMNS", None)  # lines are as wide as they are
    wanted: dict[Path, bytes] = {}
    for path in PAGES:
        page, drawn = made(path.read_text(encoding="utf-8"))
        wanted[path] = page.encode()
        wanted |= {PICTURES / name: _kept(PICTURES / name, content) for name, content in drawn.items()}
    return update(wanted, PICTURES, "tools/make_lecture.py")


def made(page: str) -> tuple[str, dict[str, bytes]]:
    """The page with what its commands print and the descriptions of their pictures; and these pictures."""
    pictures = {name for _, _, name in _IMAGE.findall(page)}
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for name in ("docs", "models"):
            Path(name).symlink_to(ROOT / name, target_is_directory=True)
        write_files(page)

        def ran(block: re.Match[str]) -> str:
            if block["language"] == "python\n":
                printed = printed_by(block["source"])
            else:
                printed = "".join(output(command, pictures) for command in block["source"].splitlines())
            text = f"```{block['language']}{block['source']}```\n"
            if block["part"]:
                text += f"\n{block['part']}\n"
                printed = part_of(printed, block["from"], block["until"])
            lines = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
            return text + (f"\n```text\n{lines}\n```\n" if lines else "")

        page = RUN.sub(ran, page)
        drawn = {name: Path(name).read_bytes() for name in sorted(pictures)}
    return _IMAGE.sub(lambda image: f"![{described(drawn[image[3]]) or image[1]}]({image[2]}/{image[3]})", page), drawn


def write_files(page: str) -> None:
    """Write the files that a page has, into the current folder."""
    for name, content in _FILE.findall(page):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content, encoding="utf-8")


def output(command: str, pictures: set[str]) -> str:
    """What a command prints, errors among it, but not that it wrote a picture which the page shows."""
    words = shlex.split(command)[1:]
    shown = words[-1] in pictures
    if shown and words[0] == "draw":
        words += OPTIONS
    done = CliRunner().invoke(run_dataflow, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if shown and done.exit_code:
        raise ValueError(f"{command}: {done.output}")
    return "" if shown else done.output


def part_of(printed: str, start: str | None, end: str | None) -> str:
    """The lines from the first that begins with ``start`` to the one before the first that begins with ``end``."""
    lines = printed.splitlines()
    if start is not None:
        lines = lines[next(i for i, line in enumerate(lines) if line.startswith(start)) :]
    if end is not None:
        lines = lines[: next(i for i, line in enumerate(lines) if line.startswith(end))]
    return "\n".join(lines)


def printed_by(source: str) -> str:
    """What the Python of a page prints."""
    with redirect_stdout(StringIO()) as printed:
        exec(compile(source, "a page of docs/lecture", "exec"), {})  # noqa: S102 (the page's own code)
    return printed.getvalue()


def _kept(path: Path, content: bytes) -> bytes:
    """The committed curve, if another version of matplotlib drew it."""
    version = _MATPLOTLIB.search(content)
    if version is None or not path.exists():
        return content
    committed = path.read_bytes()
    return content if version[0] in committed else committed


if __name__ == "__main__":
    sys.exit(main())
