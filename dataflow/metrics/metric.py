"""What a metric is: what says, in a number or a table, how well predictions fit their targets."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np

from dataflow.errors import PluginError
from dataflow.metrics.compared import Compared, Kept, joined
from dataflow.operations.op import Compares
from dataflow.registry.registry import declare_kind
from dataflow.support.arguments import checked, describe
from dataflow.support.docstrings import doc_of

Better = Literal["higher", "lower"]
Usual = Literal["training", "score", "asked"]


class Metric:
    """``function(compared)`` returns a number, or an array where ``table`` says so.

    Where ``part`` is given, it looks at some of the examples, and ``function`` gets what it gave for all pieces of the
    data, added up with ``+=``: then data need not be in memory. Else the predictions and targets of all examples are
    kept for it.

    A function whose name ends in ``_k`` and that has a keyword-only ``k`` declares one metric for each whole number
    from 1: ``top_k`` is asked for as ``top_1``, ``top_2``, ...
    """

    def __init__(
        self,
        function: Callable[..., Any],
        fits: tuple[Compares, ...],
        better: Better,
        usual: Usual = "asked",
        *,
        table: bool = False,
        part: Callable[..., Any] | None = None,
        k: int | None = None,
    ) -> None:
        if not inspect.isfunction(function):
            raise PluginError(f"a metric is declared by a function with def, not by {describe(function)}")
        self.function = function
        self._part = part
        self.name = function.__name__.rstrip("_")
        self.doc = doc_of(function)
        self.fits, self.better, self.usual, self.table = fits, better, usual, table
        self.numbered = "k" in inspect.signature(part or function).parameters
        """Whether a number belongs to its name, in the place of ``k``."""
        self.k = k
        if k is not None:
            self.name = f"{self.name.removesuffix('k')}{k}"
        if not self.doc:
            raise PluginError(f"metric '{self.name}' has no docstring; say in one line what it measures")
        if not fits or not set(fits) <= set(get_args(Compares)):
            raise PluginError(f"metric '{self.name}' fits some of {', '.join(get_args(Compares))}, not {fits!r}")
        if self.numbered and k is None and not self.name.endswith("_k"):
            raise PluginError(f"metric '{self.name}' takes k, so that its name has to end in _k")

    def __repr__(self) -> str:
        return f"<metric {self.name}>"

    def numbered_with(self, k: int) -> Metric:
        """The metric of a family for this number."""
        return Metric(self.function, self.fits, self.better, self.usual, table=self.table, part=self._part, k=k)

    def measure(self, compared: Compared) -> Any:
        """The number, or the array of a table; of no examples, no number."""
        return self.whole(self.part(compared), len(compared.prediction))

    def part(self, compared: Compared) -> Any:
        """What some of the examples give, to be added up with that of others."""
        if self._part is None:
            return Kept([compared])
        with np.errstate(all="ignore"):
            return self._part(compared) if self.k is None else self._part(compared, k=self.k)

    def whole(self, parts: Any, examples: int) -> Any:
        """The number, or the array, for what the parts of so many examples gave together."""
        if not self.table and not examples:
            return math.nan
        numbered = {} if self.k is None or self._part is not None else {"k": self.k}
        with np.errstate(all="ignore"):
            result = self.function(joined(parts.pieces) if self._part is None else parts, **numbered)
        return np.asarray(result) if self.table else float(result)


@checked
def metric(
    *fits: Compares,
    better: Better,
    usual: Usual = "asked",
    table: bool = False,
    part: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Metric]:
    """Declare a metric: ``@metric("numbers", better="lower") def rmse(compared): ...``.

    ``fits`` are the kinds of comparison that it makes sense for, those that losses declare (``compares``). ``usual``
    says where it is shown if nobody names metrics: after each epoch of training and in scores, in scores alone, or
    nowhere. ``table`` is for a metric that gives an array, which training leaves out. ``part(compared)`` is for one
    that can be put together from pieces of the data: the function gets the sum of what it returns.
    """
    return lambda function: Metric(function, fits, better, usual, table=table, part=part)


declare_kind("metric", Metric)
