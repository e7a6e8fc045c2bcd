"""dataflow as a backend of ``onnx.backend``, by which onnx's own test suite runs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep

from dataflow.model.model import Model
from dataflow_onnx.call import UnknownValueError
from dataflow_onnx.load import build_model
from dataflow_onnx.narrow import NARROW
from dataflow_onnx.tensors import array_of, dtype_of
from dataflow_onnx.texts import numbered


class Prepared(BackendRep):  # type: ignore[misc]
    """A model that is ready to run. It is built anew for each call: inputs whose numbers decide shapes are taken as
    constants, with the values given."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._proto = proto
        self._vocabulary: list[str] = []

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        """The outputs for inputs in the order of the model's; a sequence is a list of arrays."""
        model, given = self.with_inputs(inputs)
        values: dict[str, Any] = {**(model.run(data=given) if given else model.run())}
        for name in filter(model.graph.has_texts, model.outputs):
            values[name] = np.array(self._vocabulary, object)[values[name]]
        sequences = model.graph.graph["onnx_sequences"]
        for name, parts in sequences.items():
            values[name] = [values[part] for part in parts]
        inside = {part for parts in sequences.values() for part in parts}
        arrays = iter([name for name in model.outputs if name not in inside])
        return tuple(
            values[entry.name]
            if entry.name in sequences
            else _handed_on(values[next(arrays)], entry.type.tensor_type.elem_type)
            for entry in self._proto.graph.output
        )

    def with_inputs(self, inputs: Any) -> tuple[Model, dict[str, np.ndarray]]:
        """The model for these inputs, and those that are no constants in it, by the names of their nodes."""
        initializers = {tensor.name for tensor in self._proto.graph.initializer}
        names = [entry.name for entry in self._proto.graph.input if entry.name not in initializers]
        arrays = {name: _array(entry) for name, entry in zip(names, inputs, strict=False)}
        model = _build(self._proto, arrays)
        originals = model.graph.graph["onnx_names"]
        given = {node: arrays[originals[node]] for node in model.graph.names("input")}
        texts = model.graph.classes
        places, self._vocabulary = numbered(
            {name: array for name, array in given.items() if name in texts},
            next((texts[name] for name in texts if model.graph.has_texts(name)), []),
        )
        return model, given | places


def _array(entry: Any) -> Any:
    """An input, which may be stored as in a file; a list of them, or nothing."""
    if isinstance(entry, list):
        return [_array(item) for item in entry]
    if entry is None:
        return None
    if isinstance(entry, onnx.TensorProto):
        return array_of(entry, None)
    array = np.asarray(entry)
    if array.dtype.isbuiltin == 2:  # numbers of ml_dtypes
        array = array.astype(dtype_of(onnx.helper.np_dtype_to_tensor_dtype(array.dtype)))
    return array


def _handed_on(value: Any, number: int) -> Any:
    """A result as an array of the type that ONNX says, where no array here has it."""
    if number not in NARROW:
        return value
    return value.astype(onnx.helper.tensor_dtype_to_np_dtype(number))


def _build(proto: onnx.ModelProto, arrays: dict[str, np.ndarray]) -> Model:
    types = {entry.name: entry.type.WhichOneof("value") for entry in proto.graph.input}
    known: dict[str, Any] = dict(arrays) if any(types[name] != "tensor_type" for name in arrays) else {}
    while True:
        try:
            return build_model(proto, known=known)
        except UnknownValueError as error:
            rest = arrays.keys() - known.keys()
            needed = _sources(proto, error.source) & rest
            if not needed:  # the name is one of a function's inside
                needed = {name for name in rest if arrays[name].dtype.kind != "f"}
            if not needed:
                raise
            known |= {name: arrays[name] for name in needed}


def _sources(proto: onnx.ModelProto, name: str) -> set[str]:
    """All names from which a name is computed, itself among them."""
    makers = {output: node for node in _all_nodes(proto.graph) for output in node.output}
    found, pending = {name}, [name]
    while pending:
        node = makers.get(pending.pop())
        for source in node.input if node is not None else ():
            if source not in found:
                found.add(source)
                pending.append(source)
    return found


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph, and of the graphs that attributes of them hold."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g)


class DataflowBackend(Backend):  # type: ignore[misc]
    """``onnx.backend.test.BackendTest(DataflowBackend, __name__)``."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> Prepared:
        """The model, ready to run."""
        return Prepared(model)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Only the processor."""
        return device == "CPU"
