"""Locks on files, which the system lets go of when their process ends, however it ends."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import msvcrt

    def lock_now(descriptor: int) -> None:
        """Lock an open file; an ``OSError`` if another has it locked."""
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def lock_now(descriptor: int) -> None:
        """Lock an open file; an ``OSError`` if another has it locked."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
