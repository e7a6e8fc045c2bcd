"""A loop of a plan, traced as ``lax.scan``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from dataflow.plan import Instruction, Plan, View, concrete
from dataflow_jax.find_loops import Input, Listed, Loop, Made, Moving, Same
from dataflow_jax.table.entries import Kept, canonical, joined, neighbours
from dataflow_jax.views import window

Read = Callable[[int], Any]
Computed = Callable[[Instruction, list[Any], list[Any]], Any]
"""What an instruction makes, of its inputs and of what is required so far, which it may add to."""


class TracedLoop:
    """A step is handed what is the same each time, rows of arrays, and registers with what steps made before."""

    def __init__(self, plan: Plan, loop: Loop, slots: list[Any], read: Read) -> None:
        self._plan, self._loop, self._slots, self._read = plan, loop, slots, read
        self._body = plan.instructions[loop.start : loop.start + loop.period]
        self._same: dict[Any, Any] = {}
        self._rows: dict[Any, Moving | Listed] = {}
        self._ways: list[int] = []
        self._registers: dict[Any, tuple[Any, ...]] = {}
        self._following: dict[Any, tuple[Made, int]] = {}
        for place, inputs in enumerate(loop.inputs):
            for given, slot in zip(inputs, self._body[place].inputs, strict=True):
                self._hand(given, slot)

    def run(self, computed: Computed, required: list[Any]) -> None:
        """Fill the slots that others need."""
        loop, instructions = self._loop, self._plan.instructions

        def step(carried: Any, rows: Any) -> Any:
            number, registers, _ = carried
            made: list[Any] = []
            asked: list[Any] = []
            for inputs, instruction in zip(loop.inputs, self._body, strict=True):
                pairs = zip(inputs, instruction.inputs, strict=True)
                values = [self._value(given, slot, made, registers, rows, number) for given, slot in pairs]
                made.append(computed(instruction, values, asked))
            following = {
                key: (*registers[key][1:], self._seen(made[given.place], given.view, slot))
                for key, (given, slot) in self._following.items()
            }
            kept, last = ([made[place] for place in places] for places in (loop.kept, loop.last))
            return (number + 1, following, last), (kept, jnp.all(jnp.stack(asked)) if asked else ())

        ends = [self._body[place].output for place in loop.last]
        zeros = [jnp.zeros(concrete(self._plan.spec(slot)), self._dtype(slot)) for slot in ends]
        start = jnp.int32(0), self._registers, zeros
        back = self._is_backward()
        rows = {key: self._row_by_row(given, back) for key, given in self._rows.items()}
        (*_, last), (kept, right) = lax.scan(step, start, rows, length=loop.count, reverse=back)
        if not isinstance(right, tuple):
            required.append(jnp.all(right))
        for place, stack in zip(loop.kept, kept, strict=True):
            for number in range(loop.count):
                output = instructions[loop.start + number * loop.period + place].output
                self._slots[output] = Kept(stack, loop.count - 1 - number, -1) if back else Kept(stack, number, 1)
        for place, array in zip(loop.last, last, strict=True):
            self._slots[instructions[loop.stop - loop.period + place].output] = array

    def _hand(self, given: Input, slot: int) -> None:
        key = _key(given, self._plan)
        if isinstance(given, Same):
            self._same[key] = self._read(given.slot)
        elif isinstance(given, Made):
            if given.back:
                self._registers[key] = tuple(jnp.asarray(self._read(one), self._dtype(slot)) for one in given.first)
                self._following[key] = given, slot
        elif isinstance(given, Listed) and (within := self._within(given)) is not None:
            self._ways.append(within[1])
        else:
            self._rows[key] = given

    def _value(self, given: Input, slot: int, made: list[Any], registers: Any, rows: Any, number: Any) -> Any:
        key = _key(given, self._plan)
        if isinstance(given, Same):
            return self._same[key]
        if isinstance(given, Made):
            return registers[key][0] if given.back else self._seen(made[given.place], given.view, slot)
        if isinstance(given, Moving):
            return rows[key]
        within = self._within(given)
        if within is None:
            return self._seen(rows[key], given.view, slot)
        first, ahead = within
        place = first.place + ahead * number
        row = lax.dynamic_index_in_dim(first.stack, place, keepdims=False, allow_negative_indices=False)
        return self._seen(row, given.view, slot)

    def _within(self, given: Listed) -> tuple[Kept, int] | None:
        """Where rows are that all lie in a stack, one after the other: the first, and whether forwards or backwards.
        They are read where they lie."""
        values = [self._slots[root] for root in given.roots]
        if isinstance(values[0], Kept):
            count, ahead = neighbours(values)
            return (values[0], ahead) if count == len(values) else None
        return None

    def _seen(self, base: Any, view: View | None, slot: int) -> Any:
        return base if view is None else window(base, view, self._plan.spec(slot))

    def _dtype(self, slot: int) -> Any:
        return canonical(self._plan.spec(slot).dtype)

    def _is_backward(self) -> bool:
        """Whether rows are written and read from the last on, as those are that most of what it reads lie in."""
        return sum(self._ways) < 0

    def _row_by_row(self, given: Moving | Listed, back: bool) -> Any:
        """What the steps read, along a first axis."""
        count = self._loop.count
        if isinstance(given, Moving):
            view, spec = self._plan.views[given.slot], self._plan.spec(given.slot)
            offset = view.offset + given.step * (count - 1) if back else view.offset
            strides = (-given.step if back else given.step, *view.strides)
            longer = dataclasses.replace(view, offset=offset, strides=strides)
            return window(self._read(view.base), longer, dataclasses.replace(spec, shape=(count, *spec.shape)))
        dtype = self._dtype(given.roots[0])
        values = [kept if isinstance(kept := self._slots[root], Kept) else self._read(root) for root in given.roots]
        return joined(values[::-1] if back else values, 0, lambda one: jnp.asarray(one, dtype)[None])


def _key(given: Input, plan: Plan) -> Any:
    """Equal for what is the same, whichever node a view is of."""
    if isinstance(given, Moving):
        view = plan.views[given.slot]
        return view.base, view.offset, view.strides, given.step
    if isinstance(given, Made):
        view = given.view
        return (given.place, given.back, given.first, *((view.offset, view.strides) if view else ()))
    return given.roots if isinstance(given, Listed) else given.slot
