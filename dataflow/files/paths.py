"""Where a model's data file lies, seen from the folder that the model is saved in."""

from __future__ import annotations

import warnings
from pathlib import Path, PurePosixPath

from dataflow.data import DataSource
from dataflow.errors import DataError, DataflowWarning


def file_for(source: DataSource, folder: Path) -> str | None:
    """The data file relative to ``folder``, with slashes; None, and a ``DataflowWarning``, if it is not found inside.

    A declaration that goes back into its own folder stays as it is, whether there is such a file or not.
    """
    if source.file is None:
        return None
    text = PurePosixPath(Path(source.file)).as_posix() if not Path(source.file).is_absolute() else str(source.file)
    try:
        new = folder.resolve()
        own = Path.cwd() if source.folder is None else Path(source.folder).resolve()
        if source.folder is not None and own == new:
            return text
        found = (own / source.file).resolve()
        if found.is_relative_to(new) and found.is_file():
            return found.relative_to(new).as_posix()
        here = (new / source.file).resolve()
        if not Path(source.file).is_absolute() and here.is_relative_to(new) and here.is_file():
            return text
    except (OSError, ValueError, RuntimeError, DataError):  # a loop of links, a NUL in the name
        pass
    warnings.warn(
        f"the data file '{text}' does not lie in the folder of the new file and is left out of it; "
        "name it with --data, or put it there",
        DataflowWarning,
        stacklevel=2,
    )
    return None
