"""Which examples are held out of training. It is decided by the numbers of rows, before anything is learned from the
data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.data.source import DataSource
from dataflow.errors import DataError, TrainingError, counted
from dataflow.graph.graph import Graph

Rows = slice | np.ndarray
"""Rows in ascending order: a slice where they lie side by side."""

_DRAWN = (1,)
"""Sets the generator apart from those that shuffle epochs."""


def split_rows(
    count: int, validation: float | Mapping[str, Any], seed: int, column: Callable[[str], np.ndarray]
) -> tuple[Rows, Rows]:
    """The rows to train on and those to hold out, of ``count``: a share from the end, rounded up to whole examples.

    With ``shuffle`` they are drawn, by the seed alone. With ``stratify``, the name of a ``column``, each value of the
    column is held out in the same share, as nearly as whole examples can (the largest remainders are rounded up), and
    at least one of each stays.
    """
    stated = stated_keys(validation)
    held = held_count(stated.get("share", 0.0), count)
    if not held or not (stated.get("shuffle") or "stratify" in stated):
        return slice(0, count - held), slice(count - held, count)
    order = np.arange(count)
    if stated.get("shuffle"):
        order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=_DRAWN)).permutation(count)
    if "stratify" in stated:
        last = _last_of_each(order, _class_numbers(stated["stratify"], column(stated["stratify"])), held)
    else:
        last = order[count - held :]
    is_held = np.zeros(count, bool)
    is_held[last] = True
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def held_count(share: float, count: int) -> int:
    """How many of so many examples a share holds out. A ``TrainingError`` where that leaves none."""
    held = math.ceil(round(share * count, 9))
    if held >= count:
        raise TrainingError(
            f"validation = {share:g} holds out {held} of {counted(count, 'example')} and leaves none to train on"
        )
    return held


def stated_keys(validation: float | Mapping[str, Any]) -> Mapping[str, Any]:
    """What ``validation`` says, as a table."""
    return validation if isinstance(validation, Mapping) else {"share": validation}


def share_from_end(validation: float | Mapping[str, Any]) -> float:
    """The share of a stream that is held out, from its end."""
    stated = stated_keys(validation)
    if stated.get("shuffle") or "stratify" in stated:
        raise TrainingError(
            "validation: of a stream a share is held out from its end; leave out shuffle and stratify, or hold out a "
            "file of its own: validation = { file = ... }"
        )
    return float(stated.get("share", 0.0))


def split_source(
    source: DataSource, graph: Graph, inputs: Sequence[str], validation: float | Mapping[str, Any], seed: int
) -> tuple[Rows, Rows]:
    """The rows of a source to train on and those to hold out; ``inputs`` are those that have one for each example.
    Where a file of its own is held out, and where there are no examples, none."""
    stated = stated_keys(validation)
    stratify = stated.get("stratify")
    count = source.count(graph, inputs, [stratify] if stratify is not None and stratify not in inputs else [])
    if not inputs or not count or "file" in stated:
        return slice(0, count), slice(count, count)

    def column(name: str) -> np.ndarray:
        try:
            return source.cells(graph, name)
        except DataError as error:
            raise TrainingError(f"stratify: {error.message}") from None

    return split_rows(count, validation, seed, column)


def _class_numbers(name: str, values: np.ndarray) -> np.ndarray:
    """The number of each row's class."""
    rows = values.reshape(len(values), -1)
    if rows.shape[1] == 1:
        classes, numbers = np.unique(rows[:, 0], return_inverse=True)
    else:
        classes, numbers = np.unique(rows, return_inverse=True, axis=0)
    if 2 * len(classes) > len(rows):
        raise TrainingError(
            f"stratify takes a column of classes; '{name}' has {len(classes)} different values in "
            f"{counted(len(rows), 'row')}"
        )
    return numbers.reshape(-1)


def _last_of_each(order: np.ndarray, numbers: np.ndarray, held: int) -> np.ndarray:
    """Of the rows in this order the last of each class, ``held`` together unless that leaves none of a class."""
    counts = np.bincount(numbers)
    quotas, remainders = np.divmod(held * counts, len(order))
    by_remainder = np.argsort(-remainders, kind="stable")
    candidates = by_remainder[counts[by_remainder] - quotas[by_remainder] > 1]
    quotas[candidates[: held - quotas.sum()]] += 1
    in_order = numbers[order]
    parts = [order[in_order == i][count - quotas[i] :] for i, count in enumerate(counts)]
    return np.concatenate(parts)
