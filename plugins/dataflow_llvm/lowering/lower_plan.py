"""A plan as a program for the interpreter: its instructions as whole numbers, and the places that they refer to.

What the interpreter has no instruction for is left to numpy, and runs between two stretches of the program.
"""

from __future__ import annotations

import numpy as np

from dataflow.operations.engine_ops import matmul, random_uniform
from dataflow.plan import Instruction, Plan, Region
from dataflow.plan.structure import contiguous
from dataflow_llvm.kernels.interpreter import FLOAT_NAMES, RANDOM, REGION, SHORT_REGION, TOTAL
from dataflow_llvm.kernels.reductions import PIECE
from dataflow_llvm.lowering import lower_moves
from dataflow_llvm.lowering.added_products import Addition, added_products
from dataflow_llvm.lowering.emitter import SHARED_WORK, Emitter, at, dtype_number
from dataflow_llvm.lowering.finished_products import finished_products
from dataflow_llvm.lowering.fuse_region import MOST_WEIGHT, fused, is_whole_sum, regions_to_fuse, whole_sums
from dataflow_llvm.lowering.lower_products import Products
from dataflow_llvm.lowering.lower_reductions import lower_reduction
from dataflow_llvm.lowering.lower_region import Lowered, lower_region
from dataflow_llvm.lowering.lower_windows import WINDOW_OPS, lower_windows
from dataflow_llvm.lowering.places import Place
from dataflow_llvm.lowering.program import Program

RANDOM_WORK = 10
"""The elements of a copy that take as long as a random number."""


def lower(plan: Plan) -> Program:
    """The program of a plan."""
    lowering = _Lowering(plan)
    program, position = lowering.program, 0
    for stretch in plan.stretches():
        start, begun = position, program.end
        position = stretch.stop if isinstance(stretch, Region) else position + 1
        lowering.add(stretch)
        program.parts.append((start, position, begun, program.end))
    begun = program.end
    lowering.finish()
    program.parts.append((position, position, begun, program.end))
    return program


