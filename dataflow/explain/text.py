"""An explanation as text for a terminal, in frames: one for each factor, so that it can be stepped through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dataflow.explain.chain import Factor
from dataflow.explain.explanation import ChosenOrder, Explanation, NodeExplanation, PathExplanation, WrtExplanation
from dataflow.explain.factor_texts import expression_of, formula_of, structure_of
from dataflow.notation.names import Names
from dataflow.support.number_texts import (
    NOTE,
    NumberFormat,
    number_text,
    number_texts,
    watched_numbers,
    without_negligible,
)
from dataflow.support.text_tables import align, line_width, pad, widths

WIDEST = 8
"""Matrices with more columns, or with more than twice as many rows, are shortened."""

MOST_ENTRIES = 64 * 64
"""A factor of more entries is named by its shape: it need not be built."""
INDENT = 4
"""The blanks before a matrix, at most."""


def text(explanation: Explanation) -> str:
    """Format the whole explanation."""
    with watched_numbers() as numbers:
        parts = list(frames(explanation))
    if numbers.hides:
        parts.append(f"Note: {NOTE}")
    return "\n\n".join(parts) + "\n"


def frames(explanation: Explanation) -> Iterator[str]:
    """Yield the explanation step by step: the question, each factor with the product so far, the result, the cost."""
    yield _heading(explanation)
    for explained in explanation.explained.values():
        yield from _wrt_frames(explanation, explained)
    if len(explanation.wrt) > 1:
        yield _shared(explanation)
    if explanation.chosen is not None:
        yield _chosen(explanation.chosen, explanation.names)
    if explanation.warnings:
        yield "\n".join(f"Note: {note}" for note in explanation.warnings)


def matrix_lines(matrix: np.ndarray) -> list[str]:
    """Format a matrix in brackets with aligned columns; a large one is shortened in the middle. A row that is wider
    than a line goes on below."""
    rows = cells(matrix)
    sizes = widths(rows)
    across = max(1, (line_width() - INDENT - 4) // (max(sizes, default=0) + 2))
    if sum(sizes) + 2 * len(sizes) + INDENT + 2 <= line_width() or across >= len(sizes):
        return [f"[ {line} ]" for line in align(rows, 0)]
    lines = []
    for row in rows:
        padded = [pad(cell, max(sizes), right=True) for cell in row]
        parts = ["  ".join(padded[start : start + across]) for start in range(0, len(padded), across)]
        lines += [f"{'  ' if i else '[ '}{part}{'' if i + 1 < len(parts) else ' ]'}" for i, part in enumerate(parts)]
    return lines


def cells(matrix: np.ndarray) -> list[list[str]]:
    """Format the entries; many are shortened in the middle."""
    rows = without_negligible(np.atleast_2d(matrix))
    down, across = shortened(len(rows), 2 * WIDEST), shortened(rows.shape[1], WIDEST)
    return [["…" if i is None or j is None else number_text(rows[i, j]) for j in across] for i in down]


def shortened(count: int, most: int) -> list[int | None]:
    """The places that are shown of so many: all, or the first, ``None`` for those that are left out, and the last."""
    return list(range(count)) if count <= most else [*range(most - 2), None, count - 1]


def place(explanation: Explanation) -> str:
    """What is explained, its value where that is short, and for which data."""
    return f"{explanation.names.text(explanation.of)}{value_text(explanation.value)}, {at_place(explanation)}"


def value_text(value: np.ndarray) -> str:
    """`` = 0.5``, `` = [1, 2]`` or `` = [1, 2; 3, 4]``; nothing for what is longer than a line takes."""
    if value.ndim == 0:
        return f" = {number_text(value)}"
    if value.ndim > 2 or value.size > WIDEST:
        return ""
    rows = [", ".join(number_texts(row)) for row in np.atleast_2d(without_negligible(value))]
    return f" = [{'; '.join(rows)}]"


def at_place(explanation: Explanation) -> str:
    """For which data it holds."""
    if explanation.example is not None:
        return f"at example {explanation.example} of the batch"
    if explanation.examples is not None:
        return f"at the batch of {explanation.examples}; gradients are summed over it"
    return "for the given inputs"


def chosen_cost(chosen: ChosenOrder) -> str:
    """What the order that the user chose costs, and whether its result is the same."""
    multiplications = f"{chosen.elimination.multiplications:,} multiplications"
    return f"{multiplications}; the result differs by at most {chosen.largest_difference:.1e}"


def notes(explanation: Explanation, numbers: NumberFormat) -> list[str]:
    """What the reader is told in the end; ``numbers`` is how the numbers of the explanation were written."""
    return [*explanation.warnings, *([NOTE] if numbers.hides else [])]


def _heading(explanation: Explanation) -> str:
    names = ", ".join(map(explanation.partial, explanation.wrt))
    return f"{names}\n{place(explanation)}\nRows are outputs, columns inputs; a matrix is read row by row."


def _wrt_frames(explanation: Explanation, explained: WrtExplanation) -> Iterator[str]:
    names, whole = explanation.names, explanation.partial(explained.wrt)
    of, wrt = names.text(explained.of), names.text(explained.wrt)
    title = f"── {whole} "
    yield title + "─" * max(0, 72 - len(title))
    if explained.path_count == 0:
        yield f"There is no path from {of} back to {wrt}: the gradient is zero."
        return
    if explained.paths is None:
        yield (
            f"{explained.path_count} paths lead from {of} to {wrt}, too many to list; by node "
            "instead: the\ncotangent of a node is the sum of what each node that uses it hands back."
        )
        for node in explained.nodes[1:]:
            yield _node_frame(node, explanation)
    else:
        for number, path in enumerate(explained.paths, 1):
            if len(explained.paths) > 1:
                yield f"Path {number} of {len(explained.paths)}: {_route(explained, path, names)}"
            elif path.factors:
                yield _route(explained, path, names)
            yield from _path_frames(explanation, explained, path)
        if len(explained.paths) > 1:
            total = " + ".join(f"path {i}" for i in range(1, len(explained.paths) + 1))
            yield "\n".join([f"{whole} = {total}:", *_indented(matrix_lines(explained.product))])
    shape = "×".join(map(str, explained.gradient.shape)) or "scalar"
    of = of if explained.product.shape[0] == 1 else f"Σ{of}"
    yield "\n".join(
        [
            f"Gradient of {of} in the shape of {wrt} ({shape}):",
            *_indented(matrix_lines(explained.gradient_matrix)),
        ]
    )
    yield _cost(explained, names)


def _path_frames(explanation: Explanation, explained: WrtExplanation, path: PathExplanation) -> Iterator[str]:
    names = explanation.names
    for i, (factor, partial) in enumerate(zip(path.factors, path.partials, strict=True)):
        lines = [f"Factor {i + 1} of {len(path.factors)}: {_describe(factor, explanation)}"]
        if others := explanation.sharing(factor, explained.wrt):
            lines.append(f"  shared with the derivative with respect to {names.listed(others)}")
        lines += _factor_lines(factor)
        if i:
            product = f"{explanation.partial(factor.of)} · {explanation.partial(factor.wrt, factor.of)}"
            lines.append(f"  Product so far: {explanation.partial(factor.wrt)} = {product}")
            lines += _indented(matrix_lines(partial))
        yield "\n".join(lines)


def _node_frame(node: NodeExplanation, explanation: Explanation) -> str:
    names = explanation.names
    lines = [f"Cotangent of {names.text(node.node)}:"]
    for term in node.terms:
        lines.append(f"  from {names.text(term.factor.of)}, times {_describe(term.factor, explanation)}:")
        lines += _indented(matrix_lines(term.value), 4)
    lines.append("  sum:" if len(node.terms) > 1 else "  so it is:")
    return "\n".join([*lines, *_indented(matrix_lines(node.cotangent), 4)])


def _describe(factor: Factor, explanation: Explanation) -> str:
    names, formula = explanation.names, formula_of(factor, explanation)
    which = f" by argument {factor.argument + 1}" if factor.argument is not None else ""
    rows, columns = factor.shape
    left = f"{names.partial(factor.of, factor.wrt)}{which}" + (f" = {formula.text}" if formula is not None else "")
    return f"{left}  ({expression_of(factor, names).text}; {rows}×{columns}, {structure_of(factor, formula)})"


def _factor_lines(factor: Factor) -> list[str]:
    rows, columns = factor.shape
    if rows * columns > MOST_ENTRIES:
        return [f"  {rows}×{columns} entries, not listed"]
    return _indented(matrix_lines(factor.jacobian.dense()))


def _route(explained: WrtExplanation, path: PathExplanation, names: Names) -> str:
    whole = names.partial(explained.of, explained.wrt)
    product = " · ".join(names.partial(factor.of, factor.wrt) for factor in path.factors)
    return f"{whole} = {product}" if product else f"{whole} is the identity"


def _cost(explained: WrtExplanation, names: Names) -> str:
    counts = explained.multiplications
    if counts is None:
        return ""
    order = names.listed(counts.order.order) if len(counts.order.order) <= 12 else f"{len(counts.order.order)} nodes"
    found_by = f" ({counts.order.method})" if counts.order.is_best else ""
    lines = [f"  {name:<25} {count:>14,}" for name, count in counts.rows()]
    if order:
        lines[3] += f"   eliminating {order}{found_by}"
    if counts.separate != counts.reverse:
        lines.insert(0, f"  each path by itself       {counts.separate:>14,}")
    return "\n".join(["Multiplications, dense, for one example:", *lines])


def _shared(explanation: Explanation) -> str:
    lines = ["── What the derivatives share " + "─" * 43, ""]
    names = explanation.names
    rows = [
        (names.partial(of, wrt), f"for {names.listed(users)}")
        for (of, wrt, _), users in explanation.shared_with.items()
    ]
    lines += _indented(align(rows, 2))
    saved = explanation.separate - explanation.shared
    lines += [
        "",
        f"Multiplications for all {len(explanation.wrt)} together, dense, for one example:",
        f"  each derivative by itself       {explanation.separate:>14,}",
        f"  shared prefixes computed once   {explanation.shared:>14,}   {saved:,} fewer",
    ]
    return "\n".join(lines)


def _chosen(chosen: ChosenOrder, names: Names) -> str:
    order = names.listed(chosen.elimination.order)
    return (
        f"In the order {order}: {chosen.elimination.multiplications:,} multiplications;\n"
        f"the result differs from the products above by at most {chosen.largest_difference:.1e}."
    )


def _indented(lines: Sequence[str], by: int = 2) -> list[str]:
    return [" " * by + line for line in lines]
