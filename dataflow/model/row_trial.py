"""Whether a model says of each row what it would say of that row alone, so that rows may come in pieces."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from dataflow.errors import DataError, GraphError
from dataflow.execution.inputs import example_axis
from dataflow.model.tables import AskedModel, Predictor

_TRIED = 8  # examples that are predicted together and apart


def check_rows(model: AskedModel, arrays: Mapping[str, Any], given: Mapping[str, Any], needed: Collection[str]) -> None:
    """The stream gives the rows of the inputs that have some, and the others are given besides."""
    for name in needed:
        has_rows = example_axis(model.graph, name) == 0
        if has_rows and name in given:
            raise DataError(f"input '{name}' has a row for each example, which the stream gives; leave it out")
        if not has_rows and name in arrays and name not in given:
            raise DataError(
                f"input '{name}' has no row for each example, and a stream gives nothing but rows; give it with "
                f"--set {name}=..., {name}=...",
                node=name,
            )


class RowTrial:
    """Called with the inputs of some rows after the others: an error where what is said of a row depends on others, as
    a trial on the first few tells."""

    def __init__(self, model: AskedModel, given: Mapping[str, Any]) -> None:
        self._model, self._given = model, given
        self._predictor = Predictor(model, "numpy")
        self._few: dict[str, np.ndarray] = {}
        self._is_done = False

    def __call__(self, arrays: Mapping[str, Any]) -> None:
        if self._is_done:
            return
        graph, outputs = self._model.graph, self._predictor.outputs(arrays)
        needed = {x for name in outputs for x in self._predictor.needed[name]}
        check_rows(self._model, arrays, self._given, needed)
        split = [name for name in needed if example_axis(graph, name) == 0]
        for name in outputs:
            if example_axis(graph, name) is None and any(x in split for x in self._predictor.needed[name]):
                raise _mixed(name)
        for name in needed:
            array = np.asarray(arrays[name])
            before = [self._few[name]] if name in self._few and name in split else []
            self._few[name] = np.concatenate([*before, array[:_TRIED]])[:_TRIED] if name in split else array
        self._is_done = not split or self._try(split, outputs)

    def _try(self, split: Collection[str], outputs: Collection[str]) -> bool:
        """Whether there were rows enough."""
        count = min(len(self._few[name]) for name in split)
        if count < 2:
            return False
        cut = max(1, count // 3)
        whole, first, second = (
            self._predictor.values({name: x[rows] if name in split else x for name, x in self._few.items()})
            for rows in (slice(None), slice(cut), slice(cut, None))
        )
        for name in outputs:
            axis = example_axis(self._model.graph, name)
            if axis is None:
                continue
            apart = np.concatenate([first[name], second[name]], axis)
            slack = 1e3 * float(np.finfo(apart.dtype).eps) if apart.dtype.kind == "f" else 0.0
            scale = float(np.abs(apart[np.isfinite(apart)]).max(initial=0)) if slack else 0.0
            if not np.allclose(whole[name], apart, rtol=slack, atol=slack * scale, equal_nan=True):
                raise _mixed(name)
        return True


def _mixed(name: str) -> GraphError:
    return GraphError(
        f"the output '{name}' takes all rows at once, and a stream gives some after the others; predict without stream",
        node=name,
    )
