"""Packages that are called like the function that they are named after."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def make_callable(package: str, function: Callable[..., Any]) -> None:
    """Let a package be called as ``function``, so that one name serves for both, whichever is imported first."""

    class CallablePackage(ModuleType):
        def __call__(self, *arguments: Any, **keywords: Any) -> Any:
            return function(*arguments, **keywords)

    sys.modules[package].__class__ = CallablePackage
