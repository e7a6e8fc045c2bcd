"""Tensors of ONNX files as arrays: within the file, or in a file beside it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from dataflow.errors import FileFormatError
from dataflow.shapes import MAX_ENTRIES
from dataflow_onnx.narrow import NARROW, NarrowInteger, held_as

DTYPES: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype("float32"),
    TensorProto.UINT8: np.dtype("uint8"),
    TensorProto.INT8: np.dtype("int8"),
    TensorProto.UINT16: np.dtype("uint16"),
    TensorProto.INT16: np.dtype("int16"),
    TensorProto.INT32: np.dtype("int32"),
    TensorProto.INT64: np.dtype("int64"),
    TensorProto.BOOL: np.dtype("bool"),
    TensorProto.FLOAT16: np.dtype("float16"),
    TensorProto.DOUBLE: np.dtype("float64"),
    TensorProto.UINT32: np.dtype("uint32"),
    TensorProto.UINT64: np.dtype("uint64"),
}
TYPES = {dtype.name: number for number, dtype in DTYPES.items()}
_FIELDS = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}


def dtype_of(number: int) -> np.dtype[Any]:
    """The dtype of an element type, or that by which numbers of a narrow one are held; a ``FileFormatError`` for one
    that no array here has."""
    if number in DTYPES:
        return DTYPES[number]
    if number in NARROW:
        return held_as(number)
    known = TensorProto.DataType.values()
    name = TensorProto.DataType.Name(number).lower() if number in known else str(number)
    narrow = [TensorProto.DataType.Name(kind).lower() for kind in NARROW]
    raise FileFormatError(f"tensors of the type {name} are not supported; {', '.join([*TYPES, *narrow])} are")


def array_of(tensor: TensorProto, folder: Path | None) -> np.ndarray[Any, Any]:
    """The array of a tensor, which may lie in a file of ``folder``. Narrow numbers are in the dtype that holds them."""
    stored = tensor.data_type
    dtype = dtype_of(stored)
    shape = tuple(tensor.dims)
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_ENTRIES:
        raise FileFormatError(f"a tensor has the shape {list(shape)}")
    if tensor.data_location == TensorProto.EXTERNAL:
        data = _external(tensor, folder, _byte_count(shape, stored))
        return _from_bytes(data, dtype, shape, stored)
    if tensor.HasField("raw_data"):
        _check_count(len(tensor.raw_data), _byte_count(shape, stored), "bytes", shape)
        return _from_bytes(tensor.raw_data, dtype, shape, stored)
    entries = len(getattr(tensor, _FIELDS.get(stored, "int32_data")))
    packed = _bits(stored) < 8
    needed = _byte_count(shape, stored) if packed else math.prod(shape)
    _check_count(entries, needed, "bytes" if packed else "numbers", shape)
    return np.asarray(numpy_helper.to_array(tensor)).astype(dtype)


def _bits(stored: int) -> int:
    """How many bits a number takes in a file."""
    kind = NARROW.get(stored)
    if isinstance(kind, NarrowInteger):
        return kind.bits
    if kind is None:
        return dtype_of(stored).itemsize * 8
    return 16 if stored == TensorProto.BFLOAT16 else 4 if stored == TensorProto.FLOAT4E2M1 else 8


def _byte_count(shape: tuple[int, ...], stored: int) -> int:
    return -(-math.prod(shape) * _bits(stored) // 8)


def _from_bytes(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], stored: int) -> np.ndarray[Any, Any]:
    if stored == TensorProto.BFLOAT16:  # the upper half of a float32
        upper = np.frombuffer(data, "<u2").astype(np.uint32)
        return (upper << 16).view(np.float32).reshape(shape)
    if stored in NARROW:
        return np.asarray(numpy_helper.to_array(TensorProto(dims=shape, data_type=stored, raw_data=data))).astype(dtype)
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def _check_count(given: int, needed: int, what: str, shape: tuple[int, ...]) -> None:
    if given != needed:
        raise FileFormatError(f"a tensor of the shape {list(shape)} takes {needed} {what}, the file has {given}")


def _external(tensor: TensorProto, folder: Path | None, size: int) -> bytes:
    """The bytes of a tensor in a file of its own, which lies in the model's folder."""
    told = {entry.key: entry.value for entry in tensor.external_data}
    location = told.get("location", "")
    if folder is None or not location or "\\" in location or "\0" in location or ".." in Path(location).parts:
        raise FileFormatError(f"a tensor lies in the file {location!r}; only files of the model's folder are read")
    path, home = (folder / location).resolve(), folder.resolve()
    if Path(location).is_absolute() or not path.is_relative_to(home):
        raise FileFormatError(f"a tensor lies in the file {location!r}; only files of the model's folder are read")
    if not path.is_file():
        raise FileFormatError(f"a tensor lies in the file {location!r}, which is not there")
    try:
        offset, length = int(told.get("offset", 0)), int(told.get("length", size))
    except ValueError:
        raise FileFormatError(f"where a tensor lies in {location!r} is not given by whole numbers") from None
    if length != size or offset < 0 or offset + size > path.stat().st_size:
        raise FileFormatError(
            f"a tensor takes {size} bytes; {length} from byte {offset} on are claimed of {location!r}, "
            f"which has {path.stat().st_size}"
        )
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
