"""Check a learner's answer and, if it is wrong, find the mistake that gives exactly these numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.autodiff.training_graph import training_graph
from dataflow.errors import TrainingError, listed
from dataflow.execution.inputs import needed_inputs
from dataflow.faults.answers import Answer
from dataflow.faults.catalogue import Examples, catalogue
from dataflow.faults.learner import Arrays, Learner, Task
from dataflow.model.model import Model
from dataflow.training.minibatches.examples import checked_arrays, minibatches, split_inputs
from dataflow.training.settings import Settings, resolve

TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2}
"""The tolerance for exact numbers, relative to the largest of their array, by the dtype of the parameter."""


MOST_EXAMPLES = 100
"""So many examples of a batch are tried as the only one."""


@dataclass(frozen=True)
class Compared:
    """One parameter's numbers: those given, the right ones, and where they differ."""

    name: str
    given: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    """A mask of the entries that differ; all of them where the shape differs."""

    @property
    def ok(self) -> bool:
        return not self.wrong.any()

    @property
    def worst(self) -> tuple[int, ...]:
        """The index at which they differ most."""
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
    also: tuple[str, ...] = ()
    """Other mistakes that give the same numbers of them."""


@dataclass(frozen=True)
class Closest:
    """Of numbers that nothing explains, what comes closest: a mistake, or the right numbers, where ``fault`` is
    empty."""

    fault: str
    mistake: str
    off: float
    """By how much the numbers are off at most."""
    place: tuple[int, ...]
    """Where they are off most."""
    entries: int
    """How many are off by more than rounding."""


@dataclass(frozen=True)
class Diagnosis:
    """What is right, what is wrong, and what explains it."""

    answer: Answer
    compared: tuple[Compared, ...]
    explained: tuple[Explained, ...]
    """As few mistakes as explain as much as possible; each after the first explains what those before do not."""
    unexplained: tuple[str, ...]
    closest: Mapping[str, Closest]
    """For each that is unexplained."""
    shows_nothing: tuple[str, ...]
    """Mistakes of the catalogue that change none of these numbers, so that they may have been made or not."""

    @property
    def ok(self) -> bool:
        return all(comparison.ok for comparison in self.compared)


def diagnose(model: Model, answer: Answer, data: Mapping[str, Any], others: Examples | None = None) -> Diagnosis:
    """Compare an answer with the right numbers for this data, which may include parameters, then with the numbers of
    each mistake of the catalogue.

    Gradients are those of the loss over all the data; parameters after epochs are those of the training that the
    model declares. A mistake counts if it gives all the numbers of a parameter, to as many decimals as they have.
    ``others`` are examples that may have been taken in the place of this data.
    """
    return Marker(model, data, others).diagnose(answer)


class Marker:
    """Compares answers with the right numbers and those of mistakes, which it works out once."""

    def __init__(self, model: Model, data: Mapping[str, Any], others: Examples | None = None) -> None:
        if model.loss is None:
            raise TrainingError("the model has no loss, so there are no gradients to compare with")
        self.model = model
        self.settings = resolve(model.train_settings, {})
        self.parameters = {name: np.asarray(data.get(name, model.parameters[name])) for name in model.parameters}
        self.inputs = {name: value for name, value in data.items() if name not in self.parameters}
        self.others = others
        self._worked_out: dict[int | None, tuple[Arrays, list[tuple[Learner, Arrays]]]] = {}

    def diagnose(self, answer: Answer) -> Diagnosis:
        """Compare an answer."""
        right, tried = self._numbers(answer.epochs)
        compared = tuple(
            Compared(name, array, right[name], _differs(array, right[name], answer.slack(name)))
            for name, array in answer.arrays.items()
        )
        candidates = [_Candidate.of(learner, numbers, right, compared, answer) for learner, numbers in tried]
        explanations, left = _explain(candidates, [comparison.name for comparison in compared if not comparison.ok])
        showing = {type(candidate.learner).name for candidate in candidates if candidate.shows}
        silent = dict.fromkeys(type(learner).name for learner, _ in tried if type(learner).name not in showing)
        closest = {name: _closest(name, answer, right, tried) for name in left}
        return Diagnosis(answer, compared, tuple(explanations), tuple(left), closest, tuple(silent))

    def _numbers(self, epochs: int | None) -> tuple[Arrays, list[tuple[Learner, Arrays]]]:
        """The right numbers, and those of each mistake."""
        if epochs not in self._worked_out:
            if epochs is not None:
                _check_plain(self.model, self.settings)
            task = Task(self.model, self.parameters, self.settings.rule)
            learner = Learner(task)
            others = self.others if self.others is not None else self._single_examples(learner)
            alone = others if epochs is None else None
            learners = catalogue(task, alone)
            right = self._work_out(learner, epochs)
            tried = [
                (each, each.handed_in(right if each.only_hands_in_wrong else self._work_out(each, epochs)))
                for each in learners
            ]
            self._worked_out[epochs] = right, tried
        return self._worked_out[epochs]

    def _work_out(self, learner: Learner, epochs: int | None) -> Arrays:
        if epochs is None:
            return learner.select(learner.gradient(self.inputs))
        return _train(learner, self.settings, self.inputs, epochs)

    def _single_examples(self, learner: Learner) -> Examples:
        """Each example of the batch but the last, which has a mistake of its own."""
        count, axes = learner.examples(self.inputs)
        return {
            number: {name: x.take([number], axes[name]) if name in axes else x for name, x in self.inputs.items()}
            for number in range(min(count - 1, MOST_EXAMPLES))
        }


