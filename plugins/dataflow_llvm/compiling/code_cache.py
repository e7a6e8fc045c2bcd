"""Compiled code kept on disk between runs, in a folder that only the user can write to.

What is read here runs as the user. So each folder on the way belongs to the user or to root, and nobody else can
replace its content; the last folder and its files belong to the user. Each folder is opened relative to the one before
and checked once it is open, so that nothing can be replaced between check and use. Where that does not hold, code is
compiled for this run, and a warning says why."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from dataflow.errors import DataflowWarning

ENDING = ".o"
MOST_BYTES = 2**26
"""The largest file in bytes; larger code is not kept."""
MOST_KEPT = 2**28
"""The most bytes of all files; beyond them the ones that were not used for longest go."""
KEPT_UNUSED = 90 * 86400
"""How long a file is kept that nobody uses, in seconds."""
NOTED_EACH = 86400
"""A use is noted, as the file's time, unless one within so many seconds was."""
ABANDONED = 3600
"""After so many seconds half a file belongs to a process that was stopped."""
MOST_LINKS = 20
"""The most symbolic links on the way to the folder."""
_CHECKSUM = hashlib.sha256().digest_size
_OURS = re.compile(rf"[a-z_0-9]+-[0-9a-f]{{64}}{re.escape(ENDING)}")
_HALF = re.compile(r"[0-9a-f]{16}\.part")
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0)
"""Flags that open a folder; with ``O_PATH``, where the system has it, also one without permission to read."""
_CAN_CHECK = hasattr(os, "geteuid") and os.open in os.supports_dir_fd


class _UnsafeError(Exception):
    """Somebody else could have written what would be run; the text says what is wrong and what to do."""


def read(name: str, key: bytes) -> bytes | None:
    """The code kept under a name and a checksum of all that it was made from; ``None`` where there is none that can be
    trusted."""
    with _forgiving(), _folder(create=False) as folder:
        content = _content(_file_name(name, key), folder)
        checksum, code = content[:_CHECKSUM], content[_CHECKSUM:]
        if _checksum(name, key, code) == checksum:
            _note_use(_file_name(name, key), folder)
            return code
    return None


def write(name: str, key: bytes, code: bytes) -> None:
    """Keep code: write it under another name first, so that no other process reads half a file."""
    if len(code) + _CHECKSUM > MOST_BYTES:
        return
    with _forgiving(), _folder(create=True) as folder:
        temporary = f"{secrets.token_hex(8)}.part"
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        try:
            with open(file, "wb") as stream:
                stream.write(_checksum(name, key, code) + code)
            os.rename(temporary, _file_name(name, key), src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        _prune(folder, _file_name(name, key))


def _note_use(name: str, folder: int) -> None:
    """Let the file's time be that of its last use, roughly, so that a start seldom writes."""
    with suppress(OSError):
        if time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime > NOTED_EACH:
            os.utime(name, dir_fd=folder, follow_symlinks=False)


def _prune(folder: int, written: str) -> None:
    """Take away what was not used for long, and what was not used for longest where all of it is too much; never what
    was just written, nor what has another kind of name. Where several processes do, each goes on: a file that is gone
    already is gone, one that is being read stays until it is read, and one that is missed is compiled again."""
    with suppress(OSError):
        listed = os.open(".", os.O_RDONLY | getattr(os, "O_DIRECTORY", 0), dir_fd=folder)
        try:
            names = os.listdir(listed)
        finally:
            os.close(listed)
        now, kept = time.time(), []
        for name in names:
            with suppress(OSError):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                unused = now - status.st_mtime
                if _OURS.fullmatch(name) and name != written and unused <= KEPT_UNUSED:
                    kept.append((unused, name, status.st_size))
                elif (_OURS.fullmatch(name) and name != written) or (_HALF.fullmatch(name) and unused > ABANDONED):
                    os.unlink(name, dir_fd=folder)
        left = MOST_KEPT - os.stat(written, dir_fd=folder, follow_symlinks=False).st_size
        for _, name, size in sorted(kept):
            left -= size
            if left < 0:
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)


def _file_name(name: str, key: bytes) -> str:
    return f"{name}-{key.hex()}{ENDING}"


