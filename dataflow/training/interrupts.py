"""Ctrl-C between two minibatches instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether a run has been asked to end."""

    requested: bool = False


@contextmanager
def deferred() -> Iterator[Interrupt]:
    """While this is open, the first Ctrl-C (SIGINT) only sets ``requested``; the second raises ``KeyboardInterrupt`` at
    once. Outside the main thread, where Python allows no handlers, and where SIGINT is ignored, nothing changes."""
    interrupt = Interrupt()

    def handler(number: int, frame: FrameType | None) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True

    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield interrupt
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, previous)
