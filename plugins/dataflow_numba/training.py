"""Minibatches one after the other without returning to Python: the tables that the compiled loop reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from functools import partial
from typing import Any

import numpy as np

from dataflow import registry
from dataflow.interfaces import Optimizer, TrainingLoop, TrainingTask
from dataflow.plan import concrete
from dataflow_numba import library
from dataflow_numba.backend import NumbaRunner, address
from dataflow_numba.interpreter import FIRST_OPERAND, FLOAT_NAMES, UPDATE
from dataflow_numba.lowering import SHARED_WORK
from dataflow_numba.stepping import Input, Loop, ProgramTable
from dataflow_numba.team import Team
from dataflow_numba.updating import BETA1, BETA2, DECAY, EPSILON, MOMENTUM, NESTEROV, OPTIMIZERS, RATE

NUMBERS = 8
"""How many numbers of an optimizer the loop's table has room for."""


def make_loop(task: TrainingTask) -> TrainingLoop | None:
    """``None`` where part of the work is left to numpy or to Python: an op without an instruction, an optimizer that is
    not known here."""
    if not _is_known(task.optimizer) or any(group.parameters.dtype.name not in FLOAT_NAMES for group in task.groups):
        return None
    sizes = [task.batch_size, task.count % task.batch_size or task.batch_size]
    runners = {size: NumbaRunner(task.plan(size), task.threads) for size in dict.fromkeys(sizes)}
    if not all(runner.program.is_whole and runner.code for runner in runners.values()):
        return None
    loss = next(iter(runners.values())).plan
    spec = loss.specs[loss.output_slots[0]]
    if spec is None or spec.dtype.name not in FLOAT_NAMES:
        return None
    return NumbaLoop(task, [runners[size] for size in sizes])


class NumbaLoop(TrainingLoop):
    """Minibatches of a task; ``runners`` are those for a whole minibatch and for the last of an epoch."""

    def __init__(self, task: TrainingTask, runners: Sequence[NumbaRunner]) -> None:
        self._task = task
        self._kept: list[Any] = []
        self._losses = np.zeros(1)
        self._numbers = np.zeros(NUMBERS)
        self._team = Team(max(runner.threads for runner in runners))
        self._data = {name: np.asarray(array, order="C") for name, array in task.data.items()}
        self._buffers = {
            name: np.empty((task.batch_size, *self._data[name].shape[1:]), self._data[name].dtype)
            for name in task.split
        }
        self._table = table = _table(Loop)
        programs = [self._program(runner) for runner in runners]
        table[Loop.PER_EPOCH] = -(-task.count // task.batch_size)
        table[Loop.BATCH_SIZE] = task.batch_size
        table[Loop.LAST_SIZE] = task.count % task.batch_size or task.batch_size
        table[Loop.INPUTS] = len(task.split)
        table[Loop.INPUT_TABLE] = self._address(self._inputs())
        table[Loop.PROGRAM], table[Loop.LAST_PROGRAM] = (self._address(program) for program in programs)
        updates = self._updates()
        table[Loop.UPDATES], table[Loop.UPDATE_WORDS] = self._address(updates), len(updates)
        table[Loop.SHARED] = self._team.shared
        self._train = partial(library.interpreter().function("train", 1), address(table))

    def run(self, batch: int, steps: int, order: np.ndarray | None, step: int) -> tuple[int, float]:
        if len(self._losses) < steps:
            self._losses = np.zeros(steps)
        numbers = _numbers(self._task.optimizer)
        self._numbers[: len(numbers)] = numbers
        rows = None if order is None else np.ascontiguousarray(order, np.int64)
        table = self._table
        table[Loop.STEPS], table[Loop.BATCH], table[Loop.STEP], table[Loop.FLAG] = steps, batch, step, 0
        table[Loop.ORDER] = 0 if rows is None else address(rows)
        table[Loop.LOSSES] = address(self._losses)
        self._team.run(self._train)
        done = int(table[Loop.DONE])
        return done, float(self._losses[done - 1]) if done else math.nan

    # -------------------------------------------------------------------------------------------- tables

    def _program(self, runner: NumbaRunner) -> np.ndarray:
        plan = runner.plan
        loss = plan.specs[plan.output_slots[0]]
        assert loss is not None
        value = np.zeros((), loss.dtype)
        inputs = []
        for slot, name in enumerate(self._task.inputs):
            spec = plan.specs[slot]
            inputs.append(
                self._data[name][: concrete(spec)[0]] if name in self._task.split and spec else self._data[name]
            )
        bases = runner.bases([*inputs, *self._task.parameters], [value, *self._task.gradients])
        (code,) = runner.code
        context = runner.context(bases)
        table = _table(ProgramTable)
        table[ProgramTable.CODE], table[ProgramTable.WORDS] = address(code), len(code)
        table[ProgramTable.CONTEXT] = address(context)
        table[ProgramTable.LOSS], table[ProgramTable.LOSS_DTYPE] = address(value), FLOAT_NAMES.index(loss.dtype.name)
        if runner.small is not None:
            table[ProgramTable.FUNCTION] = runner.small.address("step")
        self._kept += [runner, value, bases, context]
        return table

    def _inputs(self) -> np.ndarray:
        entries = []
        for name in self._task.split:
            entry = _table(Input)
            data = self._data[name]
            entry[Input.DATA], entry[Input.BUFFER] = address(data), address(self._buffers[name])
            entry[Input.ROW_BYTES] = data.dtype.itemsize * int(np.prod(data.shape[1:], dtype=np.int64))
            entry[Input.BASE] = 1 + self._task.inputs.index(name)
            entries.append(entry)
        return np.concatenate(entries) if entries else np.zeros(1, np.int64)

    def _updates(self) -> np.ndarray:
        """An instruction for each group."""
        optimizer = self._task.optimizer
        step, flag = (address(self._table) + self._table.itemsize * entry for entry in (Loop.STEP, Loop.FLAG))
        code: list[int] = []
        for group in self._task.groups:
            vectors = [group.parameters, group.gradients, *(group.state[name] for name in optimizer.state_names)]
            addresses = [address(vector) for vector in (*vectors, vectors[-1])[:4]]
            size = group.parameters.size
            operands = [OPTIMIZERS.index(optimizer.name), FLOAT_NAMES.index(group.parameters.dtype.name), size]
            operands += [*addresses, address(self._numbers), step, flag]
            code += [UPDATE, FIRST_OPERAND + len(operands), int(size > SHARED_WORK), *operands]
        return np.array(code, np.int64)

    def _address(self, array: np.ndarray) -> int:
        self._kept.append(array)
        return address(array)


def _table(entries: type[IntEnum]) -> np.ndarray:
    return np.zeros(len(entries), np.int64)


def _is_known(optimizer: Optimizer) -> bool:
    """Whether it is one of the optimizers written here: the registered one of that name, not another of the name."""
    own = type(optimizer).__module__.partition(".")[0] == "dataflow_nn"
    return own and optimizer.name in OPTIMIZERS and registry.optimizer(optimizer.name) is type(optimizer)


def _numbers(optimizer: Any) -> list[float]:
    numbers = {RATE: optimizer.learning_rate, DECAY: optimizer.weight_decay}
    if optimizer.name == "sgd":
        numbers |= {MOMENTUM: optimizer.momentum, NESTEROV: optimizer.nesterov}
    else:
        numbers |= {BETA1: optimizer.beta1, BETA2: optimizer.beta2, EPSILON: optimizer.epsilon}
    return [float(numbers[index]) for index in range(len(numbers))]
