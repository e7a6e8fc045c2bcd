"""Count what an optimizer's update costs, by running it once on a few numbers that count their operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np

from dataflow.analysis.counting import OnlyCounted, Tally, counted
from dataflow.backends.optimizer import Optimizer
from dataflow.errors import RuleError
from dataflow.operations.operation_cost import Cost


class Watched(np.ndarray):
    """An array that counts the entries which numpy's functions read from such arrays and write to them."""

    tally: Tally | None = None

    def __array_finalize__(self, parent: Any) -> None:
        self.tally = getattr(parent, "tally", None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **more: Any) -> Any:
        arrays = {id(x): x for x in inputs if isinstance(x, Watched)}
        self._count("read", sum(x.size for x in arrays.values()))
        plain = [_plain(x) for x in inputs]
        outcome = getattr(ufunc, method)(*plain, **({"out": tuple(map(_plain, out))} if out else {}), **more)
        result = out[0] if out else self._like(outcome)
        self._count("written", np.size(result))
        return result

    def __setitem__(self, key: Any, value: Any) -> None:
        self._count("read", np.size(value))
        self._count("written", np.size(self[key]))
        super().__setitem__(key, _plain(value))

    def _count(self, what: str, entries: int) -> None:
        if self.tally is not None:
            self.tally[what] += int(entries)

    def _like(self, result: Any) -> Any:
        made: Watched = np.asarray(result).view(Watched)
        made.tally = self.tally
        return made


def update_cost(optimizer: Optimizer, size: int, itemsize: int) -> tuple[Cost, int, int]:
    """Return the cost of one update of a vector, and the bytes that its array operations read and write.

    An update does the same for each entry, so that what one entry and two cost tells what any number costs. A
    ``RuleError`` names an optimizer that cannot be run on numbers that count.
    """
    of_one, of_two = (_counts(optimizer, entries) for entries in (1, 2))
    total = {key: of_one[key] + (of_two[key] - of_one[key]) * (size - 1) for key in of_two}
    read, written = total.pop("read", 0), total.pop("written", 0)
    return (Cost(**total), read * itemsize, written * itemsize) if size else (Cost(), 0, 0)


def _counts(optimizer: Optimizer, entries: int) -> Tally:
    tally: Tally = Counter()

    def vector(numbers: Sequence[float]) -> Watched:
        watched: Watched = counted(np.array(numbers), tally, OnlyCounted).view(Watched)
        watched.tally = tally
        return watched

    parameters, gradients = vector([0.5] * entries), vector([0.25] * entries)
    state = {name: vector([0.125] * entries) for name in optimizer.state_names}
    try:
        with np.errstate(all="ignore"):
            copy(optimizer).update(parameters, gradients, state, 1)
    except Exception as error:  # (a plugin's own code runs here, and may raise anything)
        raise RuleError(
            f"what an update by '{optimizer.name}' costs cannot be counted: it takes no numbers that count ({error}); "
            f"the forward pass alone can be profiled"
        ) from error
    return tally


def _plain(array: Any) -> Any:
    return array.view(np.ndarray) if isinstance(array, Watched) else array
