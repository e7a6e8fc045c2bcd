"""Open a file that is read, or say why it cannot be."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from dataflow.errors import FileFormatError
from dataflow.support.texts import no_such_file


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[tuple[io.FileIO, int]]:
    """The open file and its length; whatever the system refuses inside becomes an error that names the file."""
    try:
        # Asked before opening, because opening a pipe would wait for its other end.
        try:
            mode = os.stat(path).st_mode
        except ValueError as error:
            raise FileFormatError(f"cannot be a file's name: {error}; check it") from None
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
            raise FileFormatError(f"expected a file, found {kind}; name the file itself")
        with open(path, "rb", buffering=0) as file:
            yield file, os.fstat(file.fileno()).st_size
    except FileFormatError as error:
        error.at(file=path)
        raise
    except FileNotFoundError:
        raise FileFormatError(no_such_file(path), file=path) from None
    except PermissionError:
        raise FileFormatError("permission denied; make the file readable", file=path) from None
    except MemoryError:
        raise FileFormatError("does not fit into memory; close something else first", file=path) from None
    except OSError as error:
        raise FileFormatError(f"cannot be read: {error.strerror or error}; check the disk", file=path) from error
