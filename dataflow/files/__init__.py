"""Models as files: ``load`` and ``save``, each format by the ending of the file's name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

from dataflow.data.allowed_folders import allow
from dataflow.errors import DataflowError, FileFormatError
from dataflow.files import pickles as pickles  # registers how models are pickled
from dataflow.files.file_format import FileFormat
from dataflow.files.msgpack.binary import load_msgpack, save_msgpack
from dataflow.files.reading import reading
from dataflow.files.toml.read import load_toml
from dataflow.files.toml.write import save_toml
from dataflow.limits import Limits, grant, size_of
from dataflow.model.model import Model
from dataflow.registry import registry
from dataflow.registry.hookspecs import hookimpl
from dataflow.support.arguments import checked

__all__ = ["load", "register_file_formats", "save"]


@checked
def load(
    path: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
    mmap: bool | Literal["auto"] = "auto",
    data_root: str | os.PathLike[str] | None = None,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Model:
    """The model in a file: ``.toml``, ``.msgpack``, or an ending that a plugin adds. Every fault of the file is a
    ``DataflowError`` that names it. ``limits`` says how much is read of a file that is trusted, if more than usual.

    A msgpack file of up to 256 MiB is read; what happens to it afterwards does not matter to the model. A longer one,
    or any with ``mmap=True``, is mapped into memory, which takes no time: it must not be written to or cut off while
    the model is in use, though it may be replaced or deleted; ``mmap=False`` reads it, too.

    The data that the file names lie in its own folder, or in ``data_root``.

    ``shapes`` gives inputs other shapes than the file does, where the format leaves sizes open and what is computed
    from them has to be known: ``shapes={"x": ("n", 3, 640, 640)}`` for an ONNX file. ``constants`` gives inputs of
    such a file values that they keep, so that what is chosen by them, such as a branch, is chosen now."""
    with limits or nullcontext(), nullcontext() if data_root is None else allow(Path(data_root)):
        file_format = _format_of(path, is_read=True)
        grant(size_of(path))
        options: dict[str, Any] = {"mmap": mmap} if file_format.maps else {}
        fixed = {"shapes": shapes, "constants": constants}
        for what, given in fixed.items():
            if given and not file_format.shapes:
                raise FileFormatError(f"a file of the format {file_format.name} says its {what} itself", file=path)
            options |= {what: given} if given else {}
        return file_format.load(Path(path), **options)


@checked
def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model to a file, in the format that its ending names. The old file stays whole until the new one is."""
    _format_of(path).save(model, Path(path))


@hookimpl
def register_file_formats() -> Iterable[FileFormat]:
    """The formats that need no plugin."""
    return [
        FileFormat("toml", (".toml",), load_toml, save_toml, reads_back=True),
        FileFormat("msgpack", (".msgpack",), load_msgpack, save_msgpack, maps=True),
    ]


def _format_of(path: str | os.PathLike[str], *, is_read: bool = False) -> FileFormat:
    try:
        chosen: FileFormat = registry.file_format(Path(path).suffix)
    except DataflowError as error:
        if is_read:
            with reading(path):  # a file that is not there, or a folder, is the fault to name first
                pass
        raise error.at(file=path) from None
    return chosen
