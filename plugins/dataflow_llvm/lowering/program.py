"""The program of a plan: stretches of code, and between them what is left to numpy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataflow.plan import Plan
from dataflow.plan.structure import rounded
from dataflow_llvm.kernels.elementwise_tiles import CODES, MOVES
from dataflow_llvm.lowering.fuse_region import Body
from dataflow_llvm.lowering.lower_region import Lowered
from dataflow_llvm.lowering.places import Places

End = tuple[int, int]


@dataclass
class Program:
    """Stretches of code, and between them what numpy runs."""

    plan: Plan
    places: Places
    stretches: list[Any] = field(default_factory=list)
    """Lists of words of code; regions and instructions of the plan that are left to numpy."""
    regions: list[Lowered] = field(default_factory=list)
    walks: list[int] = field(default_factory=list)
    shared: bool = False
    """Whether any instruction shares its work among threads."""
    reads_indices: bool = False
    """Whether any instruction reads indices, which may be out of range."""
    panel_bytes: int = 0
    bodies: dict[Body, int] = field(default_factory=dict)
    """Functions that are generated for regions, numbered."""
    own: list[tuple[int, int]] = field(default_factory=list)
    """Walks that begin with a function's address, and the function's number."""

    parts: list[tuple[int, int, End, End]] = field(default_factory=list)
    """The instructions of the plan, ``[start:stop]``, and where what runs them begins and ends, in order."""

    @property
    def end(self) -> End:
        """Where the program ends by now: its number of stretches, and of words in the last one, if it is code."""
        last = self.stretches[-1] if self.stretches else None
        return len(self.stretches), len(last) if isinstance(last, list) else 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to numpy."""
        return all(isinstance(stretch, list) for stretch in self.stretches)


def encode_regions(program: Program) -> tuple[np.ndarray, dict[tuple[str, float, int], int], int]:
    """All regions' operations as words; the place in the scratch of each number among their operands (by dtype, value
    and bytes of the tile); and the bytes of scratch for all. Registers come after a product's panel.

    The places that a region's own function takes are written into the walks."""
    before = program.panel_bytes
    size = before + rounded(max((region.registers * region.tile_bytes for region in program.regions), default=0))
    numbers: dict[tuple[str, float, int], int] = {}
    words = []
    for region in program.regions:

        def encoded(operand: Any, region: Lowered = region) -> int:
            nonlocal size
            kind, value = operand
            if kind in ("array", "rows"):
                return int(value if kind == "array" else value[0]) // region.unit << 1 | 1
            if kind == "register":
                return (before + int(value) * region.tile_bytes) // region.unit << 1
            key = (region.dtype, value.hex(), region.tile_bytes)
            if key not in numbers:
                numbers[key] = size
                size += rounded(region.tile_bytes)
            return numbers[key] // region.unit << 1

        for name, result, operands, walk in region.operations:
            words.append(MOVES[name] if name in MOVES else CODES[name])
            words.append(encoded(result))
            own = [encoded(operand) for operand in operands]
            if name == "own":
                program.walks[walk + 1 : walk + 1 + len(own)] = own
                own = []
            words += [*own, *[0] * (2 - len(own)), *([walk] if len(own) < 3 else [])]
    return np.array(words, np.int32), numbers, size
