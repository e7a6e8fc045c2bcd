"""What is checked of an op's cost: that it is what a counting run counts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dataflow.cost import cost_of, says_its_cost
from dataflow.counting import counting_run
from dataflow.errors import RuleError
from dataflow.testing.cases import Case
from dataflow.testing.values import broadcast_pairs


def cost(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """A primitive op costs what its kernel does with numbers that count. To say nothing of its cost is no fault of an
    op, nor is a kernel that takes no such numbers."""
    if not case.op.is_primitive or not says_its_cost(case.op):
        return
    for one in (case, *(spread for spread, _ in broadcast_pairs(case, rng))):
        said = cost_of(one.op, one.specs, one.attributes, one.literals).plain()
        try:
            _, found = counting_run(one.op, one.arguments, one.attributes, one.infer())
        except RuleError:
            return
        for operation, count in found.plain().items():
            if said[operation] != count:
                shapes = " and ".join(str(one.arguments[i].shape) for i in one.arrays)
                yield f"shapes {shapes}: {said[operation]} {operation} are said, the kernel makes {count}"