@dataclass(frozen=True)
class _Candidate:
    """A mistake: which wrong numbers it gives, how many right ones it leaves right, and whether it shows at all."""

    learner: Learner
    hit: frozenset[str]
    agrees: int
    shows: bool

    @classmethod
    def of(
        cls, learner: Learner, faulty: Arrays, right: Arrays, compared: Sequence[Compared], answer: Answer
    ) -> _Candidate:
        slack = {comparison.name: answer.slack(comparison.name) for comparison in compared}
        shown = {name for name in slack if _differs(faulty[name], right[name], slack[name]).any()}
        same = {
            comparison.name
            for comparison in compared
            if not _differs(comparison.given, faulty[comparison.name], slack[comparison.name]).any()
        }
        wrong = {comparison.name for comparison in compared if not comparison.ok}
        return cls(learner, frozenset(same & shown & wrong), len(same - wrong), bool(shown))


def _explain(candidates: Sequence[_Candidate], wrong: Sequence[str]) -> tuple[list[Explained], list[str]]:
    """Mistakes, each of which explains as much as possible of what those before do not; and what is left."""
    explanations: list[Explained] = []
    left = list(wrong)
    while left:
        best = max(candidates, key=lambda candidate: (len(candidate.hit & {*left}), candidate.agrees))
        names = tuple(name for name in left if name in best.hit)
        if not names:
            break
        also = dict.fromkeys(
            candidate.learner.name
            for candidate in candidates
            if candidate.hit >= {*names} and candidate.agrees == best.agrees
        )
        also.pop(best.learner.name, None)
        learner = best.learner
        explanations.append(Explained(learner.name, learner.mistake, learner.remedy, names, tuple(also)))
        left = [name for name in left if name not in best.hit]
    return explanations, left


def _closest(name: str, answer: Answer, right: Arrays, tried: Sequence[tuple[Learner, Arrays]]) -> Closest:
    """What comes closest to an array; the right numbers where nothing is closer."""
    given, slack = answer.arrays[name], answer.slack(name)
    nearest = Closest("", "", np.inf, (), given.size)
    pairs: list[tuple[Learner | None, Arrays]] = [(None, right), *tried]
    for learner, numbers in pairs:
        if numbers[name].shape != given.shape:
            continue
        with np.errstate(invalid="ignore"):
            difference = np.nan_to_num(np.abs(given - numbers[name]), nan=np.inf)
        off = float(difference.max(initial=0.0))
        if off < nearest.off:
            place = tuple(int(i) for i in np.unravel_index(int(difference.argmax()), difference.shape))
            entries = int(_differs(given, numbers[name], slack).sum())
            fault, mistake = ("", "") if learner is None else (learner.name, learner.mistake)
            nearest = Closest(fault, mistake, off, place, entries)
    return nearest


def _check_plain(model: Model, settings: Settings) -> None:
    """Refuse training that no learner here follows."""
    extras = {"schedule": settings.course, "clip": settings.clip, "frozen": settings.frozen}
    used = [name for name, value in extras.items() if value] + ["accumulate"] * (settings.accumulate > 1)
    if training_graph(model.graph, str(model.loss), 0).graph is not model.graph:
        used.append("other bodies of ops in training")
    if used:
        raise TrainingError(
            f"parameters after epochs are followed for plain updates, and the model declares {listed(used)}; compare "
            "gradients instead"
        )


def _train(learner: Learner, settings: Settings, inputs: Mapping[str, Any], epochs: int) -> Arrays:
    graph = learner.graph
    needed = needed_inputs(graph, [learner.loss])
    arrays = checked_arrays(learner.model.graph, {name: inputs[name] for name in inputs if name in needed}, needed)
    batches, _ = minibatches(arrays, split_inputs(graph, needed), settings)
    with np.errstate(all="ignore"):
        while batches.epoch < epochs:
            learner.step(batches.current())
            batches.advance()
    return learner.parameters


def _differs(answer: np.ndarray, right: np.ndarray, slack: np.ndarray | float) -> np.ndarray:
    """Return where two arrays differ by more than rounding; everywhere if they have different shapes."""
    if answer.shape != right.shape:
        return np.ones(right.shape, bool)
    finite = np.abs(right[np.isfinite(right)])
    tolerance = np.asarray(TOLERANCES.get(right.dtype.name, 0.0) * float(finite.max(initial=0.0)))
    if np.shape(slack) in ((), right.shape):
        tolerance = tolerance + slack
    same = (answer == right) | (np.isnan(answer) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        return np.asarray(~same & ~(np.abs(answer - right) <= tolerance))
