"""Packages that take long to import: each process that runs tests reads all of them, but runs only some."""

from __future__ import annotations

import importlib
from typing import Any


class Later:
    """A module that is imported when something of it is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") or attribute == "_mock_name":  # asked by who looks around, such as pytest
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)
