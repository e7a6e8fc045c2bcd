"""From a model to a picture of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dataflow.draw.calls import Calls
from dataflow.draw.effort import MOST_EFFORT, effort
from dataflow.draw.grouping import Grouping, group
from dataflow.draw.legend import describe, legend
from dataflow.draw.notation import plain
from dataflow.draw.picture import Cluster, Flow, Kind, Line, Mark, Picture, PictureEdge, PictureNode, Role
from dataflow.draw.subject import (
    Marks,
    Subject,
    backward_subject,
    default_wrt,
    find_marks,
    forward_subject,
    target_of,
)
from dataflow.draw.texts import MOST_NAMES, Texts
from dataflow.evaluate import forward
from dataflow.graph import CONSTANT, INPUT, OP, PARAMETER
from dataflow.model import Model

FORWARD, BACKWARD = "forward pass", "backward pass"
MOST_NODES = 999
"""A picture of more nodes is folded before it is laid out."""
KINDS = {INPUT: Kind.INPUT, PARAMETER: Kind.PARAMETER, CONSTANT: Kind.CONSTANT, OP: Kind.OP}


@dataclass(frozen=True)
class Options:
    """What a picture shows. The default is the forward pass from top to bottom, a node for each that is named."""

    backward: bool = False
    both: bool = False
    of: str | None = None
    wrt: tuple[str, ...] = ()
    """Whose gradients' paths are marked."""
    values: bool = False
    inner: bool = False
    collapse: tuple[str, ...] = ()
    fold_repeats: bool = True
    down: bool = True
    dark: bool = False
    auto: bool = False
    legend: bool = True
    max_nodes: int | None = None
    """``MOST_NODES``, or fewer where so many take too long to lay out."""


def build_picture(model: Model, options: Options, given: Mapping[str, Any] | None = None) -> Picture:
    """The picture of a model; ``given`` are its inputs, where numbers are to be shown."""
    graph = model.graph
    for name in options.wrt:
        graph.value(name)
    of = target_of(model, options.of) if options.backward or options.both or options.wrt or options.of else None
    wrts = default_wrt(model, options.wrt)
    if of is not None and (options.backward or options.both):
        subject = backward_subject(model, of, wrts, with_forward=options.both)
    else:
        subject = forward_subject(model, of)
    pinned = {*model.outputs, *options.wrt, *([model.loss] if model.loss else []), *([of] if of else [])}
    calls = Calls(graph, fold_repeats=options.fold_repeats, pinned=pinned)
    calls.collapse(options.collapse)
    marks = find_marks(subject, graph, of, options.wrt, wrts) if of and options.wrt else Marks()
    values = _compute(model, subject, given) if options.values else {}
    limit = MOST_NODES if options.max_nodes is None else options.max_nodes
    while True:
        found = group(subject, calls, pinned, inner=options.inner, max_nodes=limit)
        picture = _Builder(model, options, subject, calls, found, marks, values).build()
        if options.max_nodes is not None or found.bands or effort(picture) <= MOST_EFFORT:
            return picture
        limit = len(picture.nodes) - 1  # as many would take too long to lay out: fold further


