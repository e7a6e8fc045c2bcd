"""An explanation in Markdown, with mathematics between dollar signs, as GitHub, Jupyter and MyST show it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dataflow.explain.equations import Block, Equations, Heading, Table, blocks, inline, with_commas
from dataflow.explain.explanation import Explanation
from dataflow.explain.latex_lines import LINE


def markdown(explanation: Explanation, line: float = LINE) -> str:
    """Return the whole explanation."""
    names, of = explanation.names, explanation.of
    partials = with_commas(names.partial(of, wrt, latex=True, inline=True) for wrt in explanation.wrt)
    return "\n".join([f"## {inline(partials, escaped)}\n", *map(_written, blocks(explanation, line))])


def aligned(lines: Sequence[str]) -> str:
    """Return lines of equations as a block of mathematics."""
    content = " \\\\\n".join(lines)
    return f"$$\n\\begin{{aligned}}\n{content}\n\\end{{aligned}}\n$$\n"


def escaped(text: str) -> str:
    """Escape a text, so that nothing in it is Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~&])", r"\\\1", text)


def _written(block: Block) -> str:
    if isinstance(block, Equations):
        return aligned(block.lines)
    if isinstance(block, Table):
        rows = [f"| {' | '.join(inline(cell, escaped) for cell in row)} |" for row in block.rows]
        return "\n".join([rows[0], "|" + " --- |" * len(block.rows[0]), *rows[1:]]) + "\n"
    text = inline(block.pieces, escaped)
    return f"### {text}\n" if isinstance(block, Heading) else f"{text}\n"
