"""Is a learner's answer right, and if not, which mistake gives exactly these numbers?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.errors import TrainingError
from dataflow.faults.answers import Answer
from dataflow.faults.catalogue import catalogue
from dataflow.faults.learner import Arrays, Learner
from dataflow.graph import INPUT
from dataflow.model import Model
from dataflow.training.examples import checked_arrays, minibatches, split_inputs
from dataflow.training.settings import Settings, resolve

TOLERANCES = {"float64": 1e-9, "float32": 1e-4}
"""What exact numbers may differ by, relative to the largest of their array, by the dtype of the parameter."""


@dataclass(frozen=True)
class Compared:
    """One parameter's numbers: those given, the right ones, and where they differ."""

    name: str
    given: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    """A mask of the entries that differ; of another shape, all."""

    @property
    def ok(self) -> bool:
        return not self.wrong.any()

    @property
    def worst(self) -> tuple[int, ...]:
        """Where they differ most."""
        if self.given.shape != self.right.shape:
            return ()
        difference = np.where(self.wrong, np.abs(self.given - self.right), -1.0)
        return tuple(int(i) for i in np.unravel_index(int(np.nanargmax(difference)), difference.shape))

    @property
    def factor(self) -> float | None:
        """The number by which all entries are multiplied, if there is one."""
        nonzero = self.right != 0
        if self.ok or self.given.shape != self.right.shape or not nonzero.any():
            return None
        factor = float(np.sum(self.given * self.right) / np.sum(self.right * self.right))
        close = np.abs(self.given - factor * self.right) <= 1e-6 * np.abs(factor * self.right).max()
        return factor if factor and bool(close.all()) else None


@dataclass(frozen=True)
class Explained:
    """A mistake that gives the numbers of these parameters."""

    fault: str
    mistake: str
    remedy: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """What is right, what is wrong, and what explains it."""

    answer: Answer
    compared: tuple[Compared, ...]
    explained: tuple[Explained, ...]
    """So few mistakes as explain as much as can be; a mistake beyond the first explains what those before do not."""
    unexplained: tuple[str, ...]
    shows_nothing: tuple[str, ...]
    """Mistakes of the catalogue that change none of these numbers: they may have been made all the same."""

    @property
    def ok(self) -> bool:
        return all(one.ok for one in self.compared)


def diagnose(model: Model, answer: Answer, given: Mapping[str, Any]) -> Diagnosis:
    """Hold an answer against the right numbers for this data (and for parameters that are among what is given), then
    against what each mistake of the catalogue would have given.

    Gradients are those of the loss over all the data; parameters after epochs are those of the training that the
    model declares. A mistake counts if it gives all the numbers of a parameter, to as many decimals as they have.
    """
    if model.loss is None:
        raise TrainingError("the model has no loss, so there are no gradients to compare with")
    settings = _settings(model)
    parameters = {name: np.asarray(given.get(name, model.parameters[name])) for name in model.parameters}
    inputs = {name: value for name, value in given.items() if name not in parameters}

    def worked_out(learner: Learner) -> Arrays:
        if answer.epochs is None:
            return learner.used(learner.gradient(inputs))
        return _trained(learner, settings, inputs, answer.epochs)

    right = worked_out(Learner(model, parameters, settings.optimizer))
    compared = tuple(_compared(name, array, right[name], answer.decimals) for name, array in answer.arrays.items())
    tried = [(learner, worked_out(learner)) for learner in catalogue(model, parameters, settings.optimizer)]
    candidates = [_Candidate.of(learner, numbers, right, compared, answer.decimals) for learner, numbers in tried]
    found, left = _explained(candidates, [one.name for one in compared if not one.ok])
    showing = {type(one.learner).name for one in candidates if one.shows}
    silent = dict.fromkeys(type(learner).name for learner, _ in tried if type(learner).name not in showing)
    return Diagnosis(answer, compared, tuple(found), tuple(left), tuple(silent))


@dataclass(frozen=True)
class _Candidate:
    """A mistake: which wrong numbers it gives, how many right ones it leaves right, and whether it shows at all."""

    learner: Learner
    hit: frozenset[str]
    agrees: int
    shows: bool

    @classmethod
    def of(
        cls, learner: Learner, faulty: Arrays, right: Arrays, compared: Sequence[Compared], decimals: int | None
    ) -> _Candidate:
        given = {one.name for one in compared}
        shown = {name for name in given if _off(faulty[name], right[name], decimals).any()}
        same = {one.name for one in compared if _equal(one.given, faulty[one.name], decimals)}
        wrong = {one.name for one in compared if not one.ok}
        return cls(learner, frozenset(same & shown & wrong), len(same - wrong), bool(shown))


def _explained(candidates: Sequence[_Candidate], wrong: Sequence[str]) -> tuple[list[Explained], list[str]]:
    """Mistakes, each of which explains as much as can be of what those before do not; and what is left."""
    found: list[Explained] = []
    left = list(wrong)
    while left:
        best = max(candidates, key=lambda one: (len(one.hit & {*left}), one.agrees))
        names = tuple(name for name in left if name in best.hit)
        if not names:
            break
        found.append(Explained(best.learner.name, best.learner.mistake, best.learner.remedy, names))
        left = [name for name in left if name not in best.hit]
    return found, left


def _settings(model: Model) -> Settings:
    unsaid: dict[str, Any] = dict.fromkeys(
        ("batch_size", "optimizer", "learning_rate", "shuffle", "seed", "validation"), None
    )
    return resolve(model.train_settings, **unsaid, backend="numpy")


def _trained(learner: Learner, settings: Settings, inputs: Mapping[str, Any], epochs: int) -> Arrays:
    graph = learner.graph
    needed = [name for name in graph.names(INPUT) if name in graph.needed_for([learner.loss])]
    arrays = checked_arrays(learner.model, {name: inputs[name] for name in inputs if name in needed}, needed)
    batches, _ = minibatches(arrays, split_inputs(graph, needed), settings)
    with np.errstate(all="ignore"):
        while batches.epoch < epochs:
            learner.step(batches.current())
            batches.advance()
    return learner.parameters


def _compared(name: str, given: np.ndarray, right: np.ndarray, decimals: int | None) -> Compared:
    wrong = np.ones(right.shape, bool) if given.shape != right.shape else _off(given, right, decimals)
    return Compared(name, given, right, wrong)


def _off(given: np.ndarray, right: np.ndarray, decimals: int | None) -> np.ndarray:
    """Where two arrays differ by more than rounding."""
    finite = np.abs(right[np.isfinite(right)])
    tolerance = TOLERANCES.get(right.dtype.name, 0.0) * float(finite.max(initial=0.0))
    if decimals is not None:
        tolerance += 0.5001 * 10.0**-decimals
    same = (given == right) | (np.isnan(given) & np.isnan(right))
    return np.asarray(~same & ~(np.abs(given - right) <= tolerance))


def _equal(given: np.ndarray, faulty: np.ndarray, decimals: int | None) -> bool:
    return given.shape == faulty.shape and not _off(given, faulty, decimals).any()
