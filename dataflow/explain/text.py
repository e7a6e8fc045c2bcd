"""An explanation as text for a terminal, in frames: one for each factor, so that it can be stepped through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dataflow.explain.chain import Factor
from dataflow.explain.explanation import ChosenOrder, Explanation, NodeExplanation, PathExplanation, WrtExplanation

WIDEST = 8
"""Matrices with more columns, or with more than twice as many rows, are shortened."""


def text(explanation: Explanation) -> str:
    """The whole explanation."""
    return "\n\n".join(frames(explanation)) + "\n"


def frames(explanation: Explanation) -> Iterator[str]:
    """The explanation step by step: the question, each factor with the product so far, the result, what it costs."""
    yield _heading(explanation)
    for one in explanation.explained.values():
        yield from _wrt_frames(explanation, one)
    if len(explanation.wrt) > 1:
        yield _shared(explanation)
    if explanation.chosen is not None:
        yield _chosen(explanation.chosen)
    if explanation.warnings:
        yield "\n".join(f"Note: {note}" for note in explanation.warnings)


def matrix_lines(matrix: np.ndarray) -> list[str]:
    """A matrix in brackets, columns aligned, shortened in the middle where it is large."""
    found = cells(matrix)
    widths = [max(map(len, column)) for column in zip(*found, strict=True)]
    return [
        "[ " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + " ]" for row in found
    ]


def cells(matrix: np.ndarray) -> list[list[str]]:
    """The entries as text, shortened in the middle where there are many."""
    rows = np.atleast_2d(matrix)
    down, across = _shortened(len(rows), 2 * WIDEST), _shortened(rows.shape[1], WIDEST)
    return [["…" if i is None or j is None else f"{rows[i, j] + 0.0:.6g}" for j in across] for i in down]


def _heading(explanation: Explanation) -> str:
    names = ", ".join(f"∂{explanation.of}/∂{name}" for name in explanation.wrt)
    if explanation.example is not None:
        where = f"example {explanation.example} of the batch"
    elif explanation.examples is not None:
        where = f"the batch of {explanation.examples}; gradients are summed over it"
    else:
        where = "one point"
    value = f" = {float(explanation.value):.6g}" if explanation.value.ndim == 0 else ""
    return (
        f"{names}\n{explanation.of}{value}, at {where}\nRows are outputs, columns inputs; a matrix is read row by row."
    )


def _wrt_frames(explanation: Explanation, one: WrtExplanation) -> Iterator[str]:
    title = f"── ∂{one.of}/∂{one.wrt} "
    yield title + "─" * max(0, 72 - len(title))
    if one.path_count == 0:
        yield f"There is no path from {one.of} back to {one.wrt}: the gradient is zero."
        return
    if one.paths is None:
        yield (
            f"{one.path_count} paths lead from {one.of} to {one.wrt}, too many to list; by node instead: the\n"
            f"cotangent of a node is the sum of what each node that uses it hands back."
        )
        for node in one.nodes[1:]:
            yield _node_frame(node)
    else:
        for number, path in enumerate(one.paths, 1):
            if len(one.paths) > 1:
                yield f"Path {number} of {len(one.paths)}: {_route(one, path)}"
            elif path.factors:
                yield _route(one, path)
            yield from _path_frames(explanation, one, path)
        if len(one.paths) > 1:
            total = " + ".join(f"path {i}" for i in range(1, len(one.paths) + 1))
            yield "\n".join([f"∂{one.of}/∂{one.wrt} = {total}:", *_indented(matrix_lines(one.product))])
    shape = "×".join(map(str, one.gradient.shape)) or "scalar"
    of = one.of if one.product.shape[0] == 1 else f"sum({one.of})"
    yield "\n".join(
        [f"Gradient of {of} in the shape of {one.wrt} ({shape}):", *_indented(_gradient_lines(one.gradient))]
    )
    yield _cost(one)


def _path_frames(explanation: Explanation, one: WrtExplanation, path: PathExplanation) -> Iterator[str]:
    for i, (factor, partial) in enumerate(zip(path.factors, path.partials, strict=True)):
        lines = [f"Factor {i + 1} of {len(path.factors)}: {_describe(factor)}"]
        shared = explanation.shared_with.get((factor.of, factor.wrt, factor.argument), [])
        others = [name for name in shared if name != one.wrt]
        if others:
            lines.append(f"  shared with the derivative with respect to {', '.join(others)}")
        lines += _factor_lines(factor)
        if i:
            before = f"∂{one.of}/∂{factor.of}"
            lines.append(f"  Product so far: ∂{one.of}/∂{factor.wrt} = {before} · ∂{factor.of}/∂{factor.wrt}")
            lines += _indented(matrix_lines(partial))
        yield "\n".join(lines)


def _node_frame(node: NodeExplanation) -> str:
    lines = [f"Cotangent of {node.node}:"]
    for term in node.terms:
        lines.append(f"  from {term.factor.of}, times {_describe(term.factor)}:")
        lines += _indented(matrix_lines(term.value), 4)
    lines.append("  sum:" if len(node.terms) > 1 else "  so it is:")
    return "\n".join([*lines, *_indented(matrix_lines(node.cotangent), 4)])


def _describe(factor: Factor) -> str:
    which = f" by argument {factor.argument + 1}" if factor.argument is not None else ""
    rows, columns = factor.shape
    return f"∂{factor.of}/∂{factor.wrt}{which}  (op {factor.op}, {rows}×{columns}, {factor.structure})"


def _factor_lines(factor: Factor) -> list[str]:
    rows, columns = factor.shape
    if rows * columns > 64 * 64:
        return [f"  {rows}×{columns} entries, not listed"]
    return _indented(matrix_lines(factor.jacobian.dense()))


def _route(one: WrtExplanation, path: PathExplanation) -> str:
    product = " · ".join(f"∂{factor.of}/∂{factor.wrt}" for factor in path.factors)
    return f"∂{one.of}/∂{one.wrt} = {product}" if product else f"∂{one.of}/∂{one.wrt} is the identity"


def _cost(one: WrtExplanation) -> str:
    counts = one.multiplications
    if counts is None:
        return ""
    order = ", ".join(counts.order.order) if len(counts.order.order) <= 12 else f"{len(counts.order.order)} nodes"
    found_by = f" ({counts.order.method})" if counts.order.is_best else ""
    best = "the best order" if counts.order.is_best else "the cheapest order known"
    lines = [
        "Multiplications, dense, for one example:",
        f"  from the left (reverse)   {counts.reverse:>14,}",
        f"  from the right (forward)  {counts.forward:>14,}",
        f"  lowest Markowitz degree   {counts.markowitz:>14,}",
        f"  {best:<25} {counts.best:>14,}" + (f"   eliminating {order}{found_by}" if order else ""),
        f"  reverse with structure    {counts.with_structure:>14,}",
    ]
    if counts.separate != counts.reverse:
        lines.insert(1, f"  each path by itself       {counts.separate:>14,}")
    return "\n".join(lines)


def _shared(explanation: Explanation) -> str:
    lines = ["── What the derivatives share " + "─" * 43, ""]
    rows = [(f"∂{of}/∂{wrt}", users) for (of, wrt, _), users in explanation.shared_with.items()]
    width = max((len(name) for name, _ in rows), default=0)
    lines += [f"  {name:<{width}}  for {', '.join(users)}" for name, users in rows]
    saved = explanation.separate - explanation.shared
    lines += [
        "",
        f"Multiplications for all {len(explanation.wrt)} together, dense, for one example:",
        f"  each derivative by itself       {explanation.separate:>14,}",
        f"  shared prefixes computed once   {explanation.shared:>14,}   {saved:,} fewer",
    ]
    return "\n".join(lines)


def _chosen(chosen: ChosenOrder) -> str:
    return (
        f"In the order {', '.join(chosen.elimination.order)}: {chosen.elimination.multiplications:,} multiplications;\n"
        f"the result differs from the products above by at most {chosen.largest_difference:.1e}."
    )


def _gradient_lines(gradient: np.ndarray) -> list[str]:
    if gradient.ndim <= 2:
        return matrix_lines(gradient)
    return matrix_lines(gradient.reshape(-1, gradient.shape[-1]))


def _indented(lines: Sequence[str], by: int = 2) -> list[str]:
    return [" " * by + line for line in lines]


def _shortened(count: int, most: int) -> list[int | None]:
    if count <= most:
        return list(range(count))
    return [*range(most - 2), None, count - 1]