def _compute(model: Model, subject: Subject, given: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
    """The forward pass, and the backward pass if what it starts from can be computed."""
    known, sizes = model.feed(given)
    values = forward(model.graph, subject.forward, known, sizes)
    return forward(subject.graph, subject.backward, values, sizes) if subject.of in values else values


@dataclass
class _Builder:
    model: Model
    options: Options
    subject: Subject
    calls: Calls
    grouping: Grouping
    marks: Marks
    values: Mapping[str, np.ndarray]

    @cached_property
    def texts(self) -> Texts:
        """What stands in the nodes, once the numbers are known."""
        return Texts(self.subject, self.model.graph, self.calls, self.grouping, self.values)

    def build(self) -> Picture:
        members = self.grouping.members()
        nodes = tuple(self.node(key, names) for key, names in members.items())
        edges = tuple(self.edges(members))
        clusters = tuple(self.clusters(nodes))
        view = (
            FORWARD if not self.subject.backward else BACKWARD if not self.options.both else "forward and backward pass"
        )
        title = plain(f"{self.model.name or 'model'}: {view}")
        notes = [*self.calls.notes, *self.grouping.notes]
        notes += [
            f"no path leads from '{name}' to '{self.subject.of}': its gradient is zero and is not drawn"
            for name in self.subject.no_path
        ]
        return Picture(
            title,
            describe(title, nodes, edges, self.subject, self.marks),
            nodes,
            edges,
            clusters,
            tuple(self.beside(members)) if self.options.both else (),
            legend(nodes, edges) if self.options.legend else (),
            self.options.down,
            self.options.dark,
            self.options.auto,
            tuple(notes),
        )

    # -------------------------------------------------------------------------------------------- nodes

    def node(self, key: str, members: Sequence[str]) -> PictureNode:
        main = self.grouping.main[key]
        is_backward = main in self.subject.belongs
        saved = not is_backward and not self.subject.with_forward
        mark = Mark.NONE if saved else self.marks.mark(main)
        if not mark and not saved and any(self.marks.mark(name) for name in members):
            mark = Mark.PATH
        kind = self.kind(key, main)
        lines = self.texts.lines(key, members, kind, numbers=self.options.values)
        if saved:
            lines.append(Line(Role.NOTE, "saved"))
        computed = True
        if self.options.values and kind != Kind.LAYERS:
            computed = main in self.values
            lines += self.texts.numbers(key)
        others = self.marks.others(main) if mark == Mark.SHARED else []
        if others:
            names = ", ".join(others) if len(others) <= MOST_NAMES else f"{len(others)} others"
            lines.append(Line(Role.NOTE, f"shared with {plain(names, 40)}"))
        cluster = self.cluster_of(key, is_backward)
        return PictureNode(key, kind, tuple(lines), tuple(members), cluster, is_backward, saved, computed, mark)

    def kind(self, key: str, main: str) -> Kind:
        if key in self.grouping.bands:
            return Kind.LAYERS
        if key in self.grouping.calls:
            return Kind.BLOCK
        if main in self.subject.belongs:
            return Kind.COTANGENT if main in self.subject.cotangent_of else Kind.OP
        if main == self.model.loss:
            return Kind.LOSS
        kind = KINDS[self.subject.graph.nodes[main]["kind"]]
        return Kind.OUTPUT if main in self.model.outputs and kind == Kind.OP else kind

    # -------------------------------------------------------------------------------------------- edges and clusters

    def edges(self, members: Mapping[str, Sequence[str]]) -> list[PictureEdge]:
        """An edge for each of the graph; those that end in a folded node are one for each source and flow."""
        bundles: dict[tuple[str, str, Flow, int], list[tuple[str, str, int]]] = {}
        keys = self.grouping.keys
        for source, target, position in self.subject.edges():
            carried = self.is_carried(source, target)
            if keys[source] == keys[target] and not carried:
                continue
            alone = len(members[keys[target]]) == 1 and len(members[keys[source]]) == 1
            flow = self.flow(source, target, carried)
            bundle = (keys[source], keys[target], flow, position if alone else -1)
            bundles.setdefault(bundle, []).append((source, target, position))
        return [self.edge(*bundle[:3], found) for bundle, found in bundles.items()]

    def is_carried(self, source: str, target: str) -> bool:
        """Whether an edge leads from one repetition of a block to the next; a shared parameter is no such edge."""
        graph, belongs = self.subject.graph, self.subject.belongs
        if graph.nodes[source]["kind"] in (PARAMETER, CONSTANT) or (source in belongs) != (target in belongs):
            return False
        if self.grouping.keys[source] in self.grouping.bands | self.grouping.calls.keys():
            return False
        return self.calls.is_carried(self.texts.block(source), self.texts.block(target))

    def flow(self, source: str, target: str, carried: bool) -> Flow:
        if carried:
            return Flow.REPEAT
        if target not in self.subject.belongs:
            return Flow.VALUE
        return Flow.GRADIENT if source in self.subject.belongs else Flow.SAVED

    def edge(self, source: str, target: str, flow: Flow, members: list[tuple[str, str, int]]) -> PictureEdge:
        texts = list(dict.fromkeys(self.texts.edge_text(source, name) for name, _, _ in members))
        label = texts[0] if len(texts) == 1 else f"{len(texts)} values"
        mark = Mark.NONE
        if flow != Flow.SAVED:
            found = [self.edge_mark(a, b) for a, b, _ in members]
            mark = next((one for one in (Mark.SHARED, Mark.PATH) if one in found), Mark.NONE)
        return PictureEdge(source, target, flow, label, tuple(members), mark)

    def edge_mark(self, source: str, target: str) -> Mark:
        a, b = self.marks.mark(source), self.marks.mark(target)
        if Mark.NONE in (a, b):
            return Mark.NONE
        return b if source in self.subject.belongs else a

    def clusters(self, nodes: Sequence[PictureNode]) -> list[Cluster]:
        """The calls that have a node, and in a picture of both the two passes."""
        found: dict[str, Cluster] = {}
        if self.options.both:
            found[FORWARD] = Cluster(FORWARD, FORWARD, is_pass=True)
            found[BACKWARD] = Cluster(BACKWARD, BACKWARD, is_pass=True, backward=True)
        for node in nodes:
            path = self.grouping.paths[node.key]
            for call in self.calls.around(path):
                key = self.cluster_key(call, node.backward)
                if key is not None and key not in found:
                    title = plain(self.calls.title(call))
                    parent = self.cluster_key(self.calls.parent[call], node.backward)
                    label = f"backward through {title}" if node.backward else title
                    found[key] = Cluster(key, label, parent, backward=node.backward)
        return list(found.values())

    def cluster_of(self, key: str, is_backward: bool) -> str | None:
        return self.cluster_key(self.grouping.paths[key], is_backward)

    def cluster_key(self, call: str | None, is_backward: bool) -> str | None:
        if call is None:
            return (BACKWARD if is_backward else FORWARD) if self.options.both else None
        return f"{'backward' if is_backward else 'forward'}:{call}"

    def beside(self, members: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """Each node with its cotangent, as far as both are drawn."""
        found: dict[str, str] = {}
        for node in members:
            main = self.grouping.main[node]
            owner = self.subject.belongs.get(main)
            if owner is not None and main in self.subject.cotangent_of and node not in self.grouping.bands:
                found.setdefault(self.grouping.keys[owner], node)
        return list(found.items())
