"""Write ``.onnx``: what the outputs need as nodes of ONNX, and the model itself beside them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import helper, numpy_helper

import dataflow_onnx.saving.written  # noqa: F401 — fills the table
from dataflow.errors import DataflowError, DataflowWarning, FileFormatError
from dataflow.graph.node import INPUT, OP, PARAMETER, Node
from dataflow.model.model import Model
from dataflow.shapes import Size, is_static
from dataflow.support.atomic import replace_file
from dataflow_onnx.saving.calls import write_nodes
from dataflow_onnx.saving.emitter import Emitter
from dataflow_onnx.saving.kept_model import keep_model
from dataflow_onnx.saving.text_labels import ML_OPSET, name_numbers, number_texts
from dataflow_onnx.supported import ML
from dataflow_onnx.tensors import TYPES

OPSET, IR_VERSION = 21, 10
"""What is written: old enough for programs of the last years, new enough for nearly every op that is used."""
_MOST = 2**31 - 1


def save_onnx(model: Model, path: Path) -> None:
    """Write a model as ONNX. The old file stays whole until the new one is."""
    try:
        proto = build_proto(model)
        keep_model(proto, model, path.absolute().parent)
        if proto.ByteSize() > _MOST:
            raise FileFormatError(f"it would have {proto.ByteSize() / 2**30:.1f} GiB, and ONNX files have at most 2")
        replace_file(path, [proto.SerializeToString(deterministic=True)])
    except DataflowError as error:
        raise error.at(file=path) from None


def build_proto(model: Model) -> onnx.ModelProto:
    """The outputs of a model (its loss, if it has none), and what they need."""
    graph = model.graph
    wanted = model.outputs or ([model.loss] if model.loss is not None else [])
    if not wanted:
        raise FileFormatError("the model has no outputs and no loss, so there is nothing to write")
    order = graph.schedule(wanted)
    inputs = [name for name in order if graph.node_of(name).kind == INPUT]
    parameters = [name for name in order if graph.node_of(name).kind == PARAMETER]
    for name in parameters:
        if not is_static(graph.node_of(name).shape):
            raise FileFormatError(f"the shape of the parameter '{name}' is decided by data; train the model first")
    out = Emitter({name: graph.node_of(name).shape for name in inputs}, parameters)
    known = {name: name for name in (*inputs, *parameters)}
    texts = {name: graph.classes[name] if graph.has_texts(name) else [] for name in (*inputs, *wanted)}
    for name in inputs:
        if texts[name]:
            known[name] = number_texts(out, name, texts[name], graph.node_of(name).dtype.name)
    write_nodes(out, graph, order, known, named=True)
    if out.missing:
        listed = ", ".join(f"{what} {count}×" for what, count in out.missing.most_common())
        raise FileFormatError(f"ONNX of opset {OPSET} cannot say: {listed}")
    if out.narrowed:
        _warn_of_float32(sorted(out.narrowed))
    outputs = []
    for name in wanted:
        plain = name if graph.node_of(name).kind == OP else f"{name}_output"
        value = known[name]
        if texts[name]:
            out.unlabel(value, plain)
            value = name_numbers(out, value, texts[name], graph.node_of(name).dtype.name)
        out.output(value, plain)
        outputs.append(_value_info(plain, graph.node_of(name), bool(texts[name])))
    proto = helper.make_graph(
        out.nodes(),
        re.sub(r"\s+", " ", model.name) or "model",
        [_value_info(name, graph.node_of(name), bool(texts[name])) for name in inputs],
        outputs,
        [numpy_helper.from_array(model.parameters[name], name) for name in parameters],
    )
    opsets = {"": max(OPSET, *out.since, 0)} | ({ML: ML_OPSET} if any(texts.values()) else {})
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    result = helper.make_model(
        proto,
        opset_imports=imports,
        ir_version=max(IR_VERSION, helper.find_min_ir_version_for(imports)),
        producer_name="dataflow",
        doc_string=model.doc,
    )
    _check(result)
    return result


def _value_info(name: str, node: Node, as_texts: bool) -> onnx.ValueInfoProto:
    """The declaration of an input or output; a size that is computed has no name there."""
    sizes: list[int | str | None] = [
        size if isinstance(size, int) else size.as_symbol if isinstance(size, Size) else None for size in node.shape
    ]
    if node.dtype.name not in TYPES:
        raise FileFormatError(f"ONNX has no {node.dtype}", node=name)
    kind = onnx.TensorProto.STRING if as_texts else TYPES[node.dtype.name]
    return helper.make_tensor_value_info(name, kind, sizes)


def _check(proto: onnx.ModelProto) -> None:
    """What onnx's own checker says; a fault of ours would be found here, and not by who loads the file."""
    if proto.ByteSize() > _MOST:
        return
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        text = " ".join(str(error).split())
        raise FileFormatError(f"onnx's checker refuses what was written: {text[:500]}") from None


def _warn_of_float32(ops: Sequence[str]) -> None:
    warnings.warn(
        f"onnxruntime has no kernels in float64 for what {', '.join(ops)} becomes: in the ONNX file it is computed in "
        f"float32",
        DataflowWarning,
        stacklevel=4,
    )
