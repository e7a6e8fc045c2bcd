"""An explanation as plain data, for ``explain --json`` and for programs that read it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dataflow.explain.chain import Factor
from dataflow.explain.explanation import Explanation, Multiplications, NodeExplanation, WrtExplanation

MOST_ENTRIES = 10**6
"""Of a Jacobian that is written without being asked for."""


def document(explanation: Explanation, *, dense: bool = False) -> dict[str, Any]:
    """Plain data: of one wrt its paths, nodes, product, gradient and multiplications; of several, one such
    document each under ``explanations`` and what they share. A Jacobian of over 10⁶ entries is ``None`` unless
    ``dense``."""
    if len(explanation.wrt) == 1:
        only = explanation.explained[explanation.wrt[0]]
        return {**_wrt_document(explanation, only, dense), **_chosen(explanation), "warnings": explanation.warnings}
    return {
        "of": explanation.of,
        "wrt": explanation.wrt,
        "explanations": {name: _wrt_document(explanation, one, dense) for name, one in explanation.explained.items()},
        "multiplications": {"separate": explanation.separate, "shared": explanation.shared},
        **_chosen(explanation),
        "warnings": explanation.warnings,
    }


def _chosen(explanation: Explanation) -> dict[str, Any]:
    chosen = explanation.chosen
    if chosen is None:
        return {}
    return {
        "chosen": {
            "order": list(chosen.elimination.order),
            "multiplications": chosen.elimination.multiplications,
            "largest_difference": chosen.largest_difference,
        }
    }


def numbers(array: np.ndarray) -> Any:
    """Nested lists of floats; what is not finite as "nan", "inf" or "-inf"."""
    if array.ndim == 0:
        value = float(array)
        return value if math.isfinite(value) else "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    return [numbers(row) for row in array]


def _wrt_document(explanation: Explanation, one: WrtExplanation, dense: bool) -> dict[str, Any]:
    def factor(found: Factor) -> dict[str, Any]:
        rows, columns = found.shape
        written = dense or rows * columns <= MOST_ENTRIES
        users = explanation.shared_with.get((found.of, found.wrt, found.argument), [])
        return {
            "of": found.of,
            "wrt": found.wrt,
            "op": found.op,
            "shape": [rows, columns],
            "structure": found.structure,
            "jacobian": numbers(found.jacobian.dense()) if written else None,
            "shared_with": [name for name in users if name != one.wrt],
        }

    def node(found: NodeExplanation) -> dict[str, Any]:
        terms = [{"of": t.factor.of, "wrt": t.factor.wrt, "value": numbers(t.value)} for t in found.terms]
        return {"node": found.node, "terms": terms, "cotangent": numbers(found.cotangent)}

    paths = None
    if one.paths is not None:
        paths = [
            {
                "factors": [factor(found) for found in path.factors],
                "partials": [numbers(partial) for partial in path.partials],
            }
            for path in one.paths
        ]
    return {
        "of": one.of,
        "wrt": one.wrt,
        "path_count": one.path_count,
        "paths": paths,
        "nodes": [node(found) for found in one.nodes],
        "product": numbers(one.product),
        "gradient": numbers(one.gradient),
        "multiplications": None if one.multiplications is None else _counts(one.multiplications),
    }


def _counts(counts: Multiplications) -> dict[str, Any]:
    return {
        "separate": counts.separate,
        "shared": counts.shared,
        "reverse": counts.reverse,
        "forward": counts.forward,
        "markowitz": counts.markowitz,
        "best": counts.best,
        "order": list(counts.order.order),
        "order_found_by": counts.order.method,
        "with_structure": counts.with_structure,
    }
