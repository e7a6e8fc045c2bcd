"""Build a picture from a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dataflow.draw.layout.difficulty import MOST_EFFORT, effort
from dataflow.draw.picture.calls import Calls
from dataflow.draw.picture.grouping import Grouping, group
from dataflow.draw.picture.legend import describe, legend
from dataflow.draw.picture.marked import only_marked
from dataflow.draw.picture.node_texts import MOST_NAMES, Texts
from dataflow.draw.picture.picture import Cluster, Flow, Kind, Line, Mark, Picture, PictureEdge, PictureNode, Role
from dataflow.draw.picture.picture_steps import number_steps
from dataflow.draw.picture.specs import VALUES, Specs
from dataflow.draw.picture.subject import (
    Marks,
    Subject,
    backward_subject,
    default_wrt,
    find_marks,
    forward_subject,
    kind_of,
    no_path_note,
    target_of,
    title_of,
)
from dataflow.errors import GraphError, listed
from dataflow.execution.forward import forward
from dataflow.graph.node import CONSTANT, PARAMETER
from dataflow.limits import spend
from dataflow.model.model import Model
from dataflow.notation.letters import plain
from dataflow.notation.names import Names

FORWARD, BACKWARD = "forward pass", "backward pass"
MOST_NODES = 999
"""A picture of more nodes than this is folded before it is laid out."""


@dataclass(frozen=True)
class Options:
    """What a picture shows. The default is the forward pass from top to bottom, a node for each that is named."""

    backward: bool = False
    both: bool = False
    of: str | None = None
    wrt: tuple[str, ...] = ()
    """Whose gradients' paths are marked."""
    only: bool = False
    """Nothing but these paths is shown."""
    labels: str | None = None
    """One of ``LABELS``; unless given, what the style shows without."""
    inner: bool = False
    collapse: tuple[str, ...] = ()
    fold_repeats: bool = True
    down: bool = True
    dark: bool = False
    auto: bool = False
    legend: bool = True
    notation: str = "math"
    example: int | None = None
    """Which of the batch, for styles that show the numbers of one."""
    max_nodes: int | None = None
    """By default ``MOST_NODES``, or fewer where their layout would take too long."""

    @property
    def values(self) -> bool:
        """Whether the numbers are shown."""
        return self.labels == VALUES


PICTURED = 10
"""Steps of work for each node of the graph, drawn or folded."""


def build_picture(model: Model, options: Options, inputs: Mapping[str, Any] | None = None) -> Picture:
    """The picture of a model; ``inputs`` are its inputs, if numbers are to be shown."""
    if options.example is not None:
        inputs = model.one_example(inputs, options.example)
    fed = model.feed(inputs) if options.values else None  # first: data may decide widths of the graph
    graph = model.graph
    for name in options.wrt:
        graph.value(name)
    of = target_of(model, options.of) if options.backward or options.both or options.wrt or options.of else None
    wrts = default_wrt(model, options.wrt)
    if of is not None and (options.backward or options.both):
        subject = backward_subject(model, of, wrts, with_forward=options.both)
    else:
        subject = forward_subject(model, of)
    single = {*options.wrt, *([model.loss] if model.loss else []), *([of] if of else [])}
    pinned = {*model.outputs, *single}
    calls = Calls(graph, fold_repeats=options.fold_repeats, pinned=pinned)
    calls.collapse(options.collapse)
    marks = find_marks(subject, graph, of, options.wrt, wrts) if of and options.wrt else Marks()
    sizes = model.sizes_of(inputs) if inputs is not None and not options.values else {}
    if options.only and not marks.forward:
        raise GraphError(f"there is nothing to draw: no path leads from {listed(options.wrt)} to '{of}'")
    values = {} if fed is None else _compute(model, subject, *fed)
    limit = MOST_NODES if options.max_nodes is None else options.max_nodes
    while True:
        spend(PICTURED * len(subject.graph))
        folds = {"inner": options.inner, "fold_fans": options.fold_repeats}
        grouping = group(subject, calls, pinned, single, **folds, max_nodes=limit)
        picture = _Builder(model, options, subject, calls, grouping, marks, values, sizes).build()
        if options.max_nodes is not None or grouping.bands or effort(picture) <= MOST_EFFORT:
            return picture
        limit = len(picture.nodes) - 1  # as many would take too long to lay out: fold further


