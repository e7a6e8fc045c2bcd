"""The guide as a site."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import make_site
import pytest
from checkout import ROOT


@pytest.mark.slow
def test_the_guide_is_a_site_whose_links_lead_somewhere_and_that_needs_no_network(tmp_path: Path) -> None:
    """Sphinx finds links that lead nowhere, and treats what it finds as errors."""
    assert make_site.make(tmp_path, sys.executable) == 0
    pages = {path.relative_to(tmp_path).as_posix(): path.read_text("utf-8") for path in tmp_path.rglob("*.html")}
    named = [path.relative_to(ROOT).with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert pages.keys() >= {"index.html", "README.html", "models/README.html", *named}
    for name, page in pages.items():
        loaded = re.findall(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="((?:https?:)?//[^"]*)"', page)
        assert not loaded, f"{name} loads {loaded[0]}"
    first = pages["docs/index.html"]
    assert all(f">{part}</span></p>" in first for part in ("Learn", "Use", "Extend", "Reference"))