def _checksum(name: str, key: bytes, code: bytes) -> bytes:
    """Of the code and of what it was made from, so that a file under another's name is not taken for it."""
    return hashlib.sha256(_file_name(name, key).encode() + code).digest()


@contextmanager
def _forgiving() -> Iterator[None]:
    """Go on without the cache: with a warning where it is not safe, in silence where it is full or cannot be
    reached."""
    try:
        yield
    except _UnsafeError as error:
        _warn_once(str(error))
    except OSError:
        pass


@cache
def _warn_once(reason: str) -> None:
    warnings.warn(f"compiled code is not kept: {reason}", DataflowWarning, stacklevel=2)


# ------------------------------------------------------------------------------------------------ where it is kept


def _place() -> Path:
    """The folder's absolute path."""
    if folder := os.environ.get("DATAFLOW_CACHE"):
        if not os.path.isabs(folder):
            raise _UnsafeError(f"DATAFLOW_CACHE is {folder!r}; give the absolute path of a folder")
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME", "")
    if sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    elif not os.path.isabs(base):  # its specification says to ignore it
        base = os.path.expanduser("~/.cache")
    if not os.path.isabs(base):
        raise _UnsafeError("there is no home folder; set DATAFLOW_CACHE to the absolute path of a folder")
    return Path(base) / "dataflow"


@contextmanager
def _folder(create: bool) -> Iterator[int]:
    """The folder, open and checked; with ``create`` it is made where it is missing."""
    if not _CAN_CHECK:
        raise OSError("this system does not tell who could have written a file")
    place = _place()
    left = [part for part in reversed(place.parts) if part != os.sep]
    walked = Path(os.sep)
    folder = os.open(os.sep, _FOLDER)
    links = 0
    try:
        _check(os.fstat(folder), walked)
        while left:
            part = left.pop()
            walked /= part
            try:
                inner = _opened(part, folder, create)
            except OSError as error:
                target = _link_target(part, folder, walked)
                if target is None:
                    raise
                links += 1
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(place)) from error
                left += [name for name in reversed(Path(target).parts) if name != os.sep]
                walked = walked.parent
                if not os.path.isabs(target):
                    continue
                walked = Path(os.sep)
                inner = os.open(os.sep, _FOLDER)
            os.close(folder)
            folder = inner
            _check(os.fstat(folder), walked, own=not left)
        yield folder
    finally:
        os.close(folder)


def _opened(part: str, folder: int, create: bool) -> int:
    """Open a folder inside an open one; a link is an error."""
    flags = _FOLDER | os.O_NOFOLLOW
    try:
        return os.open(part, flags, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        os.mkdir(part, 0o700, dir_fd=folder)
    return os.open(part, flags, dir_fd=folder)


def _link_target(part: str, folder: int, walked: Path) -> str | None:
    """Where a link leads that the user or the system made; ``None`` for what is no link."""
    try:
        status = os.stat(part, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(status.st_mode):
        return None
    if status.st_uid not in (0, os.geteuid()):
        raise _UnsafeError(f"the link {walked} belongs to another user; set DATAFLOW_CACHE to a folder of your own")
    return os.readlink(part, dir_fd=folder)


def _check(status: os.stat_result, path: Path, own: bool = False) -> None:
    """Raise an error where somebody else can replace the content of a folder. In one with the sticky bit, such as /tmp,
    others can add entries, whose owner is checked next, but not replace them."""
    user = os.geteuid()
    if status.st_uid != user and (own or status.st_uid != 0):
        raise _UnsafeError(
            f"the folder {path} belongs to {'another user' if status.st_uid else 'root'}; "
            f"set DATAFLOW_CACHE to a folder of your own"
        )
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if writable and (own or not status.st_mode & stat.S_ISVTX):
        raise _UnsafeError(f"others can write to {path}; chmod go-w takes that from them")


def _content(name: str, folder: int) -> bytes:
    """A file's bytes. A file that is not regular is neither waited for nor read."""
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=folder)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise _UnsafeError(f"{name} in its folder is not a regular file")
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise _UnsafeError(f"others can write to {name} in its folder; it is replaced")
        if status.st_size > MOST_BYTES:
            raise _UnsafeError(f"{name} in its folder has {status.st_size} bytes; it is replaced")
        with open(file, "rb", closefd=False) as stream:
            return stream.read(MOST_BYTES)
    finally:
        os.close(file)
