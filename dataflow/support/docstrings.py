"""Docstrings, which a Python that was started with ``-OO`` does not keep."""

from __future__ import annotations

import inspect
import sys
from typing import Any

NO_DOCS = "No documentation: Python drops it with -OO and PYTHONOPTIMIZE=2."


def doc_of(thing: Any) -> str:
    """The docstring without its indentation; where Python dropped all of them, that it did."""
    doc = getattr(thing, "__doc__", None)
    if not doc and sys.flags.optimize >= 2:
        return NO_DOCS
    return inspect.cleandoc(doc or "")
