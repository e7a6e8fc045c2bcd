"""Load ``.onnx``: check the file, translate it node by node, and fold what is known into constants."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.errors import DataError, DataflowError, FileFormatError, MissingExtraError, ShapeError, nearest
from dataflow.files.reading import reading
from dataflow.graph.graph import Graph
from dataflow.model.model import Model
from dataflow.shapes import format_shape
from dataflow.support.conversion import EntryError, convert
from dataflow.support.texts import shorten

try:
    import onnx
    from google.protobuf.message import DecodeError
except ImportError:
    raise MissingExtraError("ONNX files need the package onnx; install dataflow-autodiff[onnx]") from None

from dataflow_onnx.call import Operand
from dataflow_onnx.names import Names
from dataflow_onnx.narrow import NARROW
from dataflow_onnx.saving.kept_model import kept_model
from dataflow_onnx.scan import check_parts
from dataflow_onnx.supported import ML, check_supported
from dataflow_onnx.tensors import array_of, dtype_of
from dataflow_onnx.texts import Texts, class_names
from dataflow_onnx.translate import Scope, Translator
from dataflow_onnx.weights import take_weights

OLDEST = 7


Shapes = Mapping[str, Sequence[int | str]]


def load_onnx(path: Path, shapes: Shapes | None = None, constants: Mapping[str, Any] | None = None) -> Model:
    """The model in an ONNX file, with inputs of the given shapes in place of the file's, and inputs that keep the
    values given. Every fault of the file is a ``DataflowError`` of one line that names it."""
    try:
        with reading(path) as (file, _):
            data = file.readall()
        check_parts(data)
        try:
            proto = onnx.ModelProto.FromString(data)
        except DecodeError:
            raise FileFormatError("the file is no ONNX model, or it is damaged") from None
        folder = path.absolute().parent
        kept = None if shapes or constants else kept_model(proto, folder)
        if kept is not None:
            return kept
        try:
            return build_model(proto, folder, known=_constants(proto, constants or {}), shapes=shapes)
        except DataflowError as error:
            if error.node is not None and (isinstance(error, ShapeError) or "size" in error.message):
                error.message += _open_sizes(proto, path, shapes or {})
            raise
    except DataflowError as error:
        raise error.at(file=path) from None


def build_model(
    proto: onnx.ModelProto,
    folder: Path | None = None,
    known: dict[str, Any] | None = None,
    shapes: Shapes | None = None,
) -> Model:
    """The model of a ``ModelProto``. ``known`` gives inputs that are constants: their ONNX names and arrays; ``shapes``
    those of other inputs, by the names that they have in either."""
    if not proto.HasField("graph"):
        raise FileFormatError("the file is no ONNX model: it has no graph")
    opsets = {entry.domain if entry.domain != "ai.onnx" else "": entry.version for entry in proto.opset_import}
    newest = onnx.defs.onnx_opset_version()
    of_onnx = any(node.domain in ("", "ai.onnx") for node in proto.graph.node)
    opset = opsets.get("", 1 if of_onnx and not proto.functions else newest)
    if not OLDEST <= opset <= newest:
        what = "old" if opset < OLDEST else "new"
        raise FileFormatError(
            f"the model is of opset {opset}, which is too {what}; opsets {OLDEST} to {newest} are read"
        )
    check_supported(proto, opset)
    texts, names = Texts(proto), Names()
    rows = "n" if any(node.domain == ML for node in proto.graph.node) else None
    graph = Graph(re.sub(r"[^\w.-]+", "_", proto.graph.name)[:100] or "model", _main_dtype(proto.graph))
    graph.graph["onnx_names"] = names.originals
    known = known or {}
    types = {entry.name: entry.type.tensor_type.elem_type for entry in proto.graph.input}
    scope: Scope = {name: _known(name, value, types.get(name, 0)) for name, value in known.items()}
    _check_names("initializer", [tensor.name for tensor in proto.graph.initializer])
    _check_names("input", [entry.name for entry in proto.graph.input])
    for tensor in proto.graph.initializer:
        if tensor.name in known:
            continue
        try:
            array = texts.array(tensor) if tensor.name in texts.names else array_of(tensor, folder)
        except DataflowError as error:
            raise error.at(node=tensor.name) from None
        trained = array.dtype.name in ("float32", "float64") and array.ndim > 0
        narrow = tensor.data_type if tensor.data_type in NARROW else 0
        scope[tensor.name] = Operand(tensor.name, array=array, trained=trained, narrow=narrow)
    nodes = list(proto.graph.node)
    nodes = take_weights(nodes, folder, scope)
    if proto.graph.sparse_initializer:
        raise FileFormatError("sparse initializers are not supported")
    open_shapes = dict(shapes or {})
    for entry in proto.graph.input:
        if entry.name not in scope:
            scope[entry.name] = _input(graph, names, entry, open_shapes, texts, rows)
    if open_shapes:
        unknown = next(iter(open_shapes))
        known_names = [name for name, node in graph.node_items() if node.kind == "input"]
        raise DataError(f"a shape is given for '{unknown}', which is no input{nearest(unknown, known_names)}")
    Translator(graph, names, opset, proto, folder, texts).run(nodes, scope)
    outputs: list[str] = []
    outputs_by_name: dict[str, str] = {}
    text_names = [scope[entry.name].value.name for entry in proto.graph.input if entry.name in texts.names]
    sequences: dict[str, list[str]] = {}
    graph.graph["onnx_sequences"] = sequences
    for entry in proto.graph.output:
        if entry.name not in scope:
            raise FileFormatError(f"the output '{entry.name}' is computed by no node")
        operand = scope[entry.name]
        if operand is None:
            raise FileFormatError(f"the output '{entry.name}' is an optional value, which is empty")
        if operand.items is None:
            outputs.append(_output(graph, names, entry.name, operand))
            outputs_by_name[entry.name] = outputs[-1]
            text_names += [outputs[-1]] if entry.name in texts.names else []
            continue
        sequences[entry.name] = [
            _output(graph, names, f"{entry.name}/{i}", item) for i, item in enumerate(operand.items)
        ]
        outputs += sequences[entry.name]
    if not outputs:
        raise FileFormatError("the model has no outputs")
    for name in text_names:
        graph.name_classes(name, texts.vocabulary)
    classes = class_names(proto)
    for entry in proto.graph.output:
        operand = scope[entry.name]
        value = None if operand is None else operand.value
        if value is not None and value.dtype.kind == "f" and value.ndim == 2 and value.shape[1] == len(classes):
            graph.name_classes(outputs_by_name[entry.name], classes)
    return Model(graph, outputs, doc=proto.doc_string[:10_000])


def _open_sizes(proto: onnx.ModelProto, path: Path, shapes: Shapes) -> str:
    """What to do where a node cannot be had for any size: give that of an input whose file leaves one open."""
    initializers = {tensor.name for tensor in proto.graph.initializer}
    for entry in proto.graph.input:
        sizes = [str(size.dim_value) if size.dim_value > 0 else "SIZE" for size in entry.type.tensor_type.shape.dim]
        name = Names().identifier(entry.name)
        if "SIZE" in sizes and entry.name not in initializers and not {entry.name, name} & set(shapes):
            told = f"dataflow convert {path.name} fixed.msgpack --shape {name}={','.join(sizes)}"
            return f"; the input '{shorten(name, 60)}' leaves sizes open, which can be given: {told}"
    return ""


def _constants(proto: onnx.ModelProto, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values for inputs, by the names that these have in either, as arrays by their ONNX names."""
    initializers = {tensor.name for tensor in proto.graph.initializer}
    inputs = {entry.name: entry for entry in proto.graph.input if entry.name not in initializers}
    by_name = {Names().identifier(name): name for name in inputs} | {name: name for name in inputs}
    known = {}
    for name, value in given.items():
        if name not in by_name:
            raise DataError(f"a constant is given for '{name}', which is no input{nearest(name, inputs)}")
        kind = inputs[by_name[name]].type.tensor_type
        try:
            array = convert(value, dtype_of(kind.elem_type))
        except EntryError as error:
            raise error.named(name) from None
        sizes = [size.dim_value if size.WhichOneof("value") == "dim_value" else None for size in kind.shape.dim]
        if len(sizes) != array.ndim or any(
            size not in (None, -1, count) for size, count in zip(sizes, array.shape, strict=True)
        ):
            shape = "(" + ", ".join("?" if size is None else str(size) for size in sizes) + ")"
            raise ShapeError(f"the input '{name}' is of shape {shape}, not {format_shape(array.shape)}")
        known[by_name[name]] = array
    return known


