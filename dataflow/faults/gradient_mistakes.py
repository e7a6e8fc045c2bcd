"""Mistakes with gradients that are right in themselves: their sign, size and order, and of which examples they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from dataflow.faults.learner import Arrays, Mistaken, Task
from dataflow.graph.node import OP

MOST_VARIANTS = 30
"""So many matrices are tried one by one."""


class MissingMinus(Mistaken):
    """All signs of the gradient are turned, as by y − ŷ for ŷ − y, or the update is w + ε·∇f."""

    name = "missing minus"
    mistake = "all signs are turned: y − ŷ in place of ŷ − y, or w + ε·∇f in place of w − ε·∇f"
    remedy = "the gradient points uphill; the update subtracts it"

    def select(self, gradients: Arrays) -> Arrays:
        return {name: -gradient for name, gradient in gradients.items()}


class ForgottenHalf(Mistaken):
    """The ½ of ½(ŷ − y)² is forgotten, so that the gradient is 2(ŷ − y); or its square is, and it is ½(ŷ − y)."""

    name = "forgotten ½"

    def __init__(self, task: Task, factor: float) -> None:
        super().__init__(task)
        self.factor = factor
        self.name = "forgotten ½" if factor > 1 else "forgotten 2"

    @classmethod
    def variants(cls, task: Task) -> Iterator[Mistaken]:
        order = task.model.graph.schedule([str(task.model.loss)])
        compared = {
            task.model.graph.op_of(name).compares for name in order if task.model.graph.node_of(name).kind == OP
        }
        if compared.isdisjoint({"classes", "binary"}):  # else there is no square
            for factor in (2.0, 0.5):
                yield cls(task, factor)

    @property
    def mistake(self) -> str:
        if self.factor > 1:
            return "everything is twice as large: the derivative of (ŷ − y)² was taken, without the ½ before it"
        return "everything is half as large: the 2 of the derivative of the square was left out"

    remedy = "this loss is ½(ŷ − y)²; its derivative is ŷ − y, as the 2 of the square and the ½ cancel"

    def select(self, gradients: Arrays) -> Arrays:
        return {name: gradient * gradient.dtype.type(self.factor) for name, gradient in gradients.items()}


class MeanForSum(Mistaken):
    """The gradients of the examples are averaged, though the loss adds them up."""

    name = "mean instead of sum"
    other = "mean"

    @classmethod
    def variants(cls, task: Task) -> Iterator[Mistaken]:
        if task.model.graph.node_of(str(task.model.loss)).attributes.get("reduction") != cls.other:
            yield cls(task)

    mistake = "the gradients of the examples were averaged, but this loss adds them up"
    remedy = 'add them up, or declare the loss with reduction="mean"'

    def select(self, gradients: Arrays) -> Arrays:
        return {name: gradient / self.count for name, gradient in gradients.items()}

    def gradient(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        self.count = max(1, self.examples(batch)[0])
        return super().gradient(batch)


class SumForMean(MeanForSum):
    """The gradients of the examples are added up, though the loss averages them."""

    name = "sum instead of mean"
    other = "sum"
    mistake = "the gradients of the examples were added up, but this loss averages them"
    remedy = 'divide by the number of examples, or declare the loss with reduction="sum"'

    def select(self, gradients: Arrays) -> Arrays:
        return {name: gradient * self.count for name, gradient in gradients.items()}


class DividedTwice(MeanForSum):
    """The gradient is divided by the number of examples, though the loss is a mean already."""

    name = "divided by n twice"
    other = "sum"
    mistake = "the gradients were divided by the number of examples, but this loss is a mean already"
    remedy = "divide once: the gradient of a mean is the mean of the gradients"


class Transposed(Mistaken):
    """The gradient of a matrix is handed in transposed: x·δᵀ in place of δ·xᵀ."""

    name = "transposed matrix"
    only_hands_in_wrong = True
    mistake = "rows and columns are exchanged: the gradient's transpose was given, as by xᵀδ in place of δᵀx"
    remedy = "the gradient has the shape of its matrix: a row for each output, a column for each input"

    def __init__(self, task: Task, names: Sequence[str]) -> None:
        super().__init__(task)
        self.names = names

    @classmethod
    def variants(cls, task: Task) -> Iterator[Mistaken]:
        matrices = [name for name, value in task.parameters.items() if value.ndim == 2]
        for names in [matrices, *([name] for name in matrices[:MOST_VARIANTS] if len(matrices) > 1)]:
            if names:
                yield cls(task, names)

    def handed_in(self, results: Arrays) -> Arrays:
        return {name: array.T if name in self.names else array for name, array in results.items()}


class ColumnMajor(Mistaken):
    """vec of a matrix was read by columns where the row Jacobian is put back into the matrix's shape."""

    name = "column-major vec"
    mistake = "the entries stand column by column: vec was taken, or undone, in column-major order"
    remedy = "vec goes row by row: the first row's entries, then the second's"

    def select(self, gradients: Arrays) -> Arrays:
        return {name: gradient.reshape(-1, order="F").reshape(gradient.shape) for name, gradient in gradients.items()}


class NotReset(Mistaken):
    """Gradients are added to those of the minibatches before, which were used already."""

    name = "gradients not reset"
    mistake = "each update used the gradients of all minibatches so far, because they were not set to 0 between updates"
    remedy = "set the gradients to 0 after each update"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.total: Arrays = {}

    def select(self, gradients: Arrays) -> Arrays:
        self.total = {name: gradient + self.total.get(name, 0) for name, gradient in gradients.items()}
        return self.total


class LastExampleOnly(Mistaken):
    """The gradient of each example overwrites that of the one before, instead of being added to it."""

    name = "last example only"
    mistake = "only the last example counts: its gradient replaced those of the others"
    remedy = "add the gradients of all examples of the minibatch"

    def gradient(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        count, axes = self.examples(batch)
        if count > 1:
            batch = {name: x.take([count - 1], axes[name]) if name in axes else x for name, x in batch.items()}
        return super().gradient(batch)


class WrongExample(Mistaken):
    """The gradient is that of one example, of another than the one that was asked for, or of one of the batch."""

    name = "wrong example"
    remedy = "take the example that is asked for, counted from 0, or add up the gradients of all"

    def __init__(self, task: Task, number: int, example: Mapping[str, np.ndarray]) -> None:
        super().__init__(task)
        self.number, self.example = number, example

    @classmethod
    def variants(cls, task: Task) -> Iterator[Mistaken]:
        yield from ()  # the examples are the marker's to know

    @property
    def mistake(self) -> str:
        return f"these are the numbers of example {self.number} alone"

    def gradient(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        return super().gradient(self.example)
