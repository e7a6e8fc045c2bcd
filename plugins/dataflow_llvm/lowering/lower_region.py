"""A region as instructions for the interpreter's kernel: operands become registers and tiles of arrays."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataflow.operations.engine_ops import cast
from dataflow.plan import Instruction, Plan, Region
from dataflow_llvm.kernels.copies import MOST_AXES
from dataflow_llvm.kernels.elementwise_tiles import SHORT, UNIT
from dataflow_llvm.kernels.formulas import FORMULA_OF, FORMULAS
from dataflow_llvm.lowering.places import MEMORY, Place, Places, merged

TILE_BYTES = (512, 4096)
"""The least and the most bytes of an array's tile."""
CACHE_BYTES = 2**15
"""The most bytes of a region's tiles, those of all arrays and registers together, unless the least tiles take more."""

Operand = tuple[str, Any]
"""("register", number), ("array", offset in the memory), ("rows", offset, bytes of a row, bytes from row to row), or
("number", value), a register that holds it always."""


@dataclass
class Lowered:
    """A region's operations: name, result, operands, and the number of the walk (for ``own``, of the function)."""

    dtype: str
    size: int
    operations: list[tuple[str, Operand, list[Operand], int]] = field(default_factory=list)
    registers: int = 0
    tile_bytes: int = 0
    where: dict[int, Operand] = field(default_factory=dict)
    """Where each slot is that it reads or writes; a register may hold another value later."""

    @property
    def weight(self) -> int:
        """The approximate number of the processor's instructions for each vector."""
        return sum(FORMULAS[name].weight if name in FORMULAS else 1 for name, *_ in self.operations)

    @property
    def tile(self) -> int:
        """Elements of a tile."""
        return self.tile_bytes // np.dtype(self.dtype).itemsize

    @property
    def is_short(self) -> bool:
        """Whether all of it is one short vector."""
        return self.tile_bytes == SHORT

    @property
    def unit(self) -> int:
        """The unit in bytes of places in memory and in the scratch."""
        return SHORT if self.is_short else UNIT


def formula_of(plan: Plan, instruction: Instruction, dtype: str) -> tuple[str, list[Any]] | None:
    """The name of an instruction's formula, and its operands: slots or ("number", value). ``None`` where there is no
    formula for its dtypes."""
    op = instruction.op
    formula = FORMULA_OF.get(op if op.ufunc is None else op.ufunc)
    result = plan.specs[instruction.output]
    if formula is None or result is None:
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
    if op is cast and result.dtype == bool:
        return "not_equal", [*operands, ("number", 0.0)]
    if formula is FORMULA_OF[cast]:
        return (formula.name, operands) if result.dtype in (dtype, bool) else None
    if result.dtype != (bool if formula.gives == "m" else dtype):
        return None
    if op.ufunc is np.power and operands[1] == ("number", 2.0):
        return "multiply", [operands[0], operands[0]]
    if op.ufunc is np.power and operands[1] == ("number", 0.5):
        return "sqrt", [operands[0]]  # as numpy does: NaN for −∞
    return formula.name, operands


def lower_region(
    plan: Plan, region: Region, places: Places, walks: list[int], outputs: Iterable[int], generated: bool = False
) -> Lowered | None:
    """The region's operations; ``None`` where the kernel has no formula for an instruction, or the dtypes are mixed.
    ``outputs`` are the slots whose values are needed afterwards. A register is used again after its value's last use,
    unless a function is ``generated``, which can also read and write rows."""
    known = region_formulas(plan, region, set(outputs), joined=not generated)
    if known is None:
        return None
    dtype, formulas = known
    return _Lowering(plan, region, places, walks, dtype, set(outputs), generated).run(formulas)


def region_formulas(
    plan: Plan, region: Region, outputs: set[int], joined: bool
) -> tuple[str, dict[int, tuple[str, list[Any]]]] | None:
    """The region's dtype, and by their slots the names of its formulas with their operands; ``None`` where there is no
    formula for an instruction, or the dtypes are mixed. Those that can be are ``joined``."""
    members = plan.instructions[region.start : region.stop]
    dtypes = {spec.dtype.name for spec in _specs(plan, members) if spec.dtype != bool}
    if len(dtypes) > 1 or not dtypes <= {"float32", "float64"}:
        return None
    dtype = next(iter(dtypes), "float32")
    formulas = [formula_of(plan, instruction, dtype) for instruction in members]
    if any(formula is None for formula in formulas):
        return None
    known = dict(zip((member.output for member in members), filter(None, formulas), strict=True))
    if joined:
        _join(known, outputs)
    return dtype, known


