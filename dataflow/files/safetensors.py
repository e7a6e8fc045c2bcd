"""Parameters from a safetensors file, by name: what most programs share weights in.

The names in the file are those of parameters. Where a model came from ONNX, the names that its file had count as well;
and as a name here has no dots or slashes, ``fc.0.weight`` stands for ``fc_0_weight``.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.errors import DataflowError, DataflowWarning, FileFormatError, MissingExtraError, listed, nearest
from dataflow.files.reading import reading
from dataflow.limits import current
from dataflow.model.model import Model
from dataflow.shapes import format_shape
from dataflow.support.conversion import first_place
from dataflow.support.texts import shorten

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def take_parameters(model: Model, path: Path) -> None:
    """Give a model the parameters that a file has, which must be all of them. A ``DataflowError`` of one line names
    what is missing or of another shape or dtype; the model is then as it was. A warning names tensors that it has no
    parameter for."""
    try:
        tensors = _read(path)
        found, unknown = _by_parameter(model, tensors)
        missing = [name for name in model.parameters if name not in found]
        if unknown and missing:
            raise FileFormatError(
                f"{listed(unknown, 6)}: no parameter of the model has this name{nearest(unknown[0], missing)}"
            )
        if missing:
            raise FileFormatError(
                f"{listed(missing, 6)}: no tensor of the file has this name{nearest(missing[0], tensors)}"
            )
        arrays = {name: _array(model, name, found[name], tensors[found[name]]) for name in model.parameters}
        model.parameters.update(arrays)
        if unknown:
            left_out = f"{path}: {listed(sorted(unknown), 6)} left out, as no parameter of the model has such a name"
            warnings.warn(left_out, DataflowWarning, stacklevel=2)
    except DataflowError as error:
        raise error.at(file=path) from None


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """What the file says of each tensor, and its bytes."""
    try:
        import safetensors
    except ImportError:
        message = "safetensors files need the package safetensors; install dataflow-autodiff[onnx]"
        raise MissingExtraError(message) from None
    with reading(path) as (file, size):
        begin = file.read(8)
        length = struct.unpack("<Q", begin)[0] if len(begin) == 8 else 0
        if not 2 <= length <= size - 8:
            raise FileFormatError("this is no safetensors file, or it is cut off")
        if length > current().structure:
            raise FileFormatError(f"its header has {length / 2**20:.0f} MiB, more than {current().structure / 2**20:g}")
        data = begin + file.readall()
    try:
        library: Any = safetensors  # whose functions have no types
        return {shorten(name, 200): dict(entry) for name, entry in library.deserialize(data)}
    except safetensors.SafetensorError as error:
        raise FileFormatError(f"this is no safetensors file, or it is damaged: {shorten(str(error), 200)}") from None


def _by_parameter(model: Model, names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """For each parameter the name it has in the file; and the names that no parameter has."""
    originals: Mapping[str, str] = model.graph.graph.get("onnx_names", {})
    known = {_plain(name): name for name in model.parameters}
    known |= {originals[name]: name for name in model.parameters if name in originals}
    known |= {name: name for name in model.parameters}
    found: dict[str, str] = {}
    unknown = []
    for name in names:
        parameter = known.get(name, known.get(_plain(name)))
        if parameter is None or parameter in found:
            unknown.append(name)
        else:
            found[parameter] = name
    return found, unknown


def _plain(name: str) -> str:
    return re.sub(r"\W+", "_", name)


def _array(model: Model, parameter: str, name: str, entry: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """The array of a tensor; bfloat16, the upper half of a float32, becomes that."""
    what = "" if name == parameter else f" ('{name}' in the file)"
    dtype = str(entry["dtype"])
    if dtype not in _DTYPES:
        raise FileFormatError(f"parameter '{parameter}'{what} is stored as {dtype}; {', '.join(_DTYPES)} are read")
    shape, wanted = tuple(entry["shape"]), model.graph.node_of(parameter).shape
    if shape != wanted and all(isinstance(size, int) for size in wanted):
        raise FileFormatError(
            f"parameter '{parameter}'{what} has the shape {format_shape(shape)}, not {format_shape(wanted)}"
        )
    array = np.frombuffer(entry["data"], _DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    if not np.isfinite(array).all():
        place = first_place(~np.isfinite(array))
        raise FileFormatError(
            f"parameter '{parameter}'{what} is {array[place]} at {list(place)}; weights are finite numbers: take the "
            f"file from before training diverged"
        )
    return array