def _check_names(what: str, names: Sequence[str]) -> None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise FileFormatError(f"two {what}s have the name '{twice}'")


def _known(name: str, value: Any, number: int) -> Operand | None:
    """What is given for an input: an array, a list of them for a sequence, or nothing for an optional value."""
    if isinstance(value, list):
        return Operand(name, items=tuple(Operand(f"{name}/{i}", array=item) for i, item in enumerate(value)))
    return None if value is None else Operand(name, array=value, narrow=number if number in NARROW else 0)


def _output(graph: Graph, names: Names, original: str, operand: Operand) -> str:
    """The node that is the output of an ONNX name."""
    name = names.identifier(original)
    value = operand.within(graph, name)
    if value.name != name and name in graph:
        name = names.identifier(f"{original} output")
    return (value if value.name == name else graph.node(name, value)).name


def _main_dtype(graph: onnx.GraphProto) -> str:
    kinds = [entry.type.tensor_type.elem_type for entry in graph.input]
    kinds += [tensor.data_type for tensor in graph.initializer]
    return "float64" if onnx.TensorProto.DOUBLE in kinds and onnx.TensorProto.FLOAT not in kinds else "float32"


def _input(
    graph: Graph,
    names: Names,
    entry: onnx.ValueInfoProto,
    shapes: dict[str, Sequence[int | str]],
    texts: Texts,
    rows: str | None,
) -> Operand:
    """An input, with its shape of ``shapes``, which is taken out there. Sizes that have no name get one: the first of
    all inputs ``rows``, if given, as columns of a table have one number of rows."""
    try:
        if entry.type.WhichOneof("value") != "tensor_type":
            raise FileFormatError(f"the input '{entry.name}' is no tensor, but a sequence, a map or optional")
        tensor = entry.type.tensor_type
        dtype = np.dtype("int64") if entry.name in texts.names else dtype_of(tensor.elem_type)
        if not tensor.HasField("shape"):
            raise FileFormatError(f"the input '{entry.name}' has no shape; how many axes it has must be known")
        shape: list[int | str] = []
        for axis, size in enumerate(tensor.shape.dim):
            if size.WhichOneof("value") == "dim_value" and size.dim_value != -1:
                if size.dim_value < 0:
                    raise FileFormatError(f"the input '{entry.name}' has the size {size.dim_value} along axis {axis}")
                shape.append(size.dim_value)
            else:
                plain = re.sub(r"\W+", "_", size.dim_param, flags=re.ASCII).strip("_")[:60]
                unnamed = rows if rows and axis == 0 else f"{names.identifier(entry.name)}_{axis}"
                shape.append(plain if plain.isidentifier() else unnamed)
        name = names.identifier(entry.name)
        given = shapes.pop(entry.name, None) or shapes.pop(name, None)
        if given is not None:
            if len(given) != len(shape) or any(
                isinstance(size, int) and size != new for size, new in zip(shape, given, strict=True)
            ):
                raise ShapeError(
                    f"the input is of shape {format_shape(tuple(shape))}, not {format_shape(tuple(given))}"
                )
            shape = list(given)
        narrow = tensor.elem_type if tensor.elem_type in NARROW else 0
        return Operand(entry.name, value=graph.input(name, shape, dtype), narrow=narrow)
    except DataflowError as error:
        raise error.at(node=entry.name) from None
