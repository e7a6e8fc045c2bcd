"""A region as instructions for the interpreter's kernel: operands become registers and tiles of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataflow.plan import Instruction, Plan, Region
from dataflow_numba.moving import MOST_AXES
from dataflow_numba.places import MEMORY, Place, Places, merged

UNIT = 64
"""What places in memory and in the scratch are counted in, in bytes."""
TILE_BYTES = (512, 4096)
"""The least and the most bytes of an array's tile."""
CACHE_BYTES = 2**15
"""What the tiles of all arrays and registers of a region may take together, if they may be as small as that."""
WEIGHTS = {"exp": 25, "tanh": 30, "log": 30, "sin": 60, "cos": 60, "power": 60}
"""How many instructions of the processor a formula is, where they are more than a few."""
UFUNCS: dict[np.ufunc, str] = {
    np.add: "add",
    np.subtract: "subtract",
    np.multiply: "multiply",
    np.true_divide: "divide",
    np.negative: "negative",
    np.absolute: "abs",
    np.sqrt: "sqrt",
    np.power: "power",
    np.exp: "exp",
    np.log: "log",
    np.tanh: "tanh",
    np.sin: "sin",
    np.cos: "cos",
    np.maximum: "maximum",
    np.minimum: "minimum",
    np.equal: "equal",
    np.not_equal: "not_equal",
    np.less: "less",
    np.less_equal: "less_equal",
    np.greater: "greater",
    np.greater_equal: "greater_equal",
}
OWN_OPS = ("where", "identity", "cast")
"""Ops of ``dataflow_ops`` that are no ufunc and have a formula all the same."""
COMPARISONS = frozenset(name for name in UFUNCS.values() if name.endswith("equal") or name in ("less", "greater"))

Operand = tuple[str, Any]
"""("register", number), ("array", offset in the memory), or ("number", value), a register that holds it always."""


@dataclass
class Lowered:
    """A region's operations: name, result, operands, and the number of the walk (for ``own``, of the function)."""

    dtype: str
    size: int
    operations: list[tuple[str, Operand, list[Operand], int]] = field(default_factory=list)
    registers: int = 0
    tile_bytes: int = 0
    where: dict[int, Operand] = field(default_factory=dict)
    """Where each slot that it reads or writes stands; a register may hold another by now."""

    @property
    def weight(self) -> int:
        """How many instructions it is for the processor, about, for each vector."""
        return sum(WEIGHTS.get(name, 1) for name, *_ in self.operations)

    @property
    def tile(self) -> int:
        """Elements of a tile."""
        return self.tile_bytes // np.dtype(self.dtype).itemsize


def formula_of(plan: Plan, instruction: Instruction, dtype: str) -> tuple[str, list[Any]] | None:
    """The name of the formula that an instruction is, and its operands, slots or ("number", value); ``None`` where
    there is none for its dtypes."""
    op = instruction.op
    name = UFUNCS.get(op.ufunc) if op.ufunc is not None else None
    if name is None and op.name in OWN_OPS and op.module.partition(".")[0] == "dataflow_ops":
        name = op.name
    result = plan.specs[instruction.output]
    if name is None or result is None:
        return None
    operands: list[Any] = []
    for slot in instruction.inputs:
        spec = plan.specs[slot]
        if spec is None:
            number = _number(plan.constants[slot], dtype)
            if number is None:
                return None
            operands.append(("number", number))
        elif spec.dtype in (dtype, bool):
            operands.append(slot)
        else:
            return None
    gives = "bool" if name in COMPARISONS else dtype
    if name == "cast" and result.dtype == bool:
        return "not_equal", [*operands, ("number", 0.0)]
    if name in ("cast", "identity"):
        same = result.dtype in (dtype, bool)
        return ("identity", operands) if same else None
    if result.dtype != gives:
        return None
    if name == "power" and operands[1] == ("number", 2.0):
        return "multiply", [operands[0], operands[0]]
    return name, operands


def lower_region(
    plan: Plan, region: Region, places: Places, walks: list[int], outputs: Iterable[int], reuse: bool = True
) -> Lowered | None:
    """``None`` where the kernel has no formula for an instruction, or the dtypes are mixed. ``outputs`` are the slots
    whose values are needed afterwards. Registers are used again when their value is, unless said otherwise."""
    members = plan.instructions[region.start : region.stop]
    dtypes = {spec.dtype.name for spec in _specs(plan, members) if spec.dtype != bool}
    if len(dtypes) > 1 or not dtypes <= {"float32", "float64"}:
        return None
    dtype = next(iter(dtypes), "float32")
    formulas = [formula_of(plan, instruction, dtype) for instruction in members]
    if any(found is None for found in formulas):
        return None
    return _Lowering(plan, region, places, walks, dtype, set(outputs), reuse).run(
        members, [found for found in formulas if found]
    )


