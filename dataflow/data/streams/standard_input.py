"""Standard input as a file, so that what comes from there can be read piece by piece, and more than once."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from dataflow.data.readers.opening import Origin
from dataflow.errors import DataflowError

_BEGIN = 2**16  # bytes from which the format is found


@contextmanager
def kept_input() -> Iterator[Path]:
    """A temporary file with all that comes from standard input, whose ending says its format. Errors name standard
    input."""
    with TemporaryDirectory(prefix="dataflow-") as folder:
        origin = Origin(None, sys.stdin.buffer.read(_BEGIN))
        path = Path(folder, f"input.{origin.format}{'.gz' if origin.packed else ''}")
        try:
            with path.open("wb") as file:
                file.write(origin.data)
                shutil.copyfileobj(sys.stdin.buffer, file, 2**20)
            yield path
        except DataflowError as error:
            if error.file == str(path):
                error.file = "standard input"
            raise
