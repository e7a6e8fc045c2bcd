"""ONNX files: models that any framework has exported, loaded as models of dataflow, and models of dataflow saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataflow import FileFormat, Model, hookimpl


@hookimpl
def register_file_formats() -> Iterable[FileFormat]:
    """``.onnx``. The package ``onnx`` is imported when such a file is loaded or saved."""
    return [FileFormat("onnx", (".onnx",), _load, _save, shapes=True)]


def _load(
    path: Path,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Model:
    from dataflow_onnx.load import load_onnx

    return load_onnx(path, shapes, constants)


def _save(model: Model, path: Path) -> None:
    from dataflow_onnx.saving.save import save_onnx

    save_onnx(model, path)