def _join(formulas: dict[int, tuple[str, list[Any]]], outputs: set[int]) -> None:
    """Put a comparison that is only a choice's mask into that choice, and the larger of a value and a number into one
    comparison."""
    uses = Counter(source for _, sources in formulas.values() for source in sources)
    for slot, (name, sources) in list(formulas.items()):
        if name == "maximum" and isinstance(sources[1], tuple) and not math.isnan(sources[1][1]):
            formulas[slot] = ("maximum_number", sources)
        elif name == "masked":
            x, mask, source = sources
            compared, ends = formulas.get(mask, ("", []))
            if compared == "greater" and ends[0] == source and uses[mask] == 1 and mask not in outputs:
                formulas[slot] = ("masked_greater", [x, *ends])
                del formulas[mask]


class _Lowering:
    def __init__(
        self,
        plan: Plan,
        region: Region,
        places: Places,
        walks: list[int],
        dtype: str,
        outputs: set[int],
        generated: bool,
    ) -> None:
        self.plan, self.region, self.places, self.walks = plan, region, places, walks
        self.lowered = Lowered(dtype, region.size)
        self.outputs, self.generated = outputs, generated
        self.where = self.lowered.where
        self.free: list[int] = []
        self.arrays: set[Operand] = set()

    def run(self, formulas: dict[int, tuple[str, list[Any]]]) -> Lowered | None:
        last = {s: i for i, (_, sources) in enumerate(formulas.values()) for s in sources if isinstance(s, int)}
        for i, (output, (name, sources)) in enumerate(formulas.items()):
            operands: list[Operand] = []
            for source in sources:
                operand = self._operand(source) if isinstance(source, int) else source
                if operand is None:
                    return None
                operands.append(operand)
            for slot in dict.fromkeys(source for source in sources if isinstance(source, int)):
                if last[slot] == i:
                    self._end(slot)
            self._emit(output, name, operands)
            if output not in last:
                self._end(output)
        lowered = self.lowered
        streams = max(1, lowered.registers + len(self.arrays))
        size = max(1, lowered.size) * np.dtype(lowered.dtype).itemsize
        if size <= SHORT and not self.generated:
            lowered.tile_bytes = SHORT
            return lowered
        whole = -(-size // UNIT) * UNIT
        least, most = TILE_BYTES
        wanted = 1 << max(0, (CACHE_BYTES // streams).bit_length() - 1)
        lowered.tile_bytes = min(whole, max(least, min(most, wanted)))
        return lowered

    def _emit(self, slot: int, name: str, operands: list[Operand]) -> None:
        part = self.places.parts.get(slot)
        if part is not None and part.unsigned:
            signed = self._register()
            self.lowered.operations.append((name, signed, operands, 0))
            name, operands = "add", [signed, ("number", 0.0)]
            self.places.unsigned.add(slot)
        if slot not in self.outputs:
            self.where[slot] = self._register()
            self.lowered.operations.append((name, self.where[slot], operands, 0))
            return
        place = self.places.of(slot)
        whole = (
            part is None or place.size * place.dtype.itemsize % UNIT == 0
        )  # vectors are written, next to other parts
        direct = self._direct(place) if whole else None
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
        operand = self._direct(place)
        if operand is None:
            walk = self._walk(place.broadcast(self.region.shape))
            if walk is None:
                return None
            operand = self._register()
            self.lowered.operations.append(("load", operand, [], walk))
        self.where[slot] = operand
        return operand

    def _direct(self, place: Place) -> Operand | None:
        """The array itself, if it lies in the memory as the region runs over it."""
        its_own = place.base == MEMORY and place.offset % UNIT == 0 and place.dtype == self.lowered.dtype
        if not its_own or place.size != self.region.size:
            return None
        array: Operand = ("array", place.offset)
        if not place.is_row_major:
            sizes, (steps,) = merged(place.shape, place.strides)
            row, step = sizes[-1] * place.dtype.itemsize, steps[0] * place.dtype.itemsize
            if not self.generated or len(sizes) != 2 or steps[1] != 1 or row % UNIT or step < row:
                return None
            array = ("rows", (place.offset, row, step))
        self.arrays.add(array)
        return array

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
        if kind == "register" and not self.generated:
            self.free.append(number)


def _specs(plan: Plan, members: Sequence[Instruction]) -> list[Any]:
    slots = {slot for instruction in members for slot in (*instruction.inputs, instruction.output)}
    return [spec for spec in (plan.specs[slot] for slot in slots) if spec is not None]


def _number(value: Any, dtype: str) -> float | None:
    try:
        with np.errstate(over="ignore"):
            return None if value is None else float(np.array(value, dtype))
    except OverflowError:
        return None
