"""An explanation as one self-contained HTML page: no script, no network, light and dark, readable on a phone."""

from __future__ import annotations

from html import escape

import numpy as np

from dataflow.explain.chain import Factor
from dataflow.explain.explanation import Explanation, PathExplanation, WrtExplanation
from dataflow.explain.text import cells

STYLE = """
.dataflow-explanation{--line:rgba(128,128,128,.45);--tint:rgba(128,128,128,.09);--mark:#2f7fd6;line-height:1.5;
max-width:60rem}
.dataflow-explanation .heading{border-bottom:1px solid var(--line);font-size:1.25rem;margin:2rem 0 .5rem}
.dataflow-explanation .factor{background:var(--tint);border-left:4px solid var(--mark);margin:.75rem 0;
padding:.5rem .75rem}
.dataflow-explanation .name{font-weight:600}
.dataflow-explanation .soft{font-size:.9rem;opacity:.8}
.dataflow-explanation .scroll{overflow-x:auto}
.dataflow-explanation table{border:0;border-collapse:collapse;color:inherit;font-size:inherit;margin:.4rem 0;
width:auto}
.dataflow-explanation table tr{background:none}
.dataflow-explanation table.matrix{font-variant-numeric:tabular-nums;position:relative}
.dataflow-explanation table.matrix::before,.dataflow-explanation table.matrix::after{border:2px solid;bottom:0;
content:"";position:absolute;top:0;width:.3rem}
.dataflow-explanation table.matrix::before{border-right:0;left:0}
.dataflow-explanation table.matrix::after{border-left:0;right:0}
.dataflow-explanation table.matrix td{border:0;padding:.1rem .6rem;text-align:right}
.dataflow-explanation table.cost td{border:0;border-bottom:1px solid var(--line);padding:.2rem .8rem .2rem 0;
text-align:left}
.dataflow-explanation table.cost td+td{text-align:right}
"""
"""Colours are those of the page around it, light or dark, and some that can be told from either."""


def page(explanation: Explanation) -> str:
    """The whole page."""
    title = escape(f"∂{explanation.of}/∂{', '.join(explanation.wrt)}")
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<style>:root{color-scheme:light dark}body{background:Canvas;margin:1rem auto;max-width:60rem;padding:0 1rem;"
        "color:CanvasText;font:16px/1.5 system-ui,sans-serif}"
        f"</style>\n{body(explanation)}</html>\n"
    )


def body(explanation: Explanation, *, level: int = 1) -> str:
    """What stands in the page, for a notebook or another page in which its headings begin at ``level``."""
    names = ", ".join(f"∂{explanation.of}/∂{name}" for name in explanation.wrt)
    if explanation.example is not None:
        where = f"example {explanation.example} of the batch"
    elif explanation.examples is not None:
        where = f"the batch of {explanation.examples}; gradients are summed over it"
    else:
        where = "one point"
    value = f" = {float(explanation.value):.6g}" if explanation.value.ndim == 0 else ""
    parts = [
        f"<h{level}>{escape(names)}</h{level}>",
        f"<p>{escape(explanation.of)}{value}, at {where}.</p>",
        '<p class="soft">Rows are outputs, columns inputs; a matrix is read row by row.</p>',
        *(_one(explanation, one, level + 1) for one in explanation.explained.values()),
    ]
    if len(explanation.wrt) > 1:
        parts.append(_shared(explanation, level + 1))
    if explanation.chosen is not None:
        order, difference = explanation.chosen.elimination, explanation.chosen.largest_difference
        costs = f"{order.multiplications:,} multiplications; the result differs by at most {difference:.1e}"
        parts.append(f"<p>In the order {escape(', '.join(order.order))}: {costs}.</p>")
    parts += [f"<p><strong>Note:</strong> {escape(note)}</p>" for note in explanation.warnings]
    joined = "\n".join(parts)
    return f'<div class="dataflow-explanation">\n<style>{STYLE}</style>\n{joined}\n</div>\n'


def matrix(found: np.ndarray) -> str:
    """A table with brackets at its sides, shortened in the middle where it is large."""
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells(found))
    return f'<div class="scroll"><table class="matrix">{rows}</table></div>'


