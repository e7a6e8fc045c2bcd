"""Steps that a plan has written out, such as those of a recurrent layer, found again: XLA compiles one, in a scan.

A loop is a stretch of instructions that comes again and again with the same ops, attributes, shapes and dtypes, where
each input is the same in all steps, or made a fixed number of steps before, or one after the other of something that
is known beforehand. There has to be a product or a sum in it: elementwise ops alone are faster written out, for XLA
fuses them.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from dataflow.plan import Instruction, Plan, View
from dataflow.plan.passes.rewrite_plan import key_of

LEAST = 8
"""The fewest steps that are a loop; fewer stay written out."""
MOST_PIECES = 3
"""The most pieces of which the values that steps read one after the other are put together."""
MOST_PERIODS = 32
"""How many lengths of a step are tried."""
NEAR = 4
"""A step's product, or sum, comes again after so many like it, at most."""
HEAVY = ("matmul", "sum_to")
"""One of these is in each loop."""
WRITTEN_OUT = ("correlate", "correlate_kernel", "correlate_transpose")
"""XLA takes longer for these in a loop on processors."""


class Same(NamedTuple):
    """The same slot in all steps."""

    slot: int


class Made(NamedTuple):
    """A view of what the instruction ``place`` of a step made ``back`` steps before; 0 is the same step. The first
    ``back`` steps read other slots."""

    place: int
    back: int
    first: tuple[int, ...]
    view: View | None


class Moving(NamedTuple):
    """A view of a slot, further on by ``step`` entries in each step."""

    slot: int
    step: int


class Listed(NamedTuple):
    """A view of these slots, one for each step, which lie in few pieces: stretches of what a loop before this one made
    in one step after the other, forwards or backwards, and single slots."""

    roots: tuple[int, ...]
    view: View | None


Input: TypeAlias = Same | Made | Moving | Listed


@dataclass(frozen=True)
class Loop:
    """``count`` steps of ``period`` instructions from ``start`` on. Of what the instructions at these places of a step
    make, the results of all steps are needed later (``kept``), or that of the last step alone (``last``)."""

    start: int
    period: int
    count: int
    inputs: tuple[tuple[Input, ...], ...]
    kept: tuple[int, ...] = ()
    last: tuple[int, ...] = ()

    @property
    def stop(self) -> int:
        """The first instruction after it."""
        return self.start + self.period * self.count

    def place_of(self, position: int) -> tuple[int, int]:
        """The step of an instruction, and its place in it."""
        return divmod(position - self.start, self.period)


def find_loops(plan: Plan, is_free: Callable[[int, Instruction], bool]) -> list[Loop]:
    """The loops of a plan, in order; of instructions for which that function says so."""
    products = np.array([instruction.op.name in HEAVY for instruction in plan.instructions], bool)
    if products.sum() < LEAST:
        return []
    kinds = _kinds(plan, is_free)
    search, periods, known = _Search(plan), _periods(kinds, products), -1
    while known < len(search.loops):  # one that reads what another makes is found after it
        known = len(search.loops)
        for period in periods:
            for start, stop in _stretches(kinds, period, search.taken):
                if products[start : start + period].any():
                    search.try_stretch(start, stop, period)
    return search.finished()


def _kinds(plan: Plan, is_free: Callable[[int, Instruction], bool]) -> np.ndarray:
    """A number for each instruction: the same for those with equal ops, attributes, shapes and dtypes."""
    numbers: dict[object, int] = {}
    found = []
    for position, instruction in enumerate(plan.instructions):
        if instruction.op.name in WRITTEN_OUT or not is_free(position, instruction):
            found.append(-1 - position)
            continue
        specs = tuple(_described(plan, slot) for slot in (*instruction.inputs, instruction.output))
        key = key_of(instruction.op, (), instruction.attributes), specs
        found.append(numbers.setdefault(key, len(numbers)))
    return np.array(found, np.int64)


def _described(plan: Plan, slot: int) -> object:
    spec = plan.specs[slot]
    return slot if spec is None else (spec.shape, spec.dtype.str)


def _periods(kinds: np.ndarray, products: np.ndarray) -> list[int]:
    """The lengths that a step may have: how far products, or sums, of a kind are apart."""
    places: dict[int, list[int]] = defaultdict(list)
    for position in np.flatnonzero(products & (kinds >= 0)).tolist():
        places[int(kinds[position])].append(position)
    distances: Counter[int] = Counter()
    for positions in places.values():
        for ahead in range(1, NEAR + 1):
            distances.update(np.subtract(positions[ahead:], positions[:-ahead]).tolist())
    often = [period for period, times in distances.most_common(MOST_PERIODS) if times >= LEAST - 1]
    return sorted(often)


def _stretches(kinds: np.ndarray, period: int, taken: np.ndarray) -> Iterator[tuple[int, int]]:
    """The stretches that have this period."""
    if len(kinds) <= period:
        return
    free = ~taken
    equal = (kinds[:-period] == kinds[period:]) & free[:-period] & free[period:]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if stop + period - start >= LEAST * period:
            yield start, stop + period


