"""The whole model in the metadata of an ONNX file: graph with loss, declarations of parameters and data, training.

ONNX has no place for these, so under the key ``dataflow`` stands, in base64, what the model's msgpack file would be,
without the tensors that the ONNX graph has already. With it stands a checksum of the graph: where another program has
changed that, the graph counts and not what stands here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from dataflow.errors import DataflowWarning, FileFormatError
from dataflow.files.msgpack.binary import pack_model
from dataflow.files.msgpack.container import container_bytes, parse_container
from dataflow.files.msgpack.unpack import unpack_model
from dataflow.model.model import Model
from dataflow_onnx.tensors import array_of

KEY = "dataflow"
_GRAPH, _DRAWN = "onnx_graph", "drawn"


def keep_model(proto: onnx.ModelProto, model: Model, folder: Path) -> None:
    """Put a model into the metadata of a file that will stand in ``folder``."""
    packed = pack_model(model, folder)
    stored = {f"parameters/{tensor.name}" for tensor in proto.graph.initializer}
    drawn = {
        tensor.name: zlib.crc32(tensor.raw_data)
        for tensor in proto.graph.initializer
        if f"parameters/{tensor.name}" not in packed.tensors
    }
    header = {**packed.header, _GRAPH: fingerprint(proto), _DRAWN: drawn}
    tensors = {name: array for name, array in packed.tensors.items() if name not in stored}
    entry = proto.metadata_props.add()
    entry.key, entry.value = KEY, base64.b64encode(container_bytes(header, tensors, packed.version)).decode("ascii")


def kept_model(proto: onnx.ModelProto, folder: Path) -> Model | None:
    """The model that stands in the metadata, with the numbers of the ONNX graph; nothing where there is none, or where
    the graph was changed."""
    text = next((entry.value for entry in proto.metadata_props if entry.key == KEY), None)
    if text is None:
        return None
    try:
        container = parse_container(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise FileFormatError(f"the entry '{KEY}' of its metadata is damaged; remove the entry") from None
    header: dict[str, Any] = dict(container.header)
    if header.pop(_GRAPH, None) != fingerprint(proto):
        warnings.warn(
            "the graph was changed by another program, so that the loss and the settings for training that dataflow "
            "kept beside it are left out",
            DataflowWarning,
            stacklevel=5,
        )
        return None
    drawn = header.pop(_DRAWN, {})
    tensors: dict[str, np.ndarray] = dict(container.tensors)
    for tensor in proto.graph.initializer:
        as_drawn = isinstance(drawn, dict) and drawn.get(tensor.name) == zlib.crc32(tensor.raw_data)
        if not (as_drawn and tensor.HasField("raw_data")):
            tensors[f"parameters/{tensor.name}"] = array_of(tensor, folder)
    return unpack_model(header, tensors, folder)


def fingerprint(proto: onnx.ModelProto) -> str:
    """A checksum of a graph without the numbers of its parameters."""
    graph, digest = proto.graph, hashlib.sha256()
    for entry in (*graph.node, *graph.input, *graph.output, *proto.opset_import, *proto.functions):
        digest.update(entry.SerializeToString(deterministic=True))
        digest.update(b"\0")
    for tensor in graph.initializer:
        digest.update(repr((tensor.name, tensor.data_type, list(tensor.dims))).encode())
    return digest.hexdigest()
