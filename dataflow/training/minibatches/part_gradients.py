"""The gradient of a part of a minibatch, as a worker of a cluster computes it: from bytes, and without state."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.autodiff.training_graph import training_graph
from dataflow.backends.cluster import Part
from dataflow.errors import DataflowWarning, TrainingError
from dataflow.execution.program import PlanByShape
from dataflow.files.msgpack.binary import pack_model
from dataflow.files.msgpack.container import container_bytes, parse_container
from dataflow.files.msgpack.unpack import unpack_model
from dataflow.graph.node import INPUT, OP
from dataflow.limits import Limits
from dataflow.model.model import Model
from dataflow.operations.engine_ops import random_uniform
from dataflow.registry import registry
from dataflow.shapes import Size
from dataflow.support.version import installed_version
from dataflow.training.trained_parameters import trained_parameters

_UNLIMITED = Limits(structure=2**60, nodes=2**60)
"""The bytes were written by the run itself."""
_kept: dict[bytes, PartGradients] = {}
"""What was made of the last setup."""


def pack_setup(model: Model, **run: Any) -> tuple[bytes, dict[str, Any]]:
    """What ``compute`` needs besides data and parameters, and what ``missing`` takes."""
    bare = Model(model.graph, model.outputs, model.loss)
    bare.parameters = model.parameters
    packed = pack_model(bare, Path(), for_file=False)
    needs = {"version": installed_version(), "numpy": np.__version__, "ops": dict(packed.header["plugins"])}
    needs["backend"] = run["backend"]
    return container_bytes({"model": packed.header, "run": run}, packed.tensors, packed.version), needs


def missing(needs: Mapping[str, Any]) -> str | None:
    """What this process lacks to compute with a model, in words."""
    if (version := installed_version()) != needs["version"]:
        return f"dataflow {version}, not {needs['version']}"
    if np.__version__ != needs["numpy"]:
        return f"numpy {np.__version__}, not {needs['numpy']}"
    found = registry.registry()
    for name, owner in needs["ops"].items():
        if name.partition(":")[0] not in found.ops:
            return f"no op '{name}', which {owner} has"
    if needs["backend"] not in found.backends:
        return f"no backend '{needs['backend']}'"
    return None


def compute(
    setup: bytes, data: Mapping[str, np.ndarray], parameters: Sequence[np.ndarray], part: Part
) -> list[np.ndarray]:
    """The loss of a part and its gradients, in the order of the trained parameters."""
    digest = hashlib.sha256(setup).digest()
    if digest not in _kept:
        _kept.clear()
        _kept[digest] = PartGradients(setup)
    return _kept[digest](data, parameters, part)


class PartGradients:
    """``gradients(data, parameters, part)``, for one run."""

    def __init__(self, setup: bytes) -> None:
        with _UNLIMITED:
            container = parse_container(setup)
            model = unpack_model(container.header["model"], container.tensors, Path())
        run = container.header["run"]
        training = training_graph(model.graph, str(model.loss), run["seed"], frozen := set(run["frozen"]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataflowWarning)  # the run itself has warned
            trained = trained_parameters(model, training.graph, frozen, training.updates)
        graph = trained.gradient.graph
        outputs = [trained.gradient.of, *(trained.gradient.cotangents[name] for name in run["trained"])]
        needed = graph.needed_for(outputs)
        self._backend, self._split = registry.backend(run["backend"]), run["split"]
        self._drawn = drawn_nodes(graph, needed)
        self._minibatch = [name for name in [training.minibatch] if name in needed]
        self._inputs = [n for n in graph.names(INPUT) if n in needed and n not in self._minibatch]
        self._nodes = {name: graph.node_of(name) for name in self._drawn}
        arguments = [*self._inputs, *self._drawn, *self._minibatch, *run["read"]]
        threads = run["threads"] or 1
        self._runners = PlanByShape(
            graph,
            outputs,
            arguments,
            lambda plan: self._backend.prepare(plan, threads),
            memory_limit=run["memory_limit"],
        )

    def __call__(
        self, data: Mapping[str, np.ndarray], parameters: Sequence[np.ndarray], part: Part
    ) -> list[np.ndarray]:
        arrays = [data[name].take(part.rows, axis=0) if name in self._split else data[name] for name in self._inputs]
        arrays += [self._random(name, part) for name in self._drawn]
        arrays += [np.array(part.number) for _ in self._minibatch]
        arrays += parameters
        with self._backend.scope(), np.errstate(all="ignore"):
            return [np.asarray(result) for result in self._runners.get(arrays).run(arrays)]

    def _random(self, name: str, part: Part) -> np.ndarray:
        """The part's rows of what is drawn for the whole minibatch, so that it is the same however it is cut."""
        attributes = self._nodes[name].attributes
        shape = (part.size, *attributes["shape"][1:])
        whole = random_uniform(np.array(part.number), **{**attributes, "shape": shape})
        return np.asarray(whole)[part.start : part.start + len(part.rows)]


def drawn_nodes(graph: Any, needed: frozenset[str] | set[str]) -> list[str]:
    """The nodes of random numbers that have a row for each example. A ``TrainingError`` for one that has examples
    elsewhere than as its whole first axis."""
    drawn = []
    for name in graph.schedule():
        if name in needed and graph.node_of(name).kind == OP and graph.op_of(name) is random_uniform:
            sizes = graph.node_of(name).attributes["shape"]
            if any(isinstance(size, Size) for size in sizes[1:]) or (
                sizes and isinstance(sizes[0], Size) and not sizes[0].as_symbol
            ):
                raise TrainingError("random numbers whose examples are not the first axis cannot be shared", node=name)
            if sizes and isinstance(sizes[0], Size):
                drawn.append(name)
    return drawn
