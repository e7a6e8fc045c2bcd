"""Texts. No array here has any: each is a number, the place that it has in the one list of all texts of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx

from dataflow.errors import FileFormatError
from dataflow_onnx.control import free_names
from dataflow_onnx.tensors import array_of

MOVING = {
    *("ArrayFeatureExtractor", "Compress", "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND"),
    *("Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where"),
}
"""Ops that only move entries, so that what is true of numbers is true of places."""
_READING = {"Equal", "LabelEncoder", "OneHotEncoder", "Shape", "Size", "TfIdfVectorizer"}
_GIVING = {"Constant", "LabelEncoder", "LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"}
_STRING = onnx.TensorProto.STRING
_FIELDS = (
    *("keys_strings", "values_strings", "cats_strings", "classlabels_strings", "default_string", "value_strings"),
    "pool_strings",
)


class Texts:
    """The texts of a model, and the names of what holds texts."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.names = {
            entry.name
            for entry in (*proto.graph.input, *proto.graph.initializer)
            if (entry.data_type if isinstance(entry, onnx.TensorProto) else entry.type.tensor_type.elem_type) == _STRING
        }
        self._places: dict[str, int] = {}
        for node in proto.graph.node:
            self._follow(node)
        if self.names:
            tensors = [tensor for tensor in proto.graph.initializer if tensor.data_type == _STRING]
            for text in (
                *_texts_of_nodes(proto.graph.node),
                *(text for tensor in tensors for text in texts_of(tensor)),
            ):
                self._places.setdefault(text, len(self._places))

    @property
    def vocabulary(self) -> list[str]:
        """All of them, each in its place. A number behind the last is a text that the model does not know."""
        return list(self._places)

    def places(self, texts: Iterable[str]) -> np.ndarray:
        """The places of texts of the model."""
        return np.array([self._places.setdefault(text, len(self._places)) for text in texts], np.int64)

    def array(self, tensor: onnx.TensorProto) -> np.ndarray:
        """The places of the texts of a tensor, in its shape."""
        return self.places(texts_of(tensor)).reshape(tuple(tensor.dims))

    def _follow(self, node: onnx.NodeProto) -> None:
        """Note which outputs of a node are texts; a ``FileFormatError`` for what cannot be done with texts."""
        inside = [name for entry in node.attribute if entry.HasField("g") for name in free_names(entry.g)]
        takes = self.names.intersection([*node.input, *inside])
        attributes = {entry.name: entry for entry in node.attribute}
        if takes:
            casts = node.op_type == "Cast" and attributes["to"].i == _STRING
            if inside or not (node.op_type in MOVING or node.op_type in _READING or casts):
                raise FileFormatError(
                    f"{node.op_type} of texts ('{min(takes)}') is not supported", node=node.name or min(takes)
                )
            if node.op_type in MOVING or casts:
                self.names.update(name for name in node.output if name)
        if node.output and node.op_type in _GIVING and any(map(_gives_texts, node.attribute)):
            self.names.add(node.output[0])


_LABELS = ("classlabels_strings", "classlabels_ints", "classlabels_int64s")


def class_names(proto: onnx.ModelProto) -> list[str]:
    """What the classes of a classifier of scikit-learn are called, in their order: those of its ``ZipMap``, of its one
    classifier, or those from which it takes the label. Nothing where that does not tell."""
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    told: dict[str, list[list[str]]] = {"ZipMap": [], "Classifier": [], "Extractor": []}
    for node in proto.graph.node:
        kind = "Classifier" if node.op_type.endswith("Classifier") else node.op_type
        if kind in told:
            for attribute in node.attribute:
                if attribute.name in _LABELS and (attribute.strings or attribute.ints):
                    texts = [text.decode("utf-8", "replace") for text in attribute.strings]
                    told[kind].append(texts or [str(number) for number in attribute.ints])
        elif node.op_type == "ArrayFeatureExtractor" and node.input and node.input[0] in tensors:
            tensor = tensors[node.input[0]]
            if tensor.data_type in (_STRING, onnx.TensorProto.INT64, onnx.TensorProto.INT32):
                entries = texts_of(tensor) if tensor.data_type == _STRING else array_of(tensor, None).ravel().tolist()
                told["Extractor"].append([str(entry) for entry in entries])
    chosen = told["ZipMap"] or told["Extractor"] or told["Classifier"]
    return chosen[0] if chosen and all(names == chosen[0] for names in chosen) else []


def texts_of(tensor: onnx.TensorProto) -> list[str]:
    """The texts of a tensor, in row-major order."""
    if len(tensor.string_data) != np.prod(tuple(tensor.dims), dtype=object):
        raise FileFormatError(
            f"a tensor of the shape {list(tensor.dims)} has {len(tensor.string_data)} texts", node=tensor.name or None
        )
    return [text.decode("utf-8", "replace") for text in tensor.string_data]


def _gives_texts(attribute: onnx.AttributeProto) -> bool:
    """Whether an attribute says that the first output holds texts: values or names of classes."""
    if attribute.name in ("values_tensor", "value") and attribute.type == onnx.AttributeProto.TENSOR:
        return bool(attribute.t.data_type == _STRING)
    return attribute.name in ("values_strings", "classlabels_strings", "value_strings") and len(attribute.strings) > 0


def _texts_of_nodes(nodes: Sequence[onnx.NodeProto]) -> Iterator[str]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == _STRING:
                yield from texts_of(attribute.t)
            elif attribute.name in _FIELDS:
                yield from (text.decode("utf-8", "replace") for text in attribute.strings)
                if attribute.type == onnx.AttributeProto.STRING:
                    yield attribute.s.decode("utf-8", "replace")


def numbered(arrays: dict[str, Any], vocabulary: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays of texts as places, and what is in these places; behind the vocabulary stand texts that it lacks."""
    places = {text: place for place, text in enumerate(vocabulary)}
    found = {
        name: np.array(
            [places.setdefault(str(text), len(places)) for text in np.ravel(array).tolist()], np.int64
        ).reshape(np.shape(array))
        for name, array in arrays.items()
    }
    return found, list(places)