def _one(explanation: Explanation, one: WrtExplanation, level: int) -> str:
    parts = [_heading(f"∂{one.of}/∂{one.wrt}", level)] if len(explanation.wrt) > 1 else []
    if not one.path_count:
        parts.append(f"<p>There is no path from {escape(one.of)} back to {escape(one.wrt)}: the gradient is zero.</p>")
        return "\n".join(parts)
    if one.paths is None:
        parts.append(f"<p>{one.path_count} paths lead there, too many to list; by node instead.</p>")
        for node in one.nodes[1:]:
            terms = "".join(
                f"<p>from {escape(term.factor.of)}, times {_described(term.factor)}</p>{matrix(term.value)}"
                for term in node.terms
            )
            sums = f"<p>sum</p>{matrix(node.cotangent)}" if len(node.terms) > 1 else ""
            parts.append(f'<div class="factor">Cotangent of <b>{escape(node.node)}</b>{terms}{sums}</div>')
    else:
        for number, path in enumerate(one.paths, 1):
            route = " · ".join(f"∂{factor.of}/∂{factor.wrt}" for factor in path.factors) or "the identity"
            lead = f"Path {number} of {len(one.paths)}: " if len(one.paths) > 1 else ""
            parts.append(f"<p>{lead}∂{escape(one.of)}/∂{escape(one.wrt)} = {escape(route)}</p>")
            parts += _factors(explanation, one, path)
        if len(one.paths) > 1:
            parts.append(f"<p>The sum over the paths:</p>{matrix(one.product)}")
    gradient = one.gradient if one.gradient.ndim <= 2 else one.gradient.reshape(-1, one.gradient.shape[-1])
    parts.append(f"<p>Gradient in the shape of {escape(one.wrt)}:</p>{matrix(gradient)}")
    counts = one.multiplications
    if counts is not None:
        rows = [
            ("from the left (reverse)", counts.reverse),
            ("from the right (forward)", counts.forward),
            ("lowest Markowitz degree", counts.markowitz),
            ("the best order" if counts.order.is_best else "the cheapest order known", counts.best),
            ("reverse with structure", counts.with_structure),
        ]
        parts.append("<p>Multiplications, dense, for one example:</p>" + _costs(rows))
    return "\n".join(parts)


def _heading(text: str, level: int) -> str:
    return f'<h{level} class="heading">{escape(text)}</h{level}>'


def _factors(explanation: Explanation, one: WrtExplanation, path: PathExplanation) -> list[str]:
    parts = []
    for i, (factor, partial) in enumerate(zip(path.factors, path.partials, strict=True)):
        users = explanation.shared_with.get((factor.of, factor.wrt, factor.argument), [])
        others = [name for name in users if name != one.wrt]
        shared = f'<div class="soft">shared with {escape(", ".join(others))}</div>' if others else ""
        rows, columns = factor.shape
        value = matrix(factor.jacobian.dense()) if rows * columns <= 64 * 64 else "<p>not listed</p>"
        product = (
            f"<div>∂{escape(one.of)}/∂{escape(factor.wrt)}, the product so far:</div>{matrix(partial)}" if i else ""
        )
        parts.append(f'<div class="factor">{_described(factor)}{shared}{value}{product}</div>')
    return parts


def _described(factor: Factor) -> str:
    rows, columns = factor.shape
    which = f" by argument {factor.argument + 1}" if factor.argument is not None else ""
    return (
        f'<span class="name">∂{escape(factor.of)}/∂{escape(factor.wrt)}{which}</span> '
        f'<span class="soft">op {escape(factor.op)}, {rows}×{columns}, {escape(factor.structure)}</span>'
    )


def _shared(explanation: Explanation, level: int) -> str:
    rows = "".join(
        f"<tr><td>∂{escape(of)}/∂{escape(wrt)}</td><td>{escape(', '.join(users))}</td></tr>"
        for (of, wrt, _), users in explanation.shared_with.items()
    )
    costs = _costs([("each derivative by itself", explanation.separate), ("shared prefixes once", explanation.shared)])
    return (
        f'{_heading("What the derivatives share", level)}<table class="cost">{rows}</table>'
        f"<p>Multiplications for all together:</p>{costs}"
    )


def _costs(rows: list[tuple[str, int]]) -> str:
    return '<table class="cost">' + "".join(f"<tr><td>{n}</td><td>{c:,}</td></tr>" for n, c in rows) + "</table>"
