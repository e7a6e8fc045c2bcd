"""Python's garbage collector, stopped where many containers are made and none of them is garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

LARGE = 10_000
"""From so many nodes on, what was made of a graph stays long enough to count as old."""


@contextmanager
def collector_paused(*, stays: bool = False) -> Iterator[None]:
    """For imports, large graphs, plans and headers: the collector would look through all of it again and again, find no
    circle, and take half the time. With ``stays``, what was made counts as old afterwards, and is not looked through
    at once."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if stays and not gc.get_freeze_count():  # else a program has objects of its own there
                gc.freeze()
                gc.unfreeze()  # moves all objects to the oldest generation
            gc.enable()
