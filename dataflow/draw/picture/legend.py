"""What a picture says about itself: the legend under it, and the description for those who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence

from dataflow.draw.picture.picture import (
    Flow,
    Kind,
    Mark,
    PictureEdge,
    PictureNode,
    Sample,
    sample_of_line,
    sample_of_node,
)
from dataflow.draw.picture.subject import Marks, Subject
from dataflow.errors import counted, plural
from dataflow.notation.letters import plain

SHAPES = {
    Kind.INPUT: ("ellipse", "input"),
    Kind.PARAMETER: ("cylinder", "parameter"),
    Kind.CONSTANT: ("sheet of paper", "constant"),
    Kind.OP: ("rounded box", "op"),
    Kind.OUTPUT: ("double box", "output"),
    Kind.LOSS: ("double octagon", "loss"),
    Kind.COTANGENT: ("box with cut corners", "cotangent"),
    Kind.BLOCK: ("solid block", "collapsed block"),
    Kind.LAYERS: ("folder", "folded layers"),
}
FLOWS = {Flow.SAVED: ("dashed arrow", "saved value"), Flow.REPEAT: ("dotted arrow", "to the next repetition")}
MARKS = {Mark.PATH: ("thick", "path of the gradient"), Mark.SHARED: ("thick and double", "shared with others")}


def legend(nodes: Sequence[PictureNode], edges: Sequence[PictureEdge]) -> tuple[Sample, ...]:
    """Explain the shapes and lines in the picture."""
    kinds = {node.kind for node in nodes}
    flows = {edge.flow for edge in edges}
    marks = {edge.mark for edge in edges} | {node.mark for node in nodes}
    samples = [sample_of_node(what, shape, kind) for kind, (shape, what) in SHAPES.items() if kind in kinds]
    samples += [sample_of_line(what, line, flow) for flow, (line, what) in FLOWS.items() if flow in flows]
    samples += [sample_of_line(what, line, Flow.VALUE, mark) for mark, (line, what) in MARKS.items() if mark in marks]
    if not all(node.computed for node in nodes):
        samples.append(sample_of_node("not computed", "dotted border", Kind.OP, computed=False))
    return tuple(samples)


def describe(
    title: str, nodes: Sequence[PictureNode], edges: Sequence[PictureEdge], subject: Subject, marks: Marks
) -> str:
    """Describe the picture in sentences: its nodes, and what leads where."""
    sentences = [f"{size_of(nodes, edges)}, {title}."]
    for kind, (_, what) in SHAPES.items():
        members = [node for node in nodes if node.kind == kind and not node.saved]
        names = ", ".join(plain(_name(node), 60) for node in members[:12]) + (", …" if len(members) > 12 else "")
        if members:
            sentences.append(f"{plural(what.capitalize(), len(members))}: {names}.")
    if subject.gradients:
        sentences.append(f"The backward pass starts from {subject.of}.")
    if marks.asked:
        sentences.append(f"The path of the gradient with respect to {', '.join(marks.asked)} is marked.")
    missing = [node for node in nodes if not node.computed]
    if missing:
        sentences.append(f"Not computed: {', '.join(plain(_name(node), 60) for node in missing[:12])}.")
    return " ".join(sentences)


def size_of(nodes: Sequence[PictureNode], edges: Sequence[PictureEdge]) -> str:
    """How large a graph is, in the words that a description begins with."""
    return f"A data-flow graph of {counted(len(nodes), 'node')} and {counted(len(edges), 'edge')}"


def _name(node: PictureNode) -> str:
    return node.lines[0].text if node.lines else node.key
