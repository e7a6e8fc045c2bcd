"""The plan before and after each pass: how large it is, and its instructions as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dataflow.operations.engine_ops import transpose
from dataflow.plan import Plan, View
from dataflow.shapes import TensorSpec


@dataclass(frozen=True)
class PlanSummary:
    """A plan after a pass: its instructions, views and regions, and the bytes of its intermediate results."""

    name: str
    plan: Plan

    @property
    def intermediate(self) -> int:
        """Bytes: those of the arena once there is one, before that of all results side by side."""
        if self.plan.offsets or self.plan.arena_bytes or not self.plan.instructions:
            return self.plan.intermediate_bytes
        results = {instruction.output for instruction in self.plan.instructions} - self.plan.output_roots
        return sum(self.plan.bytes_of(slot) for slot in results)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "instructions": len(self.plan.instructions),
            "views": len(self.plan.views),
            "regions": len(self.plan.regions),
            "bytes": self.intermediate,
        }


def listing(plan: Plan) -> Iterator[str]:
    """A line for each instruction: ``%7 = matmul(x, %5)  float64 (4, 2)  z``. Arguments go by their names, views by
    what they are views of; an instruction of a region has a bar in front."""
    inside = {i for region in plan.regions if region.stop - region.start > 1 for i in range(region.start, region.stop)}
    for number, instruction in enumerate(plan.instructions):
        inputs = ", ".join(_operand(plan, slot) for slot in instruction.inputs if not _is_left_out(plan, slot))
        attributes = "".join(
            f", {name}={value!r}" for name, value in instruction.attributes.items() if value is not None
        )
        bar = "| " if number in inside else "  "
        call = f"{instruction.op.name}({inputs}{attributes})"
        yield f"{bar}%{instruction.output} = {call}  {plan.spec(instruction.output)}  {instruction.node}"


def _operand(plan: Plan, slot: int) -> str:
    view = plan.views.get(slot)
    if view is not None:
        return _view(plan, view, plan.spec(slot))
    if slot < len(plan.arguments):
        return plan.arguments[slot]
    if slot in plan.constants:
        value = plan.constants[slot]
        return repr(value) if plan.specs[slot] is None else f"constant {plan.spec(slot)}"
    return f"%{slot}"


def _view(plan: Plan, view: View, spec: TensorSpec) -> str:
    base = _operand(plan, view.base)
    return f"{base}.T" if view.op is transpose and spec.ndim == 2 else f"{view.op.name} of {base}"


def _is_left_out(plan: Plan, slot: int) -> bool:
    return plan.specs[slot] is None and plan.constants[slot] is None
