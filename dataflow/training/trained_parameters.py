"""Which parameters a run trains: those that the loss depends on, and that are not frozen."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from dataflow.autodiff.reverse import GradientGraph, gradient_graph
from dataflow.autodiff.training_graph import TrainingGraph
from dataflow.errors import DataflowWarning, TrainingError, listed, nearest
from dataflow.model.model import Model
from dataflow.support.texts import matches


@dataclass(frozen=True)
class Trained:
    """What a run trains, and how."""

    gradient: GradientGraph
    """Of the loss, with respect to the trained parameters."""
    names: list[str]
    held: list[str]
    """What a step reads and the optimizer does not change: state included."""
    needed: frozenset[str]
    """The nodes that a step needs: for the loss, its gradient and state."""


def trained_parameters(model: Model, training: TrainingGraph, kept: Collection[str]) -> Trained:
    """What is trained of a model that has a loss, which is differentiated in a graph of its nodes: neither what is
    ``kept``, because it is frozen, nor state. A warning names what else is not."""
    loss = str(model.loss)
    wanted = [name for name in model.parameters if name not in kept and name not in training.state]
    if not wanted:
        raise TrainingError("every parameter is frozen, so there is nothing to train")
    gradient = gradient_graph(training.graph, loss, wanted)
    names = [name for name in wanted if name in gradient.cotangents]
    if not names:
        of = "" if not kept else " that is not frozen"
        raise TrainingError(f"the loss '{loss}' depends on no parameter{of}, so there is nothing to train")
    needed = frozenset(
        gradient.graph.needed_for([loss, *(gradient.cotangents[name] for name in names), *training.updates.values()])
    )
    held = [name for name in model.parameters if name in needed and name not in names]
    unused = [name for name in wanted if name not in needed]
    undifferentiated = [name for name in held if name not in kept and name not in training.state]
    for group, how in ((unused, ""), (undifferentiated, " by anything that has a derivative")):
        if group:
            what = f"the loss does not depend on {listed(group)}{how}; not trained"
            warnings.warn(what, DataflowWarning, stacklevel=3)
    return Trained(gradient, names, held, needed)


def frozen_names(parameters: Iterable[str], patterns: Sequence[str]) -> set[str]:
    """The parameters that patterns name, in which ``*`` stands for any part of a name. A ``TrainingError`` for one
    that names none."""
    names = list(parameters)
    matched: set[str] = set()
    for pattern in patterns:
        matching = [name for name in names if matches(pattern, name)]
        if not matching:
            raise TrainingError(f"frozen: no parameter is called '{pattern}'{nearest(pattern, names)}")
        matched.update(matching)
    return matched
