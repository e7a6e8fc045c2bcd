"""Minibatches one after the other without returning to Python: the tables that the compiled loop reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from dataflow.backends.interface import TrainingLoop, TrainingTask, VectorGroup
from dataflow.backends.optimizer import ACCUMULATED, Optimizer
from dataflow.plan import concrete
from dataflow.support.arrays import address
from dataflow_llvm.compiling import machine_code
from dataflow_llvm.kernels.interpreter import FIRST_OPERAND, FLOAT_NAMES, UPDATE
from dataflow_llvm.kernels.training_steps import Input, Loop, ProgramTable, State
from dataflow_llvm.kernels.update_loop import KERNELS, NUMBERS
from dataflow_llvm.lowering.emitter import SHARED_WORK
from dataflow_llvm.running.runner import LlvmRunner
from dataflow_llvm.running.thread_team import Team
from dataflow_nn.optimizers import SGD, Adagrad, Adam, AdamW, Lion, RMSprop

UPDATES: dict[type[Optimizer], str] = {
    SGD: "sgd",
    Adam: "adam",
    AdamW: "adam",
    RMSprop: "rmsprop",
    Adagrad: "adagrad",
    Lion: "lion",
}
"""The kernel for each optimizer that has one: for these classes alone, since a subclass may update otherwise."""


BATCH, STEP, FLAG, ORDER, RATES, DONE = map(int, (Loop.BATCH, Loop.STEP, Loop.FLAG, Loop.ORDER, Loop.RATES, Loop.DONE))
"""What every call reads or writes, as plain numbers: members of an enumeration take several times as long."""


def make_loop(task: TrainingTask) -> TrainingLoop | None:
    """``None`` where part of the work is left to numpy or to Python: an op without an instruction, an optimizer
    without a kernel."""
    changing = [*(group.parameters for group in task.groups), *(array for array, _ in task.state)]
    dtypes = {array.dtype.name for array in changing}
    if type(task.optimizer) not in UPDATES or not dtypes <= set(FLOAT_NAMES):
        return None
    sizes = [task.batch_size, task.count % task.batch_size or task.batch_size]
    runners = {size: LlvmRunner(task.plan(size), task.threads) for size in dict.fromkeys(sizes)}
    if not all(runner.program.is_whole and runner.code for runner in runners.values()):
        return None
    loss = next(iter(runners.values())).plan
    spec = loss.specs[loss.output_slots[0]]
    if spec is None or spec.dtype.name not in FLOAT_NAMES:
        return None
    return LlvmLoop(task, [runners[size] for size in sizes])


class LlvmLoop(TrainingLoop):
    """Minibatches of a task; ``runners`` are those for a whole minibatch and for the last of an epoch."""

    def __init__(self, task: TrainingTask, runners: Sequence[LlvmRunner]) -> None:
        self._task = task
        self._kernel = UPDATES[type(task.optimizer)]
        self._kept: list[Any] = []
        self._losses = np.zeros(1)
        self._numbers = np.zeros(len(NUMBERS[self._kernel]))
        self._numbers_of, self._known_numbers = attrgetter(*NUMBERS[self._kernel]), ()
        self._team = Team(max(runner.threads for runner in runners))
        self._data = {name: np.asarray(array, order="C") for name, array in task.data.items()}
        self._buffers = {
            name: np.empty((task.batch_size, *self._data[name].shape[1:]), self._data[name].dtype)
            for name in task.split
        }
        self.undoes_one = task.accumulate == 1
        self._before = [
            np.empty((1 + len(group.state), group.parameters.size), group.parameters.dtype)
            for group in task.groups
            if self.undoes_one
        ]
        self._state_before = [np.empty_like(array) for array, _ in task.state]
        self._vectors_kept = np.zeros(1, np.int64)
        self._table = table = _table(Loop)
        self._entries = memoryview(table)
        programs = [self._program(runner) for runner in runners]
        table[Loop.PER_EPOCH] = -(-task.count // task.batch_size)
        table[Loop.BATCH_SIZE] = task.batch_size
        table[Loop.LAST_SIZE] = task.count % task.batch_size or task.batch_size
        table[Loop.INPUTS] = len(task.split)
        table[Loop.INPUT_TABLE] = self._address(self._inputs())
        table[Loop.PROGRAM], table[Loop.LAST_PROGRAM] = (self._address(program) for program in programs)
        table[Loop.ACCUMULATE] = task.accumulate
        gathers = self._gathers()
        table[Loop.GATHERS], table[Loop.GATHER_WORDS] = self._address(gathers), len(gathers)
        codes = [np.concatenate([self._clips(), self._updates(keeps)]) for keeps in (False, self.undoes_one)]
        self._codes = [(self._address(code), len(code)) for code in codes]
        """The updates of several minibatches, and those of one alone, which keep what was there before."""
        table[Loop.RATE] = address(self._numbers)
        table[Loop.SHARED] = self._team.shared
        table[Loop.NUMBER] = self._address(np.zeros(1, np.int64) if task.number is None else task.number)
        table[Loop.STATES], table[Loop.STATE_TABLE] = len(task.state), self._address(self._states())
        train = partial(machine_code.interpreter().function("train", 1), address(table))
        self._train = train if self._team.count == 1 else partial(self._team.run, train)
        self._prepare(1)

    def run(self, batch: int, steps: int, order: np.ndarray | None, step: int) -> tuple[int, float]:
        numbers = self._numbers_of(self._task.optimizer)
        if numbers != self._known_numbers:
            self._take_numbers(numbers)
        entries = self._entries
        if steps != self._steps:
            self._prepare(steps)
        entries[BATCH], entries[STEP], entries[FLAG] = batch, step, 0
        rows = None if order is None else np.ascontiguousarray(order, np.int64)
        entries[ORDER] = 0 if rows is None else address(rows)
        if self._task.rates is not None:
            rates = self._task.rates(step, step + steps)
            entries[RATES] = address(rates)
        if steps == 1 and self._state_before:
            for (array, _), before in zip(self._task.state, self._state_before, strict=True):
                before[...] = array
        self._train()
        done = entries[DONE]
        if done:
            return done, self._read_losses[done - 1]
        if steps == 1 and self.undoes_one:
            self._undo(updated=entries[STEP] != step)
        return 0, math.nan

    def _prepare(self, steps: int) -> None:
        """Make the table ready for so many steps: one alone keeps what was there before."""
        if len(self._losses) < steps:
            self._losses = np.zeros(steps)
        self._read_losses = memoryview(self._losses)
        table, self._steps = self._table, steps
        table[Loop.STEPS], table[Loop.LOSSES] = steps, address(self._losses)
        table[Loop.UPDATES], table[Loop.UPDATE_WORDS] = self._codes[steps == 1]

    def _take_numbers(self, numbers: tuple[float, ...]) -> None:
        self._numbers[:] = numbers
        self._known_numbers = numbers if all(isinstance(number, (int, float, np.generic)) for number in numbers) else ()
        optimizer = self._task.optimizer
        has_state = not isinstance(optimizer, SGD) or bool(optimizer.momentum)
        self._vectors_kept[0] = 1 + has_state * len(optimizer.state_names)

    def _undo(self, updated: bool) -> None:
        """Put back what was there before the step."""
        for (array, _), before in zip(self._task.state, self._state_before, strict=True):
            array[...] = before
        if updated:
            for group, kept in zip(self._task.groups, self._before, strict=True):
                vectors = [group.parameters, *(group.state[name] for name in self._task.optimizer.state_names)]
                for vector, before in list(zip(vectors, kept, strict=True))[: int(self._vectors_kept[0])]:
                    vector[...] = before

    # -------------------------------------------------------------------------------------------- tables

    def _program(self, runner: LlvmRunner) -> np.ndarray:
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
        bases = runner.bases([*inputs, *self._task.fixed], [value, *self._task.written])
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
        return _side_by_side(entries)

    def _states(self) -> np.ndarray:
        entries = []
        for array, new in self._task.state:
            entry = _table(State)
            entry[State.ARRAY], entry[State.NEW] = address(array), address(new)
            entry[State.COUNT], entry[State.DTYPE] = array.size, FLOAT_NAMES.index(array.dtype.name)
            entries.append(entry)
        return _side_by_side(entries)

    def _updates(self, keeps: bool) -> np.ndarray:
        """The optimizer's instruction for each group, which may keep what was there before."""
        step = self._entry(Loop.STEP)
        code: list[int] = []
        for number, group in enumerate(self._task.groups):
            state = [group.state[name] for name in self._task.optimizer.state_names]
            before = self._before[number] if keeps else None
            code += self._instruction(self._kernel, group, state, self._numbers, step, before=before)
        return np.array(code, np.int64)

    def _gathers(self) -> np.ndarray:
        """An instruction for each group where several minibatches make an update."""
        if self._task.accumulate == 1:
            return np.zeros(0, np.int64)
        numbers = np.zeros(len(NUMBERS["gather"]))
        self._table[Loop.GATHER_NUMBERS] = self._address(numbers)
        code: list[int] = []
        for group in self._task.groups:
            code += self._instruction("gather", group, [group.state[ACCUMULATED]], numbers)
        return np.array(code, np.int64)

    def _clips(self) -> np.ndarray:
        """Instructions for each group where gradients are clipped."""
        clip, groups, code = self._task.clip, self._task.groups, list[int]()
        if clip is None:
            return np.zeros(0, np.int64)
        if "value" in clip:
            for group in groups:
                code += self._instruction("clip_value", group, [], np.array([clip["value"]]))
            return np.array(code, np.int64)
        numbers = np.array([clip["norm"], 0.0])
        for number, group in enumerate(groups):
            place = self._address(np.array([number]))
            code += self._instruction("squares", group, [], numbers, place, shared=False)
        for group in groups:
            code += self._instruction("clip_norm", group, [], numbers)
        return np.array(code, np.int64)

    def _instruction(
        self,
        kernel: str,
        group: VectorGroup,
        state: Sequence[np.ndarray],
        numbers: np.ndarray,
        step: int | None = None,
        *,
        shared: bool = True,
        before: np.ndarray | None = None,
    ) -> list[int]:
        """A kernel over a group; ``step`` is the address of the whole number that it gets, ``before`` has a row for
        each vector that it changes."""
        vectors = [group.parameters, group.gradients, *state]
        addresses = [address(vector) for vector in (*vectors, vectors[-1], vectors[-1])[:4]]
        size = group.parameters.size
        operands = [KERNELS.index(kernel), FLOAT_NAMES.index(group.parameters.dtype.name), size, *addresses]
        operands += [self._address(numbers), step or self._entry(Loop.STEP), self._entry(Loop.FLAG)]
        operands += [0 if before is None else address(before), address(self._vectors_kept)]
        return [UPDATE, FIRST_OPERAND + len(operands), int(shared and size > SHARED_WORK), *operands]

    def _entry(self, entry: Loop) -> int:
        """The address of an entry of the loop's table."""
        return address(self._table) + self._table.itemsize * entry

    def _address(self, array: np.ndarray) -> int:
        self._kept.append(array)
        return address(array)


def _side_by_side(entries: list[np.ndarray]) -> np.ndarray:
    """The entries of a table, which has an address also where there are none."""
    return np.concatenate(entries) if entries else np.zeros(1, np.int64)


def _table(entries: type[IntEnum]) -> np.ndarray:
    return np.zeros(len(entries), np.int64)
