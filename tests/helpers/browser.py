"""A headless Chromium for tests: skipped, with the reason, where there is none, unless one is demanded.

``DATAFLOW_BROWSER=required``, which ``.ci/run`` sets, makes a missing browser a failure. ``DATAFLOW_CHROMIUM`` names
another one than the first on the path.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """A browser context with an empty profile."""
    program = os.environ.get("DATAFLOW_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        missing("there is no Chromium on this machine; install it (Debian: apt-get install chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed; install dataflow-autodiff[test]")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=program, args=FLAGS, headless=True, viewport={"width": 1280, "height": 800}
        )
        context.set_default_timeout(20_000)
        yield context
        context.close()


def missing(reason: str) -> None:
    """Skip, or fail where the tests of the browser have to run."""
    if os.environ.get("DATAFLOW_BROWSER") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


class Watched:
    """A page, and everything that it should not have done: messages, errors, dialogs and requests to elsewhere."""

    def __init__(self, context: Any, origin: str) -> None:
        self.page = context.new_page()
        self.faults: list[str] = []
        self.page.on("console", lambda message: self.faults.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self._request(request.url, origin))

    def _request(self, url: str, origin: str) -> None:
        if not url.startswith(origin):
            self.faults.append(f"request: {url}")
