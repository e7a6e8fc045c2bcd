"""What the page steps through: the nodes of the forward pass, and the factors of the backward pass in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dataflow.autodiff.reverse import check_differentiable
from dataflow.draw.picture.picture import Kind, Picture
from dataflow.draw.picture.subject import default_wrt
from dataflow.errors import DataflowError
from dataflow.explain.chain import Chain, Edge
from dataflow.graph.node import OP
from dataflow.model.model import Model

MOST_STEPS = 400
"""Over more nodes than this, the page has no backward pass."""
MOST_WRTS = 40
"""With respect to so many parameters the page differentiates where it is not told by which."""


@dataclass(frozen=True)
class Walk:
    """The steps, by the names of nodes; numbers are no part of it."""

    forward: list[str]
    """The ops in the order in which they are computed; of folded layers those that others read."""
    of: str | None = None
    """What is differentiated, ``None`` where there is no backward pass."""
    wrt: list[str] = field(default_factory=list)
    factors: list[Edge] = field(default_factory=list)
    """Of all wrts together, each once, in the order of the backward pass."""
    ways: Mapping[str, list[int]] = field(default_factory=dict)
    """For each wrt, which of the factors lie on its paths; none where there is no path."""
    inside: Mapping[Edge, list[str]] = field(default_factory=dict)
    """For each factor the nodes between which it leads, ``of`` and those inside its expression."""
    why_not: str = ""
    """Why there is no backward pass."""
    visible: frozenset[str] | None = None
    """The nodes between which there are steps, where layers are folded."""
    notes: tuple[str, ...] = ()

    @property
    def cotangents(self) -> list[str]:
        """The nodes that get a cotangent, ``of`` first."""
        return [] if self.of is None else list(dict.fromkeys([self.of, *(wrt for _, wrt, _ in self.factors)]))


def find_walk(model: Model, picture: Picture, of: str | None, wrt: Sequence[str] | None) -> Walk:
    """The forward pass through the nodes of ``picture``, in which no block is folded, and the backward pass from ``of``
    (the loss, or the only output) to each wrt (the parameters, or the inputs of a model without any). Folded layers are
    stepped over. A ``DataflowError`` where the user asked for something impossible; where there just is no backward
    pass, ``why_not`` says why."""
    shown = {node.key for node in picture.nodes}
    visible = _exits(model, picture)
    steps = shown if visible is None else shown | visible
    forward = [name for name in model.graph.schedule() if name in steps and model.graph.node_of(name).kind == OP]
    target, reason = _target(model, of)
    names = list(dict.fromkeys(wrt)) if wrt is not None else default_wrt(model, ())
    for name in names:
        model.graph.value(name)
    if target is not None and not names:
        target, reason = None, "the model has neither parameters nor inputs of floats to differentiate by"
    if target is not None and wrt is None:
        names = [name for name in names if model.graph.spec(name).is_float]
    if target is None:
        return Walk(forward, why_not=reason, visible=visible)
    notes: tuple[str, ...] = ()
    if wrt is None and len(names) > MOST_WRTS:
        notes = (f"it differentiates by the first {MOST_WRTS} of {len(names):,} parameters; --wrt takes others",)
        names = names[:MOST_WRTS]
    try:
        check_differentiable(model.graph, target, names)
    except DataflowError as error:
        if of is not None or wrt is not None:
            raise
        return Walk(forward, why_not=str(error), visible=visible)
    chain = Chain(model.graph, target, names, {}, {}, visible=visible)
    if len(chain.order) > MOST_STEPS:
        many = f"{len(chain.order):,} nodes lie on the way back, more than a page steps through ({MOST_STEPS})"
        many += "; differentiate a nearer node with --of, or fewer names with --wrt"
        return Walk(forward, why_not=many, visible=visible)
    edges = {name: chain.edges(name) for name in names}
    wanted = {edge for edges_of_wrt in edges.values() for edge in edges_of_wrt}
    position = {name: i for i, name in enumerate(reversed(chain.order))}
    factors = [
        (name, source, argument)
        for name in sorted({edge[0] for edge in wanted}, key=position.__getitem__)
        for source, argument in chain.sources[name]
        if (name, source, argument) in wanted
    ]
    number = {edge: i for i, edge in enumerate(factors)}
    ways = {name: sorted(number[edge] for edge in edges_of_wrt) for name, edges_of_wrt in edges.items()}
    inside = {edge: chain.inside(edge[0]) or [edge[0]] for edge in factors}
    return Walk(forward, target, names, factors, ways, inside, visible=visible, notes=notes)


def _exits(model: Model, picture: Picture) -> frozenset[str] | None:
    """Where layers are folded: the nodes that are drawn as they are, and those of a folded layer that others read."""
    graph = model.graph
    drawn_in = {member: node.key for node in picture.nodes for member in node.members}
    layers = [node for node in picture.nodes if node.kind == Kind.LAYERS]
    if not layers:
        return None
    exits = {
        name
        for layer in layers
        for name in layer.members
        if graph.node_of(name).kind == OP
        and any(drawn_in.get(user, layer.key) != layer.key for user in graph.successors(name))
    }
    last = {name for layer in layers for name in layer.members if not any(True for _ in graph.successors(name))}
    return frozenset(exits | last | {node.key for node in picture.nodes if node.kind != Kind.LAYERS})


def _target(model: Model, of: str | None) -> tuple[str | None, str]:
    if of is not None:
        return model.graph.value(of).name, ""
    if model.loss is not None:
        return model.loss, ""
    if len(model.outputs) == 1:
        return model.outputs[0], ""
    return None, "the model has no loss; --of NODE says of which node the derivatives are taken"