class _UnlikeError(Exception):
    """An input at this place of a step is none that a loop has."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


class _Search:
    """The loops found so far."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._maker = {instruction.output: at for at, instruction in enumerate(plan.instructions)}
        self.taken = np.zeros(len(plan.instructions), bool)
        self.loops: list[Loop] = []

    def try_stretch(self, start: int, stop: int, period: int) -> None:
        """Take the first loop in it, after a first step that is only like one, and short of a last step that is not."""
        for short in (0, period):
            first = start
            while first < start + 2 * period and (count := (stop - short - first) // period) >= LEAST:
                try:
                    loop = self._loop(first, period, count)
                except _UnlikeError as unlike:
                    first += unlike.place + 1
                    continue
                self.taken[loop.start : loop.stop] = True
                self.loops.append(loop)
                return

    def finished(self) -> list[Loop]:
        """The loops with what is needed of them, once all are known."""
        plan = self._plan
        loops = sorted(self.loops, key=lambda loop: loop.start)
        owner = {at: loop for loop in loops for at in range(loop.start, loop.stop)}
        needed: dict[int, dict[int, set[int]]] = {loop.start: defaultdict(set) for loop in loops}

        def note(slot: int, reader: Loop | None) -> None:
            at = self._maker.get(plan.root(slot), -1)
            if at in owner and owner[at] is not reader:
                step, place = owner[at].place_of(at)
                needed[owner[at].start][place].add(step)

        for at, instruction in enumerate(plan.instructions):
            for slot in instruction.inputs:
                note(slot, owner.get(at))
        for slot in plan.output_slots:
            note(slot, None)
        result = []
        for loop in loops:
            end = {loop.count - 1}
            of = needed[loop.start]
            kept, last = (tuple(sorted(p for p in of if (of[p] == end) is alone)) for alone in (False, True))
            result.append(dataclasses.replace(loop, kept=kept, last=last))
        return result

    def _loop(self, start: int, period: int, count: int) -> Loop:
        loop = Loop(start, period, count, ())
        instructions = self._plan.instructions
        inputs = []
        for place in range(period):
            steps = [instructions[start + step * period + place].inputs for step in range(count)]
            found = [self._input(loop, slots) for slots in zip(*steps, strict=True)]
            if None in found:
                raise _UnlikeError(place)
            inputs.append(tuple(one for one in found if one is not None))
        return dataclasses.replace(loop, inputs=tuple(inputs))

    def _input(self, loop: Loop, slots: Sequence[int]) -> Input | None:
        plan = self._plan
        makers = [self._maker.get(plan.root(slot), -1) for slot in slots]
        inside = [loop.start <= maker < loop.stop for maker in makers]
        if not any(inside):
            if len(set(slots)) == 1:
                return Same(slots[0])
            return self._moving(slots) or self._listed(slots, makers)
        if not inside[-1]:
            return None
        step, place = loop.place_of(makers[-1])
        back = loop.count - 1 - step
        view = _window(plan.views.get(slots[-1]))
        for number, slot in enumerate(slots):
            if inside[number] != (number >= back):
                return None
            if inside[number] and (
                loop.place_of(makers[number]) != (number - back, place) or _window(plan.views.get(slot)) != view
            ):
                return None
        return Made(place, back, tuple(slots[:back]), plan.views.get(slots[-1]))

    def _moving(self, slots: Sequence[int]) -> Moving | None:
        views = [self._plan.views.get(slot) for slot in slots]
        windows = [_window(view) for view in views]
        bases = {None if view is None else view.base for view in views}
        if None in bases or len(bases) > 1 or len({strides for _, strides in windows if strides is not None}) > 1:
            return None
        offsets = np.diff([offset for offset, _ in windows])
        return Moving(slots[0], int(offsets[0])) if (offsets == offsets[0]).all() else None

    def _listed(self, slots: Sequence[int], makers: Sequence[int]) -> Listed | None:
        plan = self._plan
        views = [plan.views.get(slot) for slot in slots]
        roots = [plan.root(slot) for slot in slots]
        specs = {(plan.spec(root).shape, plan.spec(root).dtype.str) if plan.specs[root] else None for root in roots}
        if len({_window(view) for view in views}) > 1 or len(specs) > 1 or None in specs:
            return None
        return Listed(tuple(roots), views[0]) if self._pieces(makers) <= MOST_PIECES else None

    def _pieces(self, makers: Sequence[int]) -> int:
        """In how many pieces what these instructions make will lie."""
        pieces, way, before = 1, 0, self._origin(makers[0])
        for maker in makers[1:]:
            origin = self._origin(maker)
            ahead = origin[1] - before[1] if origin[0] == before[0] is not None else 0
            goes_on = abs(ahead) == 1 and way in (0, ahead)
            pieces, way, before = (pieces, ahead, origin) if goes_on else (pieces + 1, 0, origin)
        return pieces

    def _origin(self, maker: int) -> tuple[tuple[int, int] | None, int]:
        """The loop and the place in it of an instruction, and its step; ``None`` where it is in no loop."""
        loop = next((loop for loop in self.loops if loop.start <= maker < loop.stop), None)
        if loop is None:
            return None, maker
        step, place = loop.place_of(maker)
        return (loop.start, place), step


def _window(view: View | None) -> tuple[int, tuple[int, ...] | None]:
    return (0, None) if view is None else (view.offset, view.strides)
