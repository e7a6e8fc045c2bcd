"""A model's parameters: drawn when they are first looked at, from the seed and each parameter's own name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, MutableMapping
from typing import Any

import numpy as np

from dataflow import registry
from dataflow.errors import DataError, DataflowError, GraphError, nearest
from dataflow.graph import PARAMETER, Graph
from dataflow.memory import no_room
from dataflow.shapes import format_shape


class Parameters(MutableMapping[str, np.ndarray]):
    """Name to array. Setting checks the shape and converts to the declared dtype; nothing can be deleted."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self._graph = graph
        self._seed = seed
        self._values: dict[str, np.ndarray] = {}

    @property
    def drawn(self) -> bool:
        """Whether every parameter has a value: literal, drawn, trained or set."""
        return all(name in self._values or self._graph.nodes[name]["value"] is not None for name in self)

    @property
    def seed(self) -> int:
        """What is drawn follows from this and from the parameter's name."""
        return self._seed

    def known(self, name: str) -> np.ndarray | None:
        """The parameter's array if it has one by now: literal, drawn, trained or set. Nothing is drawn for it."""
        value: np.ndarray | None = self._values.get(name)
        return self._graph.nodes[name]["value"] if value is None else value

    def redraw(self, seed: int) -> None:
        """Forget what was drawn, trained and set, and draw from another seed when next asked."""
        self._seed = seed
        self._values.clear()

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._values:
            if name not in self._graph or self._graph.nodes[name]["kind"] != PARAMETER:
                raise KeyError(f"there is no parameter '{name}'{nearest(str(name), self)}")
            self._values[name] = self._first_value(name)
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self._graph or self._graph.nodes[name]["kind"] != PARAMETER:
            raise GraphError(f"there is no parameter '{name}'{nearest(str(name), self)}")
        spec = self._graph.spec(name)
        try:
            array = np.array(value)
            if array.dtype.kind not in "fiu":
                raise TypeError
            array = array.astype(spec.dtype)
        except (ValueError, TypeError):
            raise DataError(f"parameter '{name}' takes an array of numbers", node=name) from None
        if array.shape != spec.shape:
            found, declared = format_shape(array.shape), format_shape(spec.shape)
            raise DataError(f"parameter '{name}' has the shape {declared}, not {found}", node=name)
        self._values[name] = array

    def __delitem__(self, name: str) -> None:
        raise GraphError(f"parameter '{name}' is part of the graph and cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._graph.names(PARAMETER))

    def __len__(self) -> int:
        return len(self._graph.names(PARAMETER))

    def __contains__(self, name: object) -> bool:
        return name in self._graph and self._graph.nodes[name]["kind"] == PARAMETER

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}: {format_shape(self._graph.nodes[name]['shape'])}" for name in self)
        return f"<parameters {shapes}>"

    def adopt(self, name: str, array: np.ndarray) -> None:
        """Let the parameter be this very array, which has its shape and dtype: a file's, or a part of a trainer's
        vector."""
        self._values[name] = array

    def _first_value(self, name: str) -> np.ndarray:
        data = self._graph.nodes[name]
        if data["value"] is not None:
            literal: np.ndarray = data["value"].copy()
            return literal
        digest = hashlib.sha256(name.encode()).digest()
        rng = np.random.default_rng(np.random.SeedSequence([self._seed, int.from_bytes(digest[:16], "little")]))
        given = dict(data["init"])
        try:
            drawn = registry.initializer(given.pop("name")).draw(rng, data["shape"], given)
        except DataflowError as error:
            raise error.at(node=name) from None
        except MemoryError:
            raise no_room(math.prod(data["shape"]) * data["dtype"].itemsize).at(node=name) from None
        return drawn.astype(data["dtype"])
