"""What numpy does about floating-point errors, ignored for a short while at a fifth of the time of ``np.errstate``."""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from typing import Any

import numpy as np


class ErrorState:
    """``state.ignore()`` ignores all errors until ``state.restore()`` is called with what it returned.

    numpy keeps its state in a variable of the context, and never changes a state in place. So what a state becomes when
    errors are ignored is made once, by ``np.errstate``, and kept with the state that it was made of.
    """

    def __init__(self) -> None:
        self._variable = _variable()
        self._made: tuple[Any, Any] = (self, None)
        """The last state outside, none at first, and what it becomes."""

    def ignore(self) -> Any:
        """Ignore all errors in this context. Returns what ``restore`` takes."""
        variable = self._variable
        if variable is None:
            return np.seterr(all="ignore")
        outside = variable.get(None)
        made_of, ignoring = self._made  # both at once: other threads may change them
        if made_of is not outside:
            with np.errstate(all="ignore"):
                ignoring = variable.get()
            self._made = outside, ignoring
        return variable.set(ignoring)

    def restore(self, before: Any) -> None:
        """Let the state be what it was."""
        if self._variable is None:
            np.seterr(**before)
        else:
            self._variable.reset(before)


def _variable() -> ContextVar[Any] | None:
    """The variable that ``np.errstate`` sets, which numpy does not name; ``None`` where it keeps its state
    elsewhere."""
    before = copy_context()
    with np.errstate(all="ignore"):
        changed = [variable for variable, value in copy_context().items() if before.get(variable) is not value]
    return changed[0] if len(changed) == 1 else None


ERROR_STATE = ErrorState()
