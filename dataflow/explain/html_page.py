"""An explanation as one self-contained HTML page: no script, no network, light and dark, readable on a phone."""

from __future__ import annotations

from html import escape

import numpy as np

from dataflow.explain.chain import Factor
from dataflow.explain.explanation import Explanation, PathExplanation, WrtExplanation
from dataflow.explain.factor_texts import expression_of, formula_of, structure_of
from dataflow.explain.text import MOST_ENTRIES, cells, chosen_cost, notes, place
from dataflow.support.number_texts import watched_numbers

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
    """Return the whole page."""
    title = escape(", ".join(map(explanation.partial, explanation.wrt)))
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<style>:root{color-scheme:light dark}body{background:Canvas;margin:1rem auto;max-width:60rem;padding:0 1rem;"
        "color:CanvasText;font:16px/1.5 system-ui,sans-serif}"
        f"</style>\n{body(explanation)}</html>\n"
    )


def body(explanation: Explanation, *, level: int = 1) -> str:
    """Return the content of the page, for a notebook or another page; headings begin at ``level``."""
    with watched_numbers() as numbers:
        parts = _parts(explanation, level)
    parts += [f"<p><strong>Note:</strong> {escape(note)}</p>" for note in notes(explanation, numbers)]
    joined = "\n".join(parts)
    return f'<div class="dataflow-explanation">\n<style>{STYLE}</style>\n{joined}\n</div>\n'


def _parts(explanation: Explanation, level: int) -> list[str]:
    names = ", ".join(map(explanation.partial, explanation.wrt))
    parts = [
        f"<h{level}>{escape(names)}</h{level}>",
        f"<p>{escape(place(explanation))}.</p>",
        '<p class="soft">Rows are outputs, columns inputs; a matrix is read row by row.</p>',
        *(_one(explanation, explained, level + 1) for explained in explanation.explained.values()),
    ]
    if len(explanation.wrt) > 1:
        parts.append(_shared(explanation, level + 1))
    if explanation.chosen is not None:
        order = explanation.names.listed(explanation.chosen.elimination.order)
        parts.append(f"<p>In the order {escape(order)}: {chosen_cost(explanation.chosen)}.</p>")
    return parts


def matrix(array: np.ndarray) -> str:
    """Format a matrix as a table with brackets at its sides; a large one is shortened in the middle."""
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells(array))
    return f'<div class="scroll"><table class="matrix">{rows}</table></div>'


def _one(explanation: Explanation, explained: WrtExplanation, level: int) -> str:
    names, whole = explanation.names, escape(explanation.partial(explained.wrt))
    of, wrt = escape(names.text(explained.of)), escape(names.text(explained.wrt))
    parts = [_heading(explanation.partial(explained.wrt), level)] if len(explanation.wrt) > 1 else []
    if not explained.path_count:
        parts.append(f"<p>No path leads from {of} back to {wrt}: the gradient is zero.</p>")
        return "\n".join(parts)
    if explained.paths is None:
        parts.append(f"<p>{explained.path_count} paths lead there, too many to list; by node instead.</p>")
        for node in explained.nodes[1:]:
            terms = "".join(
                f"<p>from {escape(names.text(term.factor.of))}, times {_described(term.factor, explanation)}</p>"
                f"{matrix(term.value)}"
                for term in node.terms
            )
            sums = f"<p>sum</p>{matrix(node.cotangent)}" if len(node.terms) > 1 else ""
            parts.append(f'<div class="factor">Cotangent of <b>{escape(names.text(node.node))}</b>{terms}{sums}</div>')
    else:
        for number, path in enumerate(explained.paths, 1):
            route = " · ".join(names.partial(factor.of, factor.wrt) for factor in path.factors) or "the identity"
            lead = f"Path {number} of {len(explained.paths)}: " if len(explained.paths) > 1 else ""
            parts.append(f"<p>{lead}{whole} = {escape(route)}</p>")
            parts += _factors(explanation, explained, path)
        if len(explained.paths) > 1:
            parts.append(f"<p>The sum over the paths:</p>{matrix(explained.product)}")
    parts.append(f"<p>Gradient in the shape of {wrt}:</p>{matrix(explained.gradient_matrix)}")
    counts = explained.multiplications
    if counts is not None:
        parts.append("<p>Multiplications, dense, for one example:</p>" + _costs(counts.rows()))
    return "\n".join(parts)


def _heading(text: str, level: int) -> str:
    return f'<h{level} class="heading">{escape(text)}</h{level}>'


def _factors(explanation: Explanation, explained: WrtExplanation, path: PathExplanation) -> list[str]:
    parts = []
    for i, (factor, partial) in enumerate(zip(path.factors, path.partials, strict=True)):
        others = explanation.sharing(factor, explained.wrt)
        shared = f'<div class="soft">shared with {escape(explanation.names.listed(others))}</div>' if others else ""
        rows, columns = factor.shape
        value = matrix(factor.jacobian.dense()) if rows * columns <= MOST_ENTRIES else "<p>not listed</p>"
        product = (
            f"<div>{escape(explanation.partial(factor.wrt))}, the product so far:</div>{matrix(partial)}" if i else ""
        )
        parts.append(f'<div class="factor">{_described(factor, explanation)}{shared}{value}{product}</div>')
    return parts


def _described(factor: Factor, explanation: Explanation) -> str:
    names, formula = explanation.names, formula_of(factor, explanation)
    right = f" = {escape(formula.text)}" if formula is not None else ""
    expression = escape(expression_of(factor, names).text)
    rows, columns = factor.shape
    which = f" by argument {factor.argument + 1}" if factor.argument is not None else ""
    return (
        f'<span class="name">{escape(names.partial(factor.of, factor.wrt))}{which}{right}</span> '
        f'<span class="soft">{expression}; {rows}×{columns}, {escape(structure_of(factor, formula))}</span>'
    )


def _shared(explanation: Explanation, level: int) -> str:
    rows = "".join(
        f"<tr><td>{escape(explanation.partial(wrt, of))}</td><td>{escape(explanation.names.listed(users))}</td></tr>"
        for (of, wrt, _), users in explanation.shared_with.items()
    )
    costs = _costs([("each derivative by itself", explanation.separate), ("shared prefixes once", explanation.shared)])
    return (
        f'{_heading("What the derivatives share", level)}<table class="cost">{rows}</table>'
        f"<p>Multiplications for all together:</p>{costs}"
    )


def _costs(rows: list[tuple[str, int]]) -> str:
    return '<table class="cost">' + "".join(f"<tr><td>{n}</td><td>{c:,}</td></tr>" for n, c in rows) + "</table>"
