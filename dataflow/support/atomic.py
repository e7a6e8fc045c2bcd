"""Saving that never leaves half a file: write beside it, sync, rename, sync the folder."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator

from dataflow.errors import FileFormatError

TEMPORARY = ".dataflow-*.tmp"
"""The pattern of temporary names; only a process that was killed leaves one, and it may be deleted."""


def replace_file(path: str | os.PathLike[str], chunks: Iterable[bytes | memoryview], *, sync: bool = True) -> None:
    """Write ``chunks`` to a temporary file in the folder of ``path``, then rename it to ``path``.

    Whoever opens ``path`` finds the old content or the new, never a part, even after a loss of power unless ``sync``
    is false. An existing file's permissions are kept; a symbolic link stays, and what it points to is replaced. Raises
    ``FileFormatError``; the old file is then as it was, and no temporary file is left. (Should the very last step,
    syncing the folder, fail, then the new file is in place and the error says so.)
    """
    with _told(path) as target:
        mode, folder = _mode(target, path), os.path.dirname(target)
        temporary = _temporary(folder)
        try:
            _write(temporary, chunks, mode, sync)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    if sync:
        try:
            _sync_folder(folder)
        except OSError as error:
            message = f"was written, but the folder cannot be synced ({error.strerror or error}); check the disk"
            raise FileFormatError(message, file=path) from error


def check_target(path: str | os.PathLike[str]) -> None:
    """A ``FileFormatError`` unless a file of that name can be written now: ask before long work, not after it. A
    temporary file is created in the folder and deleted again, as permissions alone do not tell."""
    with _told(path) as target:
        _mode(target, path)
        temporary = _temporary(os.path.dirname(target))
        os.close(os.open(temporary, _NEW, 0o600))
        os.unlink(temporary)


@contextlib.contextmanager
def _told(path: str | os.PathLike[str]) -> Iterator[str]:
    """What ``path`` leads to; errors inside become a ``FileFormatError`` that says what to do."""
    try:
        try:
            target = os.path.realpath(path)
        except ValueError as error:
            raise FileFormatError(f"cannot be a file's name: {error}; choose another") from None
        yield target
    except FileFormatError as error:
        error.at(file=path)
        raise
    except OSError as error:
        raise FileFormatError(f"cannot be written: {_advice(error, target, path)}", file=path) from error


def _temporary(folder: str) -> str:
    return os.path.join(folder, TEMPORARY.replace("*", secrets.token_hex(8)))


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def _mode(target: str, path: str | os.PathLike[str]) -> int | None:
    """The permissions of the file that will be replaced, None if there is none."""
    try:
        found = os.stat(target)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device, pipe or socket"
        raise FileFormatError(f"expected the name of a file to write, found {kind}; choose another name", file=path)
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is write-protected")
    return stat.S_IMODE(found.st_mode) & 0o777


def _write(temporary: str, chunks: Iterable[bytes | memoryview], mode: int | None, sync: bool) -> None:
    # A new file gets 0o666, so that the system applies the umask; a file that replaces another is never open to more
    # people than that one. What the umask took away is given back before anything is written.
    descriptor = os.open(temporary, _NEW, 0o666 if mode is None else mode)
    try:
        if mode is not None:
            os.chmod(temporary, mode)
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                written = os.write(descriptor, view)
                if written <= 0:
                    raise OSError(errno.EIO, "the system wrote nothing")
                view = view[written:]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: str) -> None:
    if os.name == "nt":  # a folder cannot be opened there; renaming is journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that sync folders by themselves
            raise
    finally:
        os.close(descriptor)


def _advice(error: OSError, target: str, path: str | os.PathLike[str]) -> str:
    folder = os.path.dirname(os.fspath(path)) or "."
    if os.path.realpath(folder) != os.path.dirname(target):  # a link led elsewhere
        folder = os.path.dirname(target)
    if isinstance(error, FileNotFoundError) and not os.path.lexists(folder):
        return f"there is no folder '{folder}'; create it first"
    if isinstance(error, NotADirectoryError):
        return f"'{folder}' is not a folder; choose another"
    if isinstance(error, PermissionError):
        return "permission denied; choose another folder or change the permissions"
    if error.errno == errno.EROFS:
        return "it can only be read there; choose another folder"
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return "the disk is full; free some space and save again"
    return f"{error.strerror or error}; check the disk or choose another folder"