class _Lowering(Emitter):
    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._operations = 0
        self._weight = 0
        self._worth = regions_to_fuse(plan)
        self._sums = whole_sums(plan)
        self._partial: dict[int, Place] = {}
        """The sums of the tiles of slots that a region adds up."""
        self._products = Products(self)
        self._added = added_products(plan)
        self._finished = finished_products(plan, self._added)
        self._done: set[int] = set()
        """Where the regions begin that a product has done."""
        self._late: dict[int, Instruction] = {}
        """Products that are computed where these regions begin."""
        self._rest: dict[int, Region] = {}
        """What is left of the regions that begin there, whose first addition a product has done."""

    def add(self, stretch: Instruction | Region) -> None:
        if isinstance(stretch, Region):
            stretch = self._rest.get(stretch.start, stretch)
            done = self._region(stretch)
        else:
            done = self._instruction(stretch)
        if not done:
            self._leave(stretch)

    def _leave(self, stretch: Instruction | Region) -> None:
        """Leave a stretch to numpy, which takes its arrays from the same places."""
        self.program.stretches.append(stretch)
        outputs = stretch.outputs if isinstance(stretch, Region) else (stretch.output,)
        for slot in (*stretch.inputs, *outputs):
            if self.plan.specs[slot] is not None:
                self.places.of(slot)

    def finish(self) -> None:
        """Copy the outputs that are arguments, constants, views, or another output."""
        for base, slot in self.places.copied_outputs:
            source = self.places.of(slot)
            target = Place(base, 0, source.shape, contiguous(source.shape), source.dtype)
            if not self.copy(source, target):
                self.program.stretches.append((base, slot))

    # -------------------------------------------------------------------------------------------- regions

    def _region(self, region: Region) -> bool:
        late = self._late.get(region.start)
        if late is not None and not (self._finish_product(late) or self._add_product(late)):
            self._leave(late)
        if region.size == 0 or region.start in self._done:
            return True
        before = len(self.program.walks)
        lowered = self._own_region(region)
        if lowered is None:
            del self.program.walks[before:]
            lowered = lower_region(self.plan, region, self.places, self.program.walks, region.outputs)
        if lowered is None:
            del self.program.walks[before:]
            return False
        self.program.regions.append(lowered)
        shared = lowered.size * (region.stop - region.start) > SHARED_WORK and lowered.size > lowered.tile
        self.emit(
            SHORT_REGION if lowered.is_short else REGION,
            shared,
            FLOAT_NAMES.index(lowered.dtype),
            self._operations,
            len(lowered.operations),
            lowered.size,
            lowered.tile,
        )
        self._operations += len(lowered.operations)
        return True

    def _own_region(self, region: Region) -> Lowered | None:
        """Lower a region with a function generated for it, which also sums its results; ``None`` where the region is
        small or the code would be long."""
        if region.start not in self._worth:
            return None
        walks = self.program.walks
        outputs = set(region.outputs) - self.places.parts.keys()
        added = {slot: alone for slot, alone in self._sums.items() if slot in outputs}
        outputs = {slot for slot in region.outputs if not added.get(slot, False)}
        lowered = lower_region(self.plan, region, self.places, walks, outputs, generated=True)
        if lowered is None or self._weight + lowered.weight > MOST_WEIGHT:
            return None
        sums = []
        for slot in added:
            tiles = -(-region.size // PIECE)
            self._partial[slot] = partial = self.places.temporary((tiles,), np.dtype(lowered.dtype))
            sums.append((lowered.where[slot], len(walks)))
            walks += at(partial)
        whole, body = fused(lowered, sums, walks)
        if body not in self.program.bodies:
            self._weight += lowered.weight
        number = self.program.bodies.setdefault(body, len(self.program.bodies))
        self.program.own += [(walk, number) for name, _, _, walk in whole.operations if name == "own"]
        return whole

    # -------------------------------------------------------------------------------------------- instructions

    def _instruction(self, instruction: Instruction) -> bool:
        op = instruction.op
        result = self.places.of(instruction.output)
        if result.size == 0:
            return True
        self.places.forget_scratch()
        if op.reduces in (np.add, np.maximum):
            return self._total(instruction, result) or lower_reduction(self, instruction, result)
        if op is matmul:
            return self._matmul(instruction, result)
        if op is random_uniform:
            return self._random(instruction, result)
        if op in WINDOW_OPS:
            return lower_windows(self, instruction, result)
        return op in lower_moves.RULES and lower_moves.RULES[op](self, instruction, result)

    def _total(self, instruction: Instruction, result: Place) -> bool:
        partial = self._partial.get(instruction.inputs[0])
        if partial is None or not is_whole_sum(self.plan, instruction):
            return False
        self.emit(TOTAL, False, dtype_number(partial.dtype), *at(partial), *at(result), partial.size)
        return True

    def _matmul(self, instruction: Instruction, result: Place) -> bool:
        addition = self._added.get(instruction.output)
        if addition is None or not self._can_stand(addition):
            return (addition is None and self._finish_product(instruction)) or self._products.lower(instruction, result)
        if addition.late:
            self._late[addition.region.start] = instruction
            return True
        return self._finish_product(instruction) or self._add_product(instruction)

    def _can_stand(self, addition: Addition) -> bool:
        """Whether the sum, where it is a part of another array, has a place there that a product can write."""
        part = self.places.parts.get(addition.target)
        return part is None or (addition.rest is None and part.strides[-1] == 1)

    def _finish_product(self, instruction: Instruction) -> bool:
        """Compute a product with all that a region makes of it, if it can be."""
        finish = self._finished.get(instruction.output)
        if finish is None or finish.target in self.places.parts:
            return False
        target, addition = self.places.of(finish.target), self._added.get(instruction.output)
        summand = None if addition is None else self.places.of(addition.summand).broadcast(target.shape)
        source = None if finish.source is None else self.places.of(finish.source)
        if source is not None and source.strides[-1] != 1:
            return False
        done = self._products.lower(instruction, target, summand, finish.number, source)
        if done:
            self._done.add(finish.region.start)
        return done

    def _add_product(self, instruction: Instruction) -> bool:
        addition = self._added[instruction.output]
        rest, start = addition.rest, addition.region.start
        target = self.places.of(instruction.output if rest else addition.target)
        summand = self.places.of(addition.summand).broadcast(target.shape)
        if not self._products.lower(instruction, target, summand):
            return False
        if rest is None:
            self._done.add(start)
            return True
        self._rest[start] = rest
        self.places.put(addition.target, target)
        if start in self._worth:
            self._worth.add(rest.start)
        return True

    def _random(self, instruction: Instruction, result: Place) -> bool:
        (slot,) = instruction.inputs
        step = self.plan.specs[slot]
        if step is None or step.dtype != np.int64:
            return False
        keys = [instruction.attributes[name] for name in ("seed", "stream")]
        if max(keys) >= 2**63:  # an instruction's words have a sign
            return False
        ends = (*at(result), result.size, *at(self.places.of(slot)))
        self.emit(RANDOM, RANDOM_WORK * result.size > SHARED_WORK, dtype_number(result.dtype), *ends, *keys)
        return True
