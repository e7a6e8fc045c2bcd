"""What is checked of an op's cost: that it is what a counting run counts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dataflow.analysis.counting import counting_run
from dataflow.errors import RuleError
from dataflow.graph.cost import cost_of, says_its_cost
from dataflow.testing.cases import Case
from dataflow.testing.values import broadcast_pairs


def cost(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """A primitive op costs what its kernel does with numbers that count. To say nothing of its cost is no fault of an
    op, nor is a kernel that takes no such numbers."""
    if not case.op.is_primitive or not says_its_cost(case.op) or not case.op.exact_cost:
        return
    for variant in (case, *(spread for spread, _ in broadcast_pairs(case, rng))):
        declared = cost_of(variant.op, variant.specs, variant.attributes, variant.literals).plain()
        try:
            _, counted = counting_run(variant.op, variant.arguments, variant.attributes, variant.infer())
        except RuleError:
            return
        for operation, count in counted.plain().items():
            if declared[operation] != count:
                shapes = " and ".join(str(variant.arguments[i].shape) for i in variant.arrays)
                yield f"shapes {shapes}: {declared[operation]} {operation} are declared, the kernel makes {count}"
