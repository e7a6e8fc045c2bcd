"""Temporary folders. What a process that was killed left behind goes when the next one makes a folder there."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dataflow.support.locks import lock_now

PREFIX = "dataflow-"
OWNER = ".owner"
"""The file in a folder that its process keeps locked."""
AGE = 60.0
"""Seconds that a folder is left alone: it may not be locked yet."""


@contextmanager
def temporary_folder(kind: str, parent: str | Path | None = None) -> Iterator[Path]:
    """A new folder for this process, which goes at the end; in the system's folder for such, unless told."""
    parent = Path(parent or tempfile.gettempdir())
    remove_stale(parent)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{kind}-", dir=parent) as folder:
        owner = Path(folder) / OWNER
        descriptor = os.open(owner, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            try:
                lock_now(descriptor)
            except OSError:  # no locks there; without the file nobody removes the folder
                owner.unlink(missing_ok=True)
            yield Path(folder)
        finally:
            os.close(descriptor)


def remove_stale(parent: Path) -> None:
    """Remove the folders that ``temporary_folder`` made there for this user, and whose process is gone."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
            if own and stat.S_ISDIR(found.st_mode) and time.time() - found.st_mtime > AGE:
                descriptor = os.open(folder / OWNER, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
                try:
                    lock_now(descriptor)
                finally:
                    os.close(descriptor)
                shutil.rmtree(folder, ignore_errors=True)
