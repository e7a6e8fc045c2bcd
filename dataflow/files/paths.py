"""Where a model's data file lies, seen from the folder that the model is saved in."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath

from dataflow.data.readers.opening import STANDARD_INPUT
from dataflow.data.source import DataSource
from dataflow.errors import DataError, DataflowWarning
from dataflow.model.model import Model
from dataflow.model.train_settings import TrainSettings


def settings_for(model: Model, folder: Path) -> TrainSettings:
    """What is declared of training, with a held-out file relative to ``folder``; where it is not found inside, without
    it, and a ``DataflowWarning``."""
    settings, stated = model.train_settings, model.train_settings.validation
    if model.data is None or not isinstance(stated, Mapping) or "file" not in stated:
        return settings
    source = DataSource(file=Path(stated["file"]), folder=model.data.folder)
    file = file_for(source, folder, "--validation.file")
    return replace(settings, validation=0.0 if file is None else {"file": file})


def root_for(source: DataSource, folder: Path) -> str | None:
    """The folder that a declaration asks for, outside the model's own, relative to ``folder``."""
    if source.root is None or source.file is None or source.folder is None:
        return None
    own, new = Path(source.folder).resolve(), folder.resolve()
    if own == new:
        return source.root
    base = (own / source.root).resolve()
    return (
        None if (base / source.file).resolve().is_relative_to(new) else PurePath(os.path.relpath(base, new)).as_posix()
    )


def file_for(source: DataSource, folder: Path, option: str = "--data") -> str | None:
    """The data file relative to ``folder``, or to ``root_for`` it, with slashes; None, and a ``DataflowWarning``, if it
    is not found there.

    A declaration that goes back into its own folder stays as it is, whether there is such a file or not.
    """
    if source.file is None:
        return None
    if str(source.file) == STANDARD_INPUT:
        return STANDARD_INPUT
    text = PurePosixPath(Path(source.file)).as_posix() if not Path(source.file).is_absolute() else str(source.file)
    try:
        new = folder.resolve()
        own = Path.cwd() if source.folder is None else Path(source.folder).resolve()
        if source.folder is not None and own == new:
            return text
        found = (own / (source.root or "") / source.file).resolve()
        if found.is_relative_to(new) and found.is_file():
            return found.relative_to(new).as_posix()
        if source.root is not None and found.is_file():
            return text
        here = (new / source.file).resolve()
        if not Path(source.file).is_absolute() and here.is_relative_to(new) and here.is_file():
            return text
    except (OSError, ValueError, RuntimeError, DataError):  # a loop of links, a NUL in the name
        pass
    warnings.warn(
        f"the data file '{text}' does not lie in the folder of the new file and is left out of it; "
        f"name it with {option}, or put it there",
        DataflowWarning,
        stacklevel=2,
    )
    return None
