"""What an initializer is: a rule that draws a parameter's first value."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dataflow.errors import OpError, PluginError
from dataflow.operations import attributes as attribute_module
from dataflow.registry.registry import declare_kind
from dataflow.support.arguments import checked, describe
from dataflow.support.docstrings import doc_of


class Initializer:
    """A rule that draws a parameter's first value: ``function(rng, shape, **attributes)`` returns float64 of
    ``shape``."""

    def __init__(self, function: Callable[..., np.ndarray]) -> None:
        if not inspect.isfunction(function):
            raise PluginError(f"an initializer is declared by a function with def, not by {describe(function)}")
        self.function = function
        self.name = function.__name__.rstrip("_")
        self.doc = doc_of(function)
        self.module = function.__module__
        self.attributes = attribute_module.declared(function, f"initializer '{self.name}'")
        if not self.doc:
            raise PluginError(f"initializer '{self.name}' has no docstring")

    def __repr__(self) -> str:
        return f"<initializer {self.name}>"

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All attributes, checked, with defaults filled in."""
        return attribute_module.bind(self.attributes, given, f"initializer '{self.name}'")

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], given: Mapping[str, Any]) -> np.ndarray:
        """An array of ``shape``."""
        bound = self.bind(given)
        try:
            value = np.asarray(self.function(rng, shape, **bound))
        except (ValueError, TypeError, ArithmeticError) as error:  # such as a negative standard deviation
            raise OpError(f"initializer '{self.name}' cannot draw: {error}") from error
        if value.shape != shape:
            raise PluginError(f"initializer '{self.name}' gave the shape {value.shape} where {shape} was asked for")
        return value


@checked
def initializer(function: Callable[..., np.ndarray]) -> Initializer:
    """Declare an initializer: ``@initializer def zeros(rng, shape): ...``; attributes are keyword-only, with types."""
    return Initializer(function)


declare_kind("initializer", Initializer)
