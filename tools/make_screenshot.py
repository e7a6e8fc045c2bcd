"""Take the picture of ``docs/view.md``: the page on ``models/xor.toml``, in a headless Chromium.

``.venv/bin/python tools/make_screenshot.py``; Chromium has to be installed (Debian: ``apt-get install chromium``). The
bytes depend on the browser and the fonts of the machine, so nothing checks that they are up to date.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import dataflow

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from browser import chromium  # noqa: E402 (its folder is not on the path)

STEP = "#step=8&example=3&wrt=W1"


def main() -> None:
    """Write ``docs/view.png``."""
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder) / "profile") as context:
        path = Path(folder) / "xor.html"
        dataflow.view(dataflow.load(ROOT / "models" / "xor.toml")).save(path)
        page = context.new_page()
        page.set_viewport_size({"width": 1200, "height": 720})
        page.goto(path.as_uri() + STEP)
        page.hover("#step [data-made=factor] tr.bottom td.right")
        page.wait_for_timeout(500)
        page.screenshot(path=ROOT / "docs" / "view.png")
    print("wrote docs/view.png")


if __name__ == "__main__":
    main()
