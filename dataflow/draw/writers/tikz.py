"""A picture in TikZ: laid out by Graphviz, drawn and set by LaTeX, mathematics and all. It compiles with pdflatex."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from dataflow.draw.layout.layout import Layout, Place, Point, Spline
from dataflow.draw.layout.legend_places import arrow_in, entries, sample_and_word
from dataflow.draw.picture.picture import Flow, Kind, Line, Mark, Picture, PictureEdge, PictureNode, Sample
from dataflow.draw.picture.styles import PALE as PALE_SHARE
from dataflow.draw.picture.styles import Theme, theme
from dataflow.notation.letters import ACCENTS, SUBSCRIPTS, SUPERSCRIPTS, greek_command, greek_name, printable

CORNER = 6.0
LARGEST = 14_000.0
"""LaTeX knows no length over 16,383 points."""
PALE = f"!{100 * PALE_SHARE:g}!paper"
"""Added to the name of a colour of what is not computed yet."""
DASHES = {Flow.VALUE: "", Flow.GRADIENT: "", Flow.SAVED: ",dashed", Flow.REPEAT: ",densely dotted"}
_COMMANDS = {"\u00a0": "~", "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_COMMANDS |= {character: f"\\{character}" for character in "#$%&_{}"}
_COMMANDS |= {
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "''",
    "-": "{-}",
    "[": "{[}",  # after the end of a line a bracket would begin an option
    "]": "{]}",
    "*": "{*}",
}
_COMMANDS |= {"∂": r"$\partial$", "×": r"$\times$", "·": r"$\cdot$", "−": "$-$", "…": r"\dots{}", "→": r"$\to$"}
_COMMANDS |= {"⁽": "$^{(}$", "⁾": "$^{)}$", "½": r"$\frac12$"}
_COMMANDS |= {above: f"$^{{{digit}}}$" for digit, above in SUPERSCRIPTS.items()}
_COMMANDS |= {below: rf"$_{{\mathrm{{{letter}}}}}$" for letter, below in SUBSCRIPTS.items()}
_COMMANDS |= {"Σ": r"$\Sigma$", "ᵀ": r"$^{\top}$", "⊙": r"$\odot$", "⊗": r"$\otimes$", "σ": r"$\sigma$", "‖": r"$\|$"}
_ACCENTS = {mark: accent for accent, mark in ACCENTS.items()}


def tikz(picture: Picture, layout: Layout, scale: float = 1.0) -> str:
    """A document with one picture, in its ``layout``; smaller where LaTeX has no page of that size."""
    scale = min(scale, LARGEST / max(layout.width, layout.height - layout.bottom, 1.0))
    layout = layout.scaled(scale) if scale < 1 else layout
    width = max(layout.width, 120.0) + 24
    height = layout.height - layout.bottom + 24
    size = f"paperwidth={width:.0f}bp,paperheight={height:.0f}bp,margin=10bp"
    lines = [
        r"\begin{tikzpicture}[x=1bp,y=1bp,>=latex,draw=line,text=ink,align=center,inner sep=1pt,",
        rf"  label/.style={{font=\sffamily\fontsize{{{10 * scale:.3g}}}{{{12 * scale:.3g}}}\selectfont}},",
        rf"  small/.style={{font=\sffamily\fontsize{{{7 * scale:.3g}}}{{{8.5 * scale:.3g}}}\selectfont,text=faint,",
        r"    fill=paper,fill opacity=0.85,text opacity=1}]",
    ]
    for number, cluster in enumerate(picture.clusters, 1):
        if (box := layout.boxes.get(f"cluster-{number}")) is not None:
            corners = f"({box[0]:.2f},{box[1]:.2f}) rectangle ({box[2]:.2f},{box[3]:.2f})"
            style = "frame" if cluster.is_pass else "frame,dashed,rounded corners=6bp"
            lines.append(rf"\draw[{style}] {corners};")
            anchor, y = ("south west", box[1] + 3) if cluster.is_pass else ("north west", box[3] - 3)
            lines.append(rf"\node[label,anchor={anchor}] at ({box[0] + 4:.2f},{y:.2f}) {{{text(cluster.label)}}};")
    for number, edge in enumerate(picture.edges, 1):
        if (drawn := layout.edges.get(f"edge-{number}")) is not None:
            lines += _edge(edge, drawn)
    for number, node in enumerate(picture.nodes, 1):
        if (place := layout.nodes.get(f"node-{number}")) is not None:
            lines += _node(node, place)
    for entry, place in zip(entries(picture), layout.below, strict=True) if picture.legend else ():
        lines += _entry(entry, place)
    return document(picture, size, lines)


def document(picture: Picture, size: str, drawn: Iterable[str]) -> str:
    """A document with a picture, whose lines are ``drawn``, on a page of this size."""
    lines = [
        r"\documentclass{article}",
        rf"\usepackage[{size}]{{geometry}}",
        r"\usepackage{tikz}",
        r"\usepackage{amsmath}",
        *definitions(theme(picture.dark)),
        r"\pagestyle{empty}\setlength{\parindent}{0pt}",
        r"\begin{document}",
        f"% {comment(picture.title)}",
        r"\pagecolor{paper}" if picture.dark else "% the paper is white",
        *drawn,
    ]
    return "\n".join([*lines, r"\end{tikzpicture}", r"\end{document}", ""])


def curve(points: Sequence[Point]) -> str:
    """A line of cubic Bézier curves."""
    texts = [f"({x:.2f},{y:.2f})" for x, y in points]
    parts = (texts[i : i + 3] for i in range(1, len(texts) - 2, 3))
    return texts[0] + "".join(f" .. controls {a} and {b} .. {end}" for a, b, end in parts)


def _entry(entry: Sample, place: Place) -> Iterator[str]:
    sample, (x, y) = sample_and_word(entry, place)
    if isinstance(entry.like, PictureNode):
        yield _draw_outline(entry.like, sample)
    elif entry.like is not None:
        points, tip = arrow_in(sample, 0.0)
        yield from _edge(entry.like, Spline(points, tip, None))
    yield rf"\node[small,anchor=west] at ({x:.2f},{y:.2f}) {{{text(entry.text)}}};"


def text(source: str) -> str:
    """Text in which nothing is a command of LaTeX, with mathematics where pdflatex has no letter."""
    parts: list[str] = []
    for character in unicodedata.normalize("NFD", printable(source)):
        if character in _ACCENTS and parts:
            parts[-1] = rf"$\{_ACCENTS[character]}{{{parts[-1].strip('$')}}}$"
        else:
            parts.append(_letter(character))
    return "".join(parts)


def _letter(character: str) -> str:
    if character in _COMMANDS:
        return _COMMANDS[character]
    if character.isascii():
        return character if character.isprintable() else " "
    if (greek := greek_name(character)) is not None:
        return f"${greek_command(greek)}$"
    return f"{_COMMANDS['[']}{ord(character):X}{_COMMANDS[']']}"


# ------------------------------------------------------------------------------------------------ elements


def _node(node: PictureNode, place: Place) -> Iterator[str]:
    yield _draw_outline(node, place)
    lines = r"\\".join("~" if node.pending and line.is_result else _line(line) for line in node.lines)
    shift = -3.0 if node.kind == Kind.PARAMETER else 0.0
    ink = f",text=ink{PALE}" if node.pending else ""
    yield rf"\node[label{ink}] at ({place.x:.2f},{place.y + shift:.2f}) {{{lines}}};"


def _draw_outline(node: PictureNode, place: Place) -> str:
    pale = PALE if node.pending else ""
    style = [f"fill={node.kind}{pale}"]
    if node.mark or node.pending:
        style.append(f"draw={node.mark or 'line'}{pale}")
    if node.mark:
        style.append("line width=2pt")
    if not node.computed:
        style.append("densely dotted")
    elif node.saved:
        style.append("dashed")
    return rf"\draw[{','.join(style)}] {_outline(node.kind, place)};"


def _line(line: Line) -> str:
    return f"${line.latex}$" if line.latex else text(line.written)


def _outline(kind: Kind, place: Place) -> str:
    left, right = place.x - place.width / 2, place.x + place.width / 2
    low, high = place.y - place.height / 2, place.y + place.height / 2
    box = f"({left:.2f},{low:.2f}) rectangle ({right:.2f},{high:.2f})"
    c = CORNER
    match kind:
        case Kind.INPUT:
            half = f"x radius={place.width / 2:.2f}, y radius={place.height / 2:.2f}"
            return f"({place.x:.2f},{place.y:.2f}) circle [{half}]"
        case Kind.PARAMETER:
            arc = f"x radius={place.width / 2:.2f}, y radius={c / 2:.2f}"
            return (
                f"({left:.2f},{high - c / 2:.2f}) -- ({left:.2f},{low + c / 2:.2f})"
                f" arc [start angle=180, end angle=360, {arc}]"
                f" -- ({right:.2f},{high - c / 2:.2f}) arc [start angle=0, end angle=180, {arc}]"
                f" arc [start angle=180, end angle=360, {arc}]"
            )
        case Kind.CONSTANT:
            return (
                f"({left:.2f},{low:.2f}) -- ({right:.2f},{low:.2f}) -- ({right:.2f},{high - c:.2f}) --"
                f" ({right - c:.2f},{high:.2f}) -- ({left:.2f},{high:.2f}) -- cycle"
                f" ({right - c:.2f},{high:.2f}) |- ({right:.2f},{high - c:.2f})"
            )
        case Kind.OP:
            return f"[rounded corners={c:.0f}bp] {box}"
        case Kind.OUTPUT:
            inner = f"({left + 3:.2f},{low + 3:.2f}) rectangle ({right - 3:.2f},{high - 3:.2f})"
            return f"[rounded corners={c:.0f}bp] {box} {inner}"
        case Kind.LOSS:
            return f"{_octagon(left, low, right, high)} {_octagon(left + 3, low + 3, right - 3, high - 3)}"
        case Kind.COTANGENT:
            cuts = "".join(
                f" ({x:.2f},{y + dy:.2f}) -- ({x + dx:.2f},{y:.2f})"
                for x, dx in ((left, c), (right, -c))
                for y, dy in ((low, c), (high, -c))
            )
            return box + cuts
        case Kind.BLOCK:
            back = f"({left:.2f},{high:.2f}) -- ++(3,3) -| ++({place.width:.2f},{-place.height:.2f}) -- ++(-3,-3)"
            return f"{box} {back} ({right:.2f},{high:.2f}) -- ++(3,3)"
        case Kind.LAYERS:
            tab = f"({right - 24:.2f},{high:.2f}) -- ++(4,4) -- ++(16,0) -- ++(4,-4)"
            return f"{box} {tab}"


def _octagon(left: float, low: float, right: float, high: float) -> str:
    c = (high - low) * 0.29
    corners = [(left, low + c), (left + c, low), (right - c, low), (right, low + c)]
    corners += [(right, high - c), (right - c, high), (left + c, high), (left, high - c)]
    return " -- ".join(f"({x:.2f},{y:.2f})" for x, y in corners) + " -- cycle"


def _edge(edge: PictureEdge, drawn: Spline) -> Iterator[str]:
    pale = PALE if edge.pending else ""
    width = {
        Mark.NONE: f",draw=line{pale}" if pale else "",
        Mark.PATH: f",line width=2pt,draw=path{pale}",
        Mark.SHARED: f",draw=shared{pale},double=paper,line width=1pt",
    }
    style = f"->{DASHES[edge.flow]}{width[edge.mark]}"
    ends = f" -- ({drawn.end[0]:.2f},{drawn.end[1]:.2f})" if drawn.end else ""
    yield rf"\draw[{style}] {curve(drawn.points)}{ends};"
    if drawn.label is not None and not edge.pending:
        yield rf"\node[small] at ({drawn.label[0]:.2f},{drawn.label[1]:.2f}) {{{text(edge.label)}}};"


def definitions(colors: Theme) -> Iterator[str]:
    """The colours of a theme, by the names that the pictures use."""
    named = {"paper": colors.paper, "ink": colors.text, "line": colors.line, "faint": colors.faint}
    named |= {"framecolor": colors.frame, "path": colors.path, "shared": colors.shared, "value": colors.value}
    named["negative"] = colors.negative
    for name, value in {**named, **{str(kind): value for kind, value in colors.fills.items()}}.items():
        yield rf"\definecolor{{{name}}}{{HTML}}{{{value[1:].upper()}}}"
    yield r"\tikzset{frame/.style={draw=framecolor}}"


def comment(source: str) -> str:
    """Text as a comment."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in source)