def _compute(
    model: Model, subject: Subject, known: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """The forward pass, and the backward pass if what it starts from can be computed."""
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
    sizes: Mapping[str, int]
    """What the symbolic sizes stand for, where data were given."""

    @cached_property
    def texts(self) -> Texts:
        """What stands in the nodes, once the numbers are known."""
        names = Names(self.model.graph, self.options.notation)
        subject, options = self.subject, self.options
        specs = Specs(subject, self.grouping.keys, options.labels, self.sizes)
        return Texts(subject, self.model.graph, self.calls, self.grouping, names, specs, self.values, options.inner)

    def build(self) -> Picture:
        members = self.grouping.members()
        nodes = tuple(self.node(key, names) for key, names in members.items())
        edges = tuple(self.edges(members))
        beside = tuple(self.beside(members)) if self.options.both else ()
        if self.options.only:
            nodes, edges = only_marked(nodes, edges)
            beside = tuple(pair for pair in beside if {node.key for node in nodes}.issuperset(pair))
        view = "forward and backward pass" if self.options.both else BACKWARD if self.subject.backward else FORWARD
        title = title_of(self.model, view)
        no_path = [no_path_note(name, self.subject.of) for name in self.subject.no_path]
        picture = Picture(
            title,
            describe(title, nodes, edges, self.subject, self.marks),
            nodes,
            edges,
            tuple(self.clusters(nodes)),
            beside,
            legend(nodes, edges) if self.options.legend else (),
            self.options.down,
            self.options.dark,
            auto=self.options.auto,
            notes=(*self.calls.notes, *self.grouping.notes, *no_path),
        )
        return number_steps(picture, self.owners())

    def owners(self) -> dict[str, int]:
        """For each node of the backward pass, where in the forward pass the node stands that it is computed for."""
        position = {name: i for i, name in enumerate(self.subject.forward)}
        belongs, hosts = self.subject.belongs, self.grouping.hosts
        mains = {key: belongs[main] for key, main in self.grouping.main.items() if main in belongs}
        return {key: position[hosts.get(owner, owner)] for key, owner in mains.items()}

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
            names = self.texts.names.listed(others) if len(others) <= MOST_NAMES else f"{len(others)} others"
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
        return kind_of(self.model, main)

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
        return [self.edge(*bundle[:3], bundle_members) for bundle, bundle_members in bundles.items()]

    def is_carried(self, source: str, target: str) -> bool:
        """Whether an edge leads from one repetition of a block to the next; a shared parameter is no such edge."""
        graph, belongs = self.subject.graph, self.subject.belongs
        if graph.node_of(source).kind in (PARAMETER, CONSTANT) or (source in belongs) != (target in belongs):
            return False
        if self.grouping.keys[source] in self.grouping.bands.keys() | self.grouping.calls.keys():
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
        if source in self.grouping.fans and len(texts) == 1 and label:
            label = f"{len({name for name, _, _ in members})} × {label}"
        mark = Mark.NONE
        if flow != Flow.SAVED:
            marks = [self.edge_mark(a, b) for a, b, _ in members]
            mark = next((strongest for strongest in (Mark.SHARED, Mark.PATH) if strongest in marks), Mark.NONE)
        return PictureEdge(source, target, flow, label, tuple(members), mark)

    def edge_mark(self, source: str, target: str) -> Mark:
        a, b = self.marks.mark(source), self.marks.mark(target)
        if Mark.NONE in (a, b):
            return Mark.NONE
        return b if source in self.subject.belongs else a

    def clusters(self, nodes: Sequence[PictureNode]) -> list[Cluster]:
        """The calls that have a node, and the two passes in a picture of both."""
        clusters: dict[str, Cluster] = {}
        if self.options.both:
            clusters[FORWARD] = Cluster(FORWARD, FORWARD, is_pass=True)
            clusters[BACKWARD] = Cluster(BACKWARD, BACKWARD, is_pass=True, backward=True)
        for node in nodes:
            path = self.grouping.paths[node.key]
            for call in self.calls.around(path):
                key = self.cluster_key(call, node.backward)
                if key is not None and key not in clusters:
                    title = plain(self.calls.title(call, self.texts.names))
                    parent = self.cluster_key(self.calls.parent[call], node.backward)
                    label = f"backward through {title}" if node.backward else title
                    clusters[key] = Cluster(key, label, parent, backward=node.backward)
        return list(clusters.values())

    def cluster_of(self, key: str, is_backward: bool) -> str | None:
        return self.cluster_key(self.grouping.paths[key], is_backward)

    def cluster_key(self, call: str | None, is_backward: bool) -> str | None:
        if call is None:
            return (BACKWARD if is_backward else FORWARD) if self.options.both else None
        return f"{'backward' if is_backward else 'forward'}:{call}"

    def beside(self, members: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """Each node with its cotangent, where both are drawn."""
        neighbours: dict[str, str] = {}
        for node in members:
            main = self.grouping.main[node]
            owner = self.subject.belongs.get(main)
            if owner is not None and main in self.subject.cotangent_of and node not in self.grouping.bands:
                neighbours.setdefault(self.grouping.keys[owner], node)
        return list(neighbours.items())
