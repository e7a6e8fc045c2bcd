"""What is drawn: the nodes of the forward pass, of the backward pass, and which gradient each is computed for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dataflow.autodiff import gradient_graph
from dataflow.draw.picture import GraphEdge, Mark
from dataflow.errors import GraphError
from dataflow.graph import INPUT, Graph
from dataflow.model import Model


@dataclass
class Subject:
    """A graph and what of it is shown. ``forward`` and ``backward`` are in topological order."""

    graph: Graph
    forward: list[str]
    backward: list[str] = field(default_factory=list)
    with_forward: bool = True
    of: str | None = None
    gradients: dict[str, str] = field(default_factory=dict)
    """For each wrt the node that holds its gradient."""
    cotangent_of: dict[str, list[str]] = field(default_factory=dict)
    """For each node of the backward pass, the nodes whose cotangent it holds."""
    belongs: dict[str, str] = field(default_factory=dict)
    """For each node of the backward pass, the node of the forward pass that it is computed for."""
    prefix: str = "grad"
    no_path: list[str] = field(default_factory=list)

    def shown(self) -> list[str]:
        """All nodes that are drawn."""
        if self.with_forward:
            return [*self.forward, *self.backward]
        saved = self.saved()
        return [*(name for name in self.forward if name in saved), *self.backward]

    def saved(self) -> set[str]:
        """The nodes of the forward pass whose values the backward pass uses."""
        used = {source for name in self.backward for source in self.graph.predecessors(name)}
        return used - self.belongs.keys()

    def edges(self) -> Iterable[GraphEdge]:
        """All edges that are drawn."""
        targets = [*(self.forward if self.with_forward else ()), *self.backward]
        return (
            (source, target, key) for name in targets for source, target, key in self.graph.in_edges(name, keys=True)
        )


def forward_subject(model: Model, of: str | None) -> Subject:
    """The forward pass."""
    return Subject(model.graph, model.graph.schedule(), of=of)


def backward_subject(model: Model, of: str, wrt: Sequence[str], *, with_forward: bool) -> Subject:
    """The backward pass from ``of`` to each wrt, with the whole forward pass beside it or with the values it uses.
    A ``GraphError`` if no path leads to any wrt."""
    found = gradient_graph(model.graph, of, wrt)
    graph = found.graph
    gradients = {name: found.cotangents[name] for name in wrt if name in found.cotangents}
    if not gradients:
        names = ", ".join(f"'{name}'" for name in wrt) or "any input"
        raise GraphError(f"there is no backward pass to draw: no path leads from {names} to '{of}'")
    forward = model.graph.schedule()
    needed = [name for name in graph.schedule(gradients.values()) if name not in model.graph]
    prefix = found.cotangents[of].partition(".")[0]
    cotangent_of: dict[str, list[str]] = {}
    for name, node in found.cotangents.items():
        cotangent_of.setdefault(node, []).append(name)
    belongs = {name: _owner(name, prefix, graph, of) for name in needed}
    no_path = [name for name in wrt if name not in gradients]
    return Subject(graph, forward, needed, with_forward, of, gradients, cotangent_of, belongs, prefix, no_path)


def target_of(model: Model, of: str | None) -> str:
    """``of``, or the loss, or the only output."""
    if of is None and model.loss is None:
        if len(model.outputs) == 1:
            return model.outputs[0]
        raise GraphError("the model has no loss; say of which node the gradient is drawn, with --of NODE")
    return model.graph.value(of or str(model.loss)).name


def default_wrt(model: Model, extra: Sequence[str]) -> list[str]:
    """Every parameter, or every input of floats where there is none; and what else was asked for."""
    names = list(model.parameters)
    if not names and not extra:
        names = [name for name in model.graph.names(INPUT) if model.graph.spec(name).is_float]
    return list(dict.fromkeys([*names, *extra]))


@dataclass(frozen=True)
class Marks:
    """The path of the gradients that were asked for, and with which others it is shared."""

    forward: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For each node between a marked wrt and ``of``: all the wrts that have it on their path."""
    backward: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    asked: tuple[str, ...] = ()

    def others(self, name: str) -> list[str]:
        """With which other gradients a node's computation is shared."""
        users = self.forward.get(name) or self.backward.get(name, ())
        return [user for user in users if user not in self.asked[:1]] if len(users) > 1 else []

    def mark(self, name: str) -> Mark:
        users = self.forward.get(name) or self.backward.get(name, ())
        return Mark.NONE if not users else Mark.SHARED if len(users) > 1 else Mark.PATH


def find_marks(subject: Subject, graph: Graph, of: str, asked: Sequence[str], wrts: Sequence[str]) -> Marks:
    """What lies on the path of ``asked``, in both passes, and which of ``wrts`` use it too. ``graph`` is that of the
    forward pass."""
    needed = graph.needed_for([of])
    forward = _users({name: needed & graph.depending_on([name]) for name in dict.fromkeys([*asked, *wrts])}, asked)
    backward: dict[str, tuple[str, ...]] = {}
    if subject.backward:
        inside = set(subject.backward)
        reached = {name: subject.graph.needed_for([node]) & inside for name, node in subject.gradients.items()}
        backward = _users(reached, asked)
    return Marks(forward, backward, tuple(asked))


def _users(reached: Mapping[str, set[str]], asked: Sequence[str]) -> dict[str, tuple[str, ...]]:
    on_path: set[str] = set().union(*(reached.get(name, set()) for name in asked))
    found: dict[str, list[str]] = {name: [] for name in on_path}
    for wrt, nodes in reached.items():
        for name in nodes & on_path:
            found[name].append(wrt)
    return {name: tuple(users) for name, users in found.items()}


def _owner(name: str, prefix: str, graph: Graph, of: str) -> str:
    """Names of the backward pass are PREFIX.NODE and PREFIX.NODE.vjp.OP; the seed is PREFIX.OF.seed."""
    if name == f"{prefix}.{of}.seed":
        return of
    stem = name.removeprefix(f"{prefix}.")
    while stem and stem not in graph:
        stem = stem.rpartition(".vjp.")[0]
    return stem or of
