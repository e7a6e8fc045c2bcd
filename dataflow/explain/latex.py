"""An explanation in LaTeX: a snippet for a document that loads amsmath, or a document of its own."""

from __future__ import annotations

from collections.abc import Sequence

from dataflow.explain.equations import Block, Equations, Heading, Table, blocks, inline
from dataflow.explain.explanation import Explanation
from dataflow.explain.latex_lines import LINE, escaped

PAGE = 440.0
"""The width of a line in a document of its own: A4 with margins of 2 cm, less what widths may be wrong by."""


def latex(explanation: Explanation, *, standalone: bool = False, line: float = LINE) -> str:
    """Return a snippet, whose equations may be broken between pages and slides, or with ``standalone`` a document that
    compiles with pdflatex and amsmath."""
    if standalone:
        return document(fragment(explanation, "section", PAGE))
    return f"\\begingroup\\allowdisplaybreaks\n{fragment(explanation, line=line)}\\endgroup\n"


def document(content: str) -> str:
    """Return a document around a snippet."""
    return (
        "\\documentclass[a4paper]{article}\n\\usepackage{amsmath}\n\\usepackage[margin=2cm]{geometry}\n"
        f"\\allowdisplaybreaks\n\\begin{{document}}\n{content}\\end{{document}}\n"
    )


def fragment(explanation: Explanation, heading: str = "", line: float = LINE) -> str:
    """Return a snippet. A ``heading`` is a command such as ``subsubsection``; without, headings are bold, as on
    slides."""
    return "\n".join(_written(block, heading) for block in blocks(explanation, line))


def aligned(lines: Sequence[str]) -> str:
    """Return an ``align*`` block."""
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}\n"


def _written(block: Block, heading: str) -> str:
    if isinstance(block, Equations):
        return aligned(block.lines)
    if isinstance(block, Table):
        rows = "".join(" & ".join(inline(cell, escaped) for cell in row) + " \\\\[1ex]\n" for row in block.rows)
        columns = r"l p{0.6\linewidth}"
        return f"\\par\\noindent\\begin{{tabular}}{{{columns}}}\n{rows}\\end{{tabular}}\\par\\medskip\n"
    text = inline(block.pieces, escaped)
    if isinstance(block, Heading):
        return f"\\{heading}*{{{text}}}\n" if heading else f"\\medskip\\noindent\\textbf{{{text}}}\\par\n"
    return f"\\noindent {text}\\par\n"