class _Lowering:
    def __init__(
        self,
        plan: Plan,
        region: Region,
        places: Places,
        walks: list[int],
        dtype: str,
        outputs: set[int],
        reuse: bool,
    ) -> None:
        self.plan, self.region, self.places, self.walks = plan, region, places, walks
        self.lowered = Lowered(dtype, region.size)
        self.outputs, self.reuse = outputs, reuse
        self.where = self.lowered.where
        self.free: list[int] = []
        self.arrays: set[Operand] = set()

    def run(self, members: Sequence[Instruction], formulas: list[tuple[str, list[Any]]]) -> Lowered | None:
        last = {slot: i for i, (_, operands) in enumerate(formulas) for slot in operands if isinstance(slot, int)}
        for i, (instruction, (name, sources)) in enumerate(zip(members, formulas, strict=True)):
            operands: list[Operand] = []
            for source in sources:
                found = self._operand(source) if isinstance(source, int) else source
                if found is None:
                    return None
                operands.append(found)
            for slot in dict.fromkeys(source for source in sources if isinstance(source, int)):
                if last[slot] == i:
                    self._end(slot)
            self._emit(instruction.output, name, operands)
            if instruction.output not in last:
                self._end(instruction.output)
        lowered = self.lowered
        streams = max(1, lowered.registers + len(self.arrays))
        whole = -(-max(1, lowered.size) * np.dtype(lowered.dtype).itemsize // UNIT) * UNIT
        least, most = TILE_BYTES
        wanted = 1 << max(0, (CACHE_BYTES // streams).bit_length() - 1)
        lowered.tile_bytes = min(whole, max(least, min(most, wanted)))
        return lowered

    def _emit(self, slot: int, name: str, operands: list[Operand]) -> None:
        if slot not in self.outputs:
            self.where[slot] = self._register()
            self.lowered.operations.append((name, self.where[slot], operands, 0))
            return
        place = self.places.of(slot)
        direct = self._direct(place)
        self.where[slot] = self._register() if direct is None else direct
        self.lowered.operations.append((name, self.where[slot], operands, 0))
        if direct is None:
            walk = self._walk(place)
            assert walk is not None
            self.lowered.operations.append(("store", self.where[slot], [self.where[slot]], walk))

    def _operand(self, slot: int) -> Operand | None:
        if slot in self.where:
            return self.where[slot]
        view = self.plan.views.get(slot)
        constant = self.plan.constants.get(slot if view is None else view.base)
        if isinstance(constant, np.ndarray) and constant.size == 1 and constant.dtype != bool:
            return "number", float(constant.reshape(()))
        place = self.places.of(slot)
        found = self._direct(place)
        if found is None:
            walk = self._walk(place.broadcast(self.region.shape))
            if walk is None:
                return None
            found = self._register()
            self.lowered.operations.append(("load", found, [], walk))
        self.where[slot] = found
        return found

    def _direct(self, place: Place) -> Operand | None:
        """The array itself, if it lies in the memory as the region runs over it."""
        its_own = place.base == MEMORY and place.offset % UNIT == 0 and place.dtype == self.lowered.dtype
        if not its_own or place.size != self.region.size or not place.is_row_major:
            return None
        found = ("array", place.offset)
        self.arrays.add(found)
        return found

    def _walk(self, place: Place) -> int | None:
        sizes, (steps,) = merged(place.shape, place.strides)
        if len(sizes) > MOST_AXES:
            return None
        start = len(self.walks)
        self.walks += [place.base, place.offset, int(place.dtype == bool), len(sizes), *sizes, *steps]
        return start

    def _register(self) -> Operand:
        if not self.free:
            self.free.append(self.lowered.registers)
            self.lowered.registers += 1
        return "register", self.free.pop()

    def _end(self, slot: int) -> None:
        kind, number = self.where.get(slot, ("number", None))
        if kind == "register" and self.reuse:
            self.free.append(number)


def _specs(plan: Plan, members: Sequence[Instruction]) -> list[Any]:
    slots = {slot for one in members for slot in (*one.inputs, one.output)}
    return [spec for spec in (plan.specs[slot] for slot in slots) if spec is not None]


def _number(value: Any, dtype: str) -> float | None:
    try:
        with np.errstate(over="ignore"):
            return None if value is None else float(np.array(value, dtype))
    except OverflowError:
        return None
