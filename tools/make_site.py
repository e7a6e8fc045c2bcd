"""Make the guide, a site of all pages that ``docs/index.md`` leads to.

``python3 tools/make_site.py [FOLDER]`` installs what it needs and makes it in ``build/site`` unless told otherwise;
``index.html`` there is the first page. The site loads nothing from any network. A link to a page, a place in it or a
file that is not there is an error, and so is a page of ``docs/`` that no other leads to.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from environment import ROOT, guarded, ready, run

FIRST = Path("docs/index.md")
SETTINGS = {
    "project": "dataflow",
    "extensions": "myst_parser",
    "root_doc": FIRST.with_suffix("").as_posix(),
    "html_theme": "furo",
    "html_title": "dataflow",
    "html_copy_source": "0",
    "myst_heading_anchors": "4",
}
PARTS = re.compile(r"^## (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(<?([^)\s>#]+)[^)]*\)")
FENCE = re.compile(r"^(```+|~~~+).*?^\1", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Make the site with the project's own environment."""
    if len(sys.argv) > 2 or sys.argv[-1].startswith("-"):
        sys.exit("usage: python tools/make_site.py [FOLDER]")
    return make(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site", ready("docs"))


def make(target: Path, python: str | Path) -> int:
    """Make the site with a Python that has Sphinx, and return Sphinx's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        pages = stage(source)
        if lost := sorted({path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md")} - pages):
            print(f"no page leads to {lost[0]}; name it in {FIRST}", file=sys.stderr)
            return 1
        options = [part for name, value in SETTINGS.items() for part in ("-D", f"{name}={value}")]
        status = run(python, "-m", "sphinx", "-q", "-W", "--keep-going", "-C", *options, source, target)
    if status == 0:
        (target / "index.html").write_text(
            f'<!doctype html><meta http-equiv="refresh" content="0; url={FIRST.with_suffix(".html").as_posix()}">\n',
            encoding="utf-8",
        )
        print(f"The guide is in {target / 'index.html'}.")
    return status


def stage(source: Path) -> set[Path]:
    """Copy the first page, what its links lead to, what theirs do, and so on. The pages' places in the checkout."""
    waiting, seen, pages = [FIRST], {FIRST}, set[Path]()
    while waiting:
        path = waiting.pop()
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".md":
            shutil.copyfile(ROOT / path, source / path)
            continue
        pages.add(path)
        text = (ROOT / path).read_text(encoding="utf-8")
        fresh = [target for target in links(path, text) if target not in seen]
        seen.update(fresh)
        waiting += fresh
        (source / path).write_text(text + contents(path, text, set(fresh)), encoding="utf-8")
    return pages


def links(page: Path, text: str) -> Iterator[Path]:
    """The files of the checkout that a page has links to, each once, in its order."""
    for target in dict.fromkeys(LINK.findall(FENCE.sub("", text))):
        place = (ROOT / page.parent / target).resolve()
        if ":" not in target and place.is_relative_to(ROOT) and place.is_file():
            yield place.relative_to(ROOT)


def contents(page: Path, text: str, fresh: set[Path]) -> str:
    """The table of contents to which the pages belong that this one leads to first, with a part for each heading of the
    first page."""
    parts = [("", text)]
    if page == FIRST:
        pieces = PARTS.split(text)
        parts = [("", pieces[0]), *zip(pieces[1::2], pieces[2::2], strict=True)]
    written = ""
    for title, part in parts:
        names = [
            f"/{target.with_suffix('')}" for target in links(page, part) if target in fresh and target.suffix == ".md"
        ]
        fresh = fresh - {Path(f"{name[1:]}.md") for name in names}
        if names:
            caption = [f":caption: {title}"] if title else []
            written += "\n".join(["", "", "```{toctree}", ":hidden:", *caption, "", *names, "```", ""])
    return written


if __name__ == "__main__":
    guarded(main)
