"""Ctrl-C and SIGTERM between two minibatches instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupt:
    """Whether a run has been asked to end, and by which signal, if it was one."""

    requested: bool = False
    signal: int | None = None

    @property
    def terminated(self) -> bool:
        """Whether it was SIGTERM."""
        return self.signal == signal.SIGTERM


_open: list[Interrupt] = []


@contextmanager
def deferred(*, terminate: bool = False, resend: bool = True) -> Iterator[Interrupt]:
    """While this is open, the first Ctrl-C (SIGINT) only sets ``requested``; the second raises ``KeyboardInterrupt`` at
    once. With ``terminate``, SIGTERM does the same, and takes its own effect when this closes, unless ``resend`` is
    false.

    Inside another one, the other's ``Interrupt`` is shared and nothing else changes: whoever opened the first decides.
    Nothing changes either outside the main thread, where Python allows no handlers, and for signals that are ignored;
    a program's own handler of SIGTERM stays.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    if _open:
        yield _open[0]
        return

    def handler(number: int, frame: FrameType | None) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested, interrupt.signal = True, number

    previous: dict[int, Any] = {}
    if callable(signal.getsignal(signal.SIGINT)):
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, handler)
    if terminate and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, handler)
    _open.append(interrupt)
    try:
        yield interrupt
    finally:
        _open.clear()
        for number, own in previous.items():
            signal.signal(number, own)
        if interrupt.terminated and resend:
            signal.raise_signal(signal.SIGTERM)
