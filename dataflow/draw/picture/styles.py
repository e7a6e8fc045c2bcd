"""How things look: a shape for each kind, line styles, and the colours of the light and the dark theme.

Every attribute that reaches Graphviz comes from here. Colours only repeat what shapes and lines say.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from dataflow.draw.picture.picture import Flow, Kind, Mark, PictureNode

FONT = "DejaVu Sans"
"""The widest of the usual fonts: a box that is wide enough for it is wide enough for what a reader's machine has."""
FONT_SIZE, SMALL, TITLE = 12, 9, 13
THICK = 2.8

SHAPES = {
    Kind.INPUT: {"shape": "ellipse"},
    Kind.PARAMETER: {"shape": "cylinder"},
    Kind.CONSTANT: {"shape": "note"},
    Kind.OP: {"shape": "box"},
    Kind.OUTPUT: {"shape": "box", "peripheries": "2"},
    Kind.LOSS: {"shape": "doubleoctagon"},
    Kind.COTANGENT: {"shape": "box"},
    Kind.BLOCK: {"shape": "box3d"},
    Kind.LAYERS: {"shape": "folder"},
}
MARGIN: dict[Kind | None, tuple[float, float]] = {None: (9.4, 5.0), Kind.INPUT: (3.6, 2.2), Kind.LOSS: (1.5, 1.5)}
"""What is left free beside a node's text, and above and below, in points; ``None`` stands for all other kinds."""


@dataclass(frozen=True)
class Theme:
    """Colours as #rrggbb. Text has a contrast of 7 : 1 and more with what is behind it, lines of 3 : 1 and more."""

    paper: str
    text: str
    line: str
    faint: str
    frame: str
    path: str
    shared: str
    value: str
    negative: str
    fills: dict[Kind, str]


INKS = tuple(field.name for field in fields(Theme) if field.name not in ("paper", "fills"))
"""The colours of texts and lines."""
LIGHT = Theme(
    paper="#ffffff",
    text="#1b1f24",
    line="#3d444d",
    faint="#59616b",
    frame="#6e7781",
    path="#b0450a",
    shared="#6639ba",
    value="#0a4a9e",
    negative="#a3134f",
    fills={
        Kind.INPUT: "#dff0ff",
        Kind.PARAMETER: "#fff3cd",
        Kind.CONSTANT: "#eceff2",
        Kind.OP: "#ffffff",
        Kind.OUTPUT: "#e2f5e5",
        Kind.LOSS: "#ffe3e0",
        Kind.COTANGENT: "#f1e8fd",
        Kind.BLOCK: "#eef1f4",
        Kind.LAYERS: "#eef1f4",
    },
)
DARK = Theme(
    paper="#0d1117",
    text="#f0f3f6",
    line="#b7bdc8",
    faint="#9ea7b3",
    frame="#848d97",
    path="#ffb77c",
    shared="#d2b4ff",
    value="#9ecbff",
    negative="#ff9ec1",
    fills={
        Kind.INPUT: "#0f2d4a",
        Kind.PARAMETER: "#3f3206",
        Kind.CONSTANT: "#2a3038",
        Kind.OP: "#151b23",
        Kind.OUTPUT: "#10341b",
        Kind.LOSS: "#4b1513",
        Kind.COTANGENT: "#31204c",
        Kind.BLOCK: "#242a33",
        Kind.LAYERS: "#242a33",
    },
)
PALE = 0.25
"""How much is left of the colours of what is not computed yet; the rest is the paper's."""


def paled(colors: Theme) -> Theme:
    """The colours of what is not computed yet."""
    lines = {name: _mixed(getattr(colors, name), colors.paper) for name in INKS}
    fills = {kind: _mixed(fill, colors.paper) for kind, fill in colors.fills.items()}
    return replace(colors, **lines, fills=fills)


def _mixed(color: str, paper: str) -> str:
    parts = [(int(color[i : i + 2], 16), int(paper[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(PALE * part + (1 - PALE) * behind):02x}" for part, behind in parts)


LINES = {Flow.VALUE: "solid", Flow.GRADIENT: "solid", Flow.SAVED: "dashed", Flow.REPEAT: "dotted"}


def theme(dark: bool) -> Theme:
    """The colours of a picture."""
    return DARK if dark else LIGHT


def color_of(name: str, colors: Theme) -> str:
    """The colour of that name, or of that kind of node."""
    return colors.fills[Kind(name)] if name in colors.fills else str(getattr(colors, name))


def dark_rules(root: str, *, pale: bool = False) -> str:
    """A stylesheet that turns the light colours of the SVG with the id ``root`` into the dark ones where the page
    around it is dark; with ``pale`` also those of what is not computed yet. An op has the colour of the paper in one
    theme only, so that fills go by the kind of node."""
    rules = []
    for light, dark in ((LIGHT, DARK), *([(paled(LIGHT), paled(DARK))] if pale else [])):
        rules += [
            f'#{root} [{attribute}="{getattr(light, name)}"]{{{attribute}:{getattr(dark, name)}}}'
            for name in ("paper", *INKS)
            for attribute in ("fill", "stroke")
        ]
        rules += [
            f'#{root} :is(.node,.sample).{kind} [fill="{fill}"]{{fill:{dark.fills[kind]}}}'
            for kind, fill in light.fills.items()
        ]
    return "@media (prefers-color-scheme:dark){" + "".join(rules) + "}"


def node_style(node: PictureNode) -> str:
    """The value of Graphviz's ``style``."""
    parts = ["filled"]
    if node.kind in (Kind.OP, Kind.OUTPUT):
        parts.append("rounded")
    if node.kind == Kind.COTANGENT:
        parts.append("diagonals")
    if not node.computed:
        parts.append("dotted")
    elif node.saved:
        parts.append("dashed")
    return ",".join(parts)


def mark_color(mark: Mark, otherwise: str, colors: Theme) -> str:
    """The colour of what is marked."""
    return {Mark.PATH: colors.path, Mark.SHARED: colors.shared}.get(mark, otherwise)
