"""An explanation as plain data, for ``explain --json`` and for programs that read it."""

from __future__ import annotations

from typing import Any

from dataflow.data.write_results import plain_numbers
from dataflow.explain.chain import Factor
from dataflow.explain.explanation import Explanation, Multiplications, NodeExplanation, WrtExplanation
from dataflow.explain.factor_texts import expression_of, formula_of

MOST_ENTRIES = 10**6
"""The most entries of a Jacobian that is written without ``dense``."""


def document(explanation: Explanation, *, dense: bool = False) -> dict[str, Any]:
    """Plain data: of one wrt its paths, nodes, product, gradient and multiplications; of several, one such
    document each under ``explanations`` and what they share. ``value`` is that of ``of``. A Jacobian of over 10⁶
    entries is ``None`` unless ``dense``."""
    if len(explanation.wrt) == 1:
        only = explanation.explained[explanation.wrt[0]]
        return {
            **_wrt_document(explanation, only, dense),
            "value": plain_numbers(explanation.value),
            "example": explanation.example,
            **_chosen(explanation),
            "warnings": explanation.warnings,
        }
    return {
        "of": explanation.of,
        "wrt": explanation.wrt,
        "value": plain_numbers(explanation.value),
        "example": explanation.example,
        "explanations": {
            name: _wrt_document(explanation, explained, dense) for name, explained in explanation.explained.items()
        },
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


def _wrt_document(explanation: Explanation, explained: WrtExplanation, dense: bool) -> dict[str, Any]:
    def factor_document(factor: Factor) -> dict[str, Any]:
        rows, columns = factor.shape
        formula = formula_of(factor, explanation)
        written = dense or rows * columns <= MOST_ENTRIES
        return {
            "of": factor.of,
            "wrt": factor.wrt,
            "symbol": explanation.names.partial(factor.of, factor.wrt),
            "expression": expression_of(factor, explanation.names).text,
            "formula": None if formula is None else formula.text,
            "op": factor.op,
            "shape": [rows, columns],
            "structure": factor.structure,
            "jacobian": plain_numbers(factor.jacobian.dense()) if written else None,
            "shared_with": explanation.sharing(factor, explained.wrt),
        }

    def node_document(node: NodeExplanation) -> dict[str, Any]:
        terms = [{"of": t.factor.of, "wrt": t.factor.wrt, "value": plain_numbers(t.value)} for t in node.terms]
        return {"node": node.node, "terms": terms, "cotangent": plain_numbers(node.cotangent)}

    paths = None
    if explained.paths is not None:
        paths = [
            {
                "factors": [factor_document(factor) for factor in path.factors],
                "partials": [plain_numbers(partial) for partial in path.partials],
            }
            for path in explained.paths
        ]
    return {
        "of": explained.of,
        "wrt": explained.wrt,
        "path_count": explained.path_count,
        "paths": paths,
        "nodes": [node_document(node) for node in explained.nodes],
        "product": plain_numbers(explained.product),
        "gradient": plain_numbers(explained.gradient),
        "multiplications": None if explained.multiplications is None else _counts(explained.multiplications),
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
