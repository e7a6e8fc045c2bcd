"""The optimizer's state in a trained model, with which further training goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.model.digests import parameter_digest
from dataflow.model.model import Model
from dataflow.training.minibatches.vectors import Group


@dataclass(frozen=True)
class OptimizerStart:
    """How the optimizer began."""

    updates: int = 0
    """Those of earlier runs that its state comes from; 0 where it began anew."""
    reason: str = ""
    """Why it began anew, though the model was trained before."""

    def __str__(self) -> str:
        """Empty for a model that was not trained before."""
        if self.reason:
            return f"the optimizer starts anew, {self.reason}"
        return f"the optimizer goes on after {self.updates} updates of training before" if self.updates else ""


def take_up_state(
    model: Model, groups: Sequence[Group], optimizer: str, names: Sequence[str], *, fresh: bool
) -> OptimizerStart:
    """Fill the groups with the state that ``model.training`` keeps of an optimizer's vectors of these ``names``, if it
    belongs to the parameters as they are. A file is not trusted: its record may be anything."""
    record = model.training
    if not record:
        return OptimizerStart()
    reason = "as it was asked to" if fresh else _why_not(model, record, groups, optimizer, names)
    if reason:
        return OptimizerStart(0, reason)
    for group in groups:
        for name in names:
            group.state[name][...] = record["state"][group.dtype.name][name]
    return OptimizerStart(_updates(record) or 0)


def _why_not(
    model: Model, record: Mapping[str, Any], groups: Sequence[Group], optimizer: str, names: Sequence[str]
) -> str:
    before = _item(record.get("optimizer"), "name")
    if before != optimizer:
        return f"as training before was by {before}"
    if _item(record.get("manifest"), "parameters") != parameter_digest(model):
        return "as the parameters were changed since"
    saved = [_item(record.get("state"), group.dtype.name) for group in groups]
    if _updates(record) is None or not all(map(_fits, saved, groups, [names] * len(groups))):
        return "as the state that was saved is of other parameters"
    return ""


def _updates(record: Mapping[str, Any]) -> int | None:
    """How many updates the saved state comes from: those before the run, and the run's, or its best epoch's."""
    best = record.get("best")
    run = record.get("steps") if best is None else _item(best, "steps")
    before = record.get("updates_before", 0)
    return before + run if type(run) is int and type(before) is int and min(run, before) >= 0 else None


def _fits(saved: Any, group: Group, names: Sequence[str]) -> bool:
    return _item(saved, "names") == list(group.names) and all(
        isinstance(array := _item(saved, name), np.ndarray)
        and (array.dtype, array.shape) == (group.dtype, group.parameters.shape)
        and bool(np.isfinite(array).all())
        for name in names
    )


def _item(table: Any, key: str) -> Any:
    return table.get(key) if isinstance(table, Mapping) else None
