"""A model's parameters: drawn when they are first looked at, from the seed and each parameter's own name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import numpy as np

from dataflow.errors import DataError, DataflowError, GraphError, nearest
from dataflow.graph.graph import Graph
from dataflow.graph.node import PARAMETER
from dataflow.limits import hold, spend
from dataflow.registry import registry
from dataflow.shapes import format_shape, is_static, substitute
from dataflow.support.arrays import fixed, frozen
from dataflow.support.byte_sizes import no_room
from dataflow.support.conversion import EntryError, convert, to_array


class UnknownParameterError(GraphError, KeyError):
    """There is no parameter of that name."""


class Parameters(MutableMapping[str, np.ndarray]):
    """Name to array. Setting checks the shape and converts to the declared dtype; nothing can be deleted.

    The arrays are read-only and never change: ``parameters["W"] = array`` puts another in the place of the old one.
    What a trainer is changing is copied when it is asked for.
    """

    def __init__(self, graph: Graph, seed: int) -> None:
        self._graph = graph
        self._seed = seed
        self._values: dict[str, np.ndarray] = {}
        self.changes = 0
        """How often a parameter was given another array."""
        self.guard: Callable[[], None] | None = None
        """Where arrays lie in a file that may change under them: an error if it has."""

    def check_unchanged(self) -> None:
        """An error if the file in which arrays of the model lie has changed."""
        if self.guard is not None:
            self.guard()

    @property
    def drawn(self) -> bool:
        """Whether every parameter has a value: literal, drawn, trained or set."""
        return all(name in self._values or self._graph.node_of(name).value is not None for name in self)

    @property
    def seed(self) -> int:
        """What is drawn follows from this and from the parameter's name."""
        return self._seed

    def known(self, name: str) -> np.ndarray | None:
        """The parameter's array if it has one by now: literal, drawn, trained or set. Nothing is drawn for it."""
        self.check_unchanged()
        value: np.ndarray | None = self._values.get(name)
        return self._graph.node_of(name).value if value is None else value

    def redraw(self, seed: int) -> None:
        """Forget what was drawn, trained and set, and draw from another seed when next asked."""
        self._seed = seed
        self.changes += 1
        self._values.clear()

    def current(self, name: str) -> np.ndarray:
        """The parameter's own array, to compute with at once; it changes where a trainer is at work on it."""
        self.check_unchanged()
        if name not in self._values:
            self._check_name(name)
            self._values[name] = self._first_value(name)
        return self._values[name]

    def __getitem__(self, name: str) -> np.ndarray:
        self._check_name(name)
        return frozen(self.current(name))

    def __setitem__(self, name: str, value: Any) -> None:
        self._check_name(name)
        spec = self._graph.spec(name)
        array = np.array(self._converted(name, value))
        if array.shape != spec.shape:
            found, declared = format_shape(array.shape), format_shape(spec.shape)
            raise DataError(f"parameter '{name}' has the shape {declared}, not {found}", node=name)
        self.adopt(name, fixed(array))

    def __delitem__(self, name: str) -> None:
        raise GraphError(f"parameter '{name}' is part of the graph and cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._graph.names(PARAMETER))

    def __len__(self) -> int:
        return len(self._graph.names(PARAMETER))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._graph and self._graph.node_of(name).kind == PARAMETER

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}: {format_shape(self._graph.node_of(name).shape)}" for name in self)
        return f"<parameters {shapes}>"

    def forget(self, name: str) -> None:
        """Draw the parameter anew when next asked. A ``DataError`` if it was set or trained since it was drawn."""
        value = self._values.get(name)
        if value is not None and value.tobytes() != self._first_value(name).tobytes():
            shape = format_shape(value.shape)
            raise DataError(f"parameter '{name}' was set in the shape {shape}, which does not fit the data", node=name)
        self.changes += 1
        self._values.pop(name, None)

    def adopt(self, name: str, array: np.ndarray) -> None:
        """Let the parameter be this very array, which has its shape and dtype: a file's, or a part of a trainer's
        vector."""
        self.changes += 1
        self._values[name] = array

    def _check_name(self, name: object) -> None:
        if name not in self:
            raise UnknownParameterError(f"unknown parameter {name!r}{nearest(str(name), self)}")

    def _first_value(self, name: str) -> np.ndarray:
        node = self._graph.node_of(name)
        if node.value is not None:
            literal: np.ndarray = node.value
            return literal
        if not is_static(node.shape):
            shape = format_shape(node.shape)
            raise DataError(f"data decides the shape {shape} of parameter '{name}', and none was given yet", node=name)
        digest = hashlib.sha256(name.encode()).digest()
        count = math.prod(substitute(node.shape, {}))
        hold(count * node.dtype.itemsize, name)
        spend(count // 200, name)
        rng = np.random.default_rng(np.random.SeedSequence([self._seed, int.from_bytes(digest[:16], "little")]))
        given = dict(node.init or {})
        try:
            drawn = registry.initializer(given.pop("name")).draw(rng, node.shape, given)
        except DataflowError as error:
            raise error.at(node=name) from None
        except MemoryError:
            raise no_room(count * node.dtype.itemsize).at(node=name) from None
        return fixed(self._converted(name, drawn))

    def _converted(self, name: str, value: Any) -> np.ndarray:
        try:
            if to_array(value).dtype.kind == "b":
                raise EntryError("numbers are expected, not booleans")
            return convert(value, self._graph.node_of(name).dtype)
        except EntryError as error:
            raise error.named(name).at(node=name) from None
