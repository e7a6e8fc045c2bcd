"""Pages in a browser, for all tests of the viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Watched, chromium

from dataflow.viewer import view


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def opened(context: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the page of a model from disk; after the test, that it did nothing wrong is checked."""
    watched: list[Watched] = []

    def open_page(model: Any, address: str = "", size: tuple[int, int] = (1280, 800), **options: Any) -> Any:
        path = tmp_path / f"page{len(watched)}.html"
        view(model, **options).save(path)
        one = Watched(context, path.as_uri())
        watched.append(one)
        one.page.set_viewport_size({"width": size[0], "height": size[1]})
        one.page.goto(path.as_uri() + address)
        one.page.wait_for_selector("#stage svg")
        return one.page

    yield open_page
    for one in watched:
        one.page.wait_for_timeout(50)
        assert one.faults == []
        one.page.close()
