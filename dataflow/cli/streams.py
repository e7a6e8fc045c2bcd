"""The standard streams, as commands may rely on them: each is there, and no work ends because nobody listens.

What a shell closes (``>&-``) is ``None`` in Python, and its number goes to the next file that is opened. Here a closed
stream leads to the null device. Where results cannot be written, the error names standard output; what is told on
standard error and cannot be written is no error.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Raw(io.FileIO):
    """A stream that is written to. After an error, what is left goes to the null device, so that it is told once."""

    def __init__(self, descriptor: int, *, must_succeed: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._must_succeed = must_succeed

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            if not self._must_succeed:
                return len(data)
            reason = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise OSError(error.errno, reason, "standard output") from None


@contextmanager
def settle_streams() -> Iterator[None]:
    """While this is open, the three streams of this process are there. Streams that a program put in their place are
    left alone."""
    own = sys.stdin, sys.stdout, sys.stderr
    # in this order: a file that is opened gets the lowest number that is free, so that each gets its own
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115 (open as long as the process)
    if sys.stdout is sys.__stdout__:
        closed = os.open(os.devnull, os.O_RDONLY) if sys.stdout is None else 1  # to write there is an error
        sys.stdout = _writer(closed, sys.stdout, must_succeed=True)
    if sys.stderr is sys.__stderr__:
        closed = os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else 2
        sys.stderr = _writer(closed, sys.stderr, must_succeed=False)
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = own


def _writer(descriptor: int, own: object, *, must_succeed: bool) -> io.TextIOWrapper:
    raw = io.BufferedWriter(_Raw(descriptor, must_succeed=must_succeed))
    if not isinstance(own, io.TextIOWrapper):  # it was closed
        return io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=True)
    return io.TextIOWrapper(
        raw, own.encoding, own.errors, line_buffering=own.line_buffering, write_through=own.write_through
    )
