"""Ctrl-C, SIGTERM and SIGHUP between two minibatches instead of in the middle of one."""

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


ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""The signals besides Ctrl-C that ask a process to end: from the system, and from a terminal that is closed."""

_open: list[Interrupt] = []
_shared = threading.local()


@contextmanager
def sharing(interrupt: Interrupt) -> Iterator[None]:
    """While this is open, ``deferred`` in this thread, which is not the main thread, gives this interrupt: another
    thread may request it."""
    _shared.interrupt = interrupt
    try:
        yield
    finally:
        del _shared.interrupt


@contextmanager
def deferred(*, terminate: bool = False, resend: bool = True) -> Iterator[Interrupt]:
    """While this is open, the first Ctrl-C (SIGINT) only sets ``requested``; the second raises ``KeyboardInterrupt`` at
    once. With ``terminate``, SIGTERM and SIGHUP set it, too. When this closes, the signal takes the effect that it has
    outside, unless ``resend`` is false: Ctrl-C raises ``KeyboardInterrupt``, the others end the process.

    Inside another one, the other's ``Interrupt`` is shared and nothing else changes: whoever opened the first decides.
    Nothing changes either outside the main thread, where Python allows no handlers (see ``sharing``), and for signals
    that are ignored; a program's own handler of SIGTERM or SIGHUP stays.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield getattr(_shared, "interrupt", interrupt)
        return
    if _open:
        yield _open[0]
        return

    def handler(number: int, frame: FrameType | None) -> None:
        if not interrupt.requested:
            interrupt.requested, interrupt.signal = True, number
        elif number == signal.SIGINT:  # a closing terminal or system sends several of the others
            raise KeyboardInterrupt

    previous: dict[int, Any] = {}
    if callable(signal.getsignal(signal.SIGINT)):
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, handler)
    for number in ENDING if terminate else ():
        if signal.getsignal(number) == signal.SIG_DFL:
            previous[number] = signal.signal(number, handler)
    _open.append(interrupt)
    try:
        yield interrupt
    finally:
        _open.clear()
        for number, own in previous.items():
            signal.signal(number, own)
        if interrupt.signal is not None and resend:
            signal.raise_signal(interrupt.signal)
