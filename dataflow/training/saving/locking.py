"""A lock on a folder, which the system lets go of when its process ends, however it ends."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataflow.errors import DataflowWarning, TrainingError
from dataflow.support.locks import lock_now

NAME = "lock"


def is_held(descriptor: int, folder: Path) -> bool:
    """Whether the lock that was taken is still the folder's: not where it was deleted, with the folder or alone."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(folder / NAME))
    except OSError:
        return False


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold the folder's lock; its descriptor is for ``is_held``. ``TrainingError`` if another process, or another run
    in this one, holds it. Its file stays where it is: to delete it would let two runs in at once."""
    path = folder / NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        if path.is_symlink():  # it would make a file elsewhere
            message = "is a link, and a lock is a file of its own; delete it, or choose another folder"
            raise TrainingError(message, file=path) from None
        raise TrainingError(f"cannot be written: {error.strerror or error}; choose another folder", file=path) from None
    try:
        try:
            lock_now(descriptor)
        except (BlockingIOError, PermissionError):
            raise TrainingError(
                "another run uses this folder for its checkpoints; wait for it to end, or choose another folder",
                file=folder,
            ) from None
        except OSError as error:
            message = f"{folder}: cannot be locked ({error.strerror or error}); take care that no other run uses it"
            warnings.warn(message, DataflowWarning, stacklevel=4)
        yield descriptor
    finally:
        os.close(descriptor)
