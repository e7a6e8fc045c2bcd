"""An explanation as a LaTeX document: every factor as a matrix, the products, the gradient, the costs."""

from __future__ import annotations

import numpy as np

from dataflow.explain.explanation import Explanation, PathExplanation, WrtExplanation
from dataflow.explain.names import latex_name

LARGEST = (12, 10)
"""Rows and columns of the largest matrix that is written out; a larger one is named with its shape."""

IN_A_LINE = 60
"""Characters of names in one line of a product, about."""


def latex(explanation: Explanation) -> str:
    """A document that compiles with pdflatex and amsmath."""
    return (
        "\\documentclass{article}\n\\usepackage{amsmath}\n\\usepackage[margin=2cm]{geometry}\n"
        "\\allowdisplaybreaks\n\\setcounter{MaxMatrixCols}{20}\n\\begin{document}\n"
        + fragment(explanation, "section")
        + "\\end{document}\n"
    )


def fragment(explanation: Explanation, heading: str = "subsubsection") -> str:
    """What stands in the document, for one that has amsmath and other headings."""
    parts = [_one(explanation, one, heading) for one in explanation.explained.values()]
    if len(explanation.wrt) > 1:
        parts.append(_shared(explanation, heading))
    if explanation.chosen is not None:
        order, difference = explanation.chosen.elimination, explanation.chosen.largest_difference
        names = ", ".join(f"${latex_name(name)}$" for name in order.order)
        costs = f"{order.multiplications:,} multiplications; the result differs by at most {difference:.1e}"
        parts.append(f"\\medskip\\noindent In the order {names}: {costs}.\\par\n")
    notes = "".join(f"\\noindent {escaped(note)}\\par\n" for note in explanation.warnings)
    return "\n".join(parts) + notes


def matrix(found: np.ndarray) -> str:
    """A matrix in parentheses, or its shape where it is large."""
    rows = np.atleast_2d(found)
    if rows.shape[0] > LARGEST[0] or rows.shape[1] > LARGEST[1]:
        return rf"[\,{rows.shape[0]}\times{rows.shape[1]}\,]"
    lines = r" \\ ".join(" & ".join(number(entry) for entry in row) for row in rows)
    return rf"\begin{{pmatrix}} {lines} \end{{pmatrix}}"


def number(value: float) -> str:
    """Up to six digits; powers of ten as such."""
    if not np.isfinite(value):
        return r"\mathrm{nan}" if np.isnan(value) else r"\infty" if value > 0 else r"-\infty"
    text = f"{value + 0.0:.6g}"  # no -0
    if "e" in text:
        mantissa, exponent = text.split("e")
        return rf"{mantissa}\cdot 10^{{{int(exponent)}}}"
    return text


def escaped(text: str) -> str:
    """Text in which nothing is a command of LaTeX; letters beyond ASCII as their code points."""
    table = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    table |= {character: f"\\{character}" for character in "#$%&_{}"}
    known = {"∂": r"$\partial$", "×": r"$\times$", "·": r"$\cdot$", "−": "$-$"}
    return "".join(table.get(c) or known.get(c) or (c if c.isascii() else f"[{ord(c):X}]") for c in text)


def _partial(of: str, wrt: str) -> str:
    return rf"\frac{{\partial {latex_name(of)}}}{{\partial {latex_name(wrt)}}}"


def _one(explanation: Explanation, one: WrtExplanation, heading: str) -> str:
    whole = _partial(one.of, one.wrt)
    title = f"\\{heading}*{{$\\partial {latex_name(one.of)} / \\partial {latex_name(one.wrt)}$}}\n"
    if not one.path_count:
        of, wrt = latex_name(one.of), latex_name(one.wrt)
        return f"{title}There is no path from ${of}$ back to ${wrt}$: the gradient is zero.\n"
    lines: list[str] = []
    if one.paths is None:
        lead = f"{one.path_count} paths lead there, too many to list; by node instead.\n"
        for node in one.nodes[1:]:
            terms = " + ".join(
                rf"{_partial(one.of, term.factor.of)} {_partial(term.factor.of, term.factor.wrt)}"
                for term in node.terms
            )
            lines.append(f"{_partial(one.of, node.node)} &= {terms} = {matrix(node.cotangent)}")
    else:
        lead = ""
        for path in one.paths:
            lines += _path(one, path)
        if len(one.paths) > 1:
            lines.append(f"{whole} &= {matrix(one.product)} \\quad\\text{{(the sum over the paths)}}")
    of = latex_name(one.of) if len(one.product) == 1 else rf"\textstyle\sum {latex_name(one.of)}"
    gradient = one.gradient if one.gradient.ndim <= 2 else one.gradient.reshape(-1, one.gradient.shape[-1])
    lines.append(rf"\nabla_{{{latex_name(one.wrt)}}}\, {of} &= {matrix(gradient)}")
    return title + lead + "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}\n" + _cost(one)


def _path(one: WrtExplanation, path: PathExplanation) -> list[str]:
    if not path.factors:
        return [f"{_partial(one.of, one.wrt)} &= {matrix(one.product)}"]
    pieces, room = [""], IN_A_LINE
    for factor in path.factors:
        width = max(len(factor.of), len(factor.wrt)) + 3
        if pieces[-1] and width > room:
            pieces.append("")
            room = IN_A_LINE
        pieces[-1] += (" \\cdot " if pieces[-1] else "") + _partial(factor.of, factor.wrt)
        room -= width
    lines = [f"{_partial(one.of, one.wrt)} &= {pieces[0]}", *(f"&\\quad\\cdot {piece}" for piece in pieces[1:])]
    for i, (factor, partial) in enumerate(zip(path.factors, path.partials, strict=True)):
        rows, columns = factor.shape
        small = rows <= LARGEST[0] and columns <= LARGEST[1]
        value = matrix(factor.jacobian.dense()) if small else rf"[\,{rows}\times{columns}\,]"
        kind = rf"\quad\text{{({escaped(factor.op)}, {_ascii(factor.structure)})}}"
        lines.append(f"{_partial(factor.of, factor.wrt)} &= {value}{kind}")
        if i:
            lines.append(f"{_partial(one.of, factor.wrt)} &= {matrix(partial)}")
    return lines


def _ascii(structure: str) -> str:
    return "".join({"⊗": r"$\otimes$", "·": r"$\cdot$"}.get(c, c) for c in structure)


def _cost(one: WrtExplanation) -> str:
    counts = one.multiplications
    if counts is None:
        return ""
    return (
        f"\\noindent Multiplications, dense, for one example: {counts.reverse:,} from the left (reverse), "
        f"{counts.forward:,} from the right (forward), {counts.best:,} in the best order known; "
        f"{counts.with_structure:,} with structure.\\par\n"
    )


def _shared(explanation: Explanation, heading: str) -> str:
    rows = "".join(
        f"${_partial(of, wrt)}$ & {', '.join(f'${latex_name(name)}$' for name in users)} \\\\[1ex]\n"
        for (of, wrt, _), users in explanation.shared_with.items()
    )
    return (
        f"\\{heading}*{{What the derivatives share}}\n"
        "\\noindent\\begin{tabular}{ll}\nfactor & on the way to \\\\[1ex]\n"
        f"{rows}\\end{{tabular}}\\par\\medskip\n"
        f"\\noindent Multiplications for all of them: {explanation.separate:,} each by itself, "
        f"{explanation.shared:,} with common prefixes computed once.\\par\n"
    )
