"""What is drawn: the nodes of the forward pass, of the backward pass, and which gradient each is computed for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dataflow.autodiff.reverse import gradient_graph
from dataflow.draw.picture.picture import GraphEdge, Kind, Mark
from dataflow.errors import GraphError, listed
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT, INPUT, OP, PARAMETER
from dataflow.graph.node_names import known_beginning
from dataflow.model.model import Model
from dataflow.notation.letters import plain

KINDS = {INPUT: Kind.INPUT, PARAMETER: Kind.PARAMETER, CONSTANT: Kind.CONSTANT, OP: Kind.OP}


@dataclass
class Subject:
    """A graph and the part of it that is shown. ``forward`` and ``backward`` are in topological order."""

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

    @property
    def is_total(self) -> bool:
        """Whether ``of`` is no scalar, so that the gradients are those of its sum."""
        return self.of is not None and bool(self.graph.node_of(self.of).shape)

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
    gradient = gradient_graph(model.graph, of, wrt)
    graph = gradient.graph
    gradients = {name: gradient.cotangents[name] for name in wrt if name in gradient.cotangents}
    if not gradients:
        raise no_way_back(wrt, of)
    forward = model.graph.schedule()
    needed = [name for name in graph.schedule(gradients.values()) if name not in model.graph]
    prefix = gradient.cotangents[of].partition(".")[0]
    cotangent_of: dict[str, list[str]] = {}
    for name, node in gradient.cotangents.items():
        cotangent_of.setdefault(node, []).append(name)
    belongs = {name: _owner(name, prefix, graph, of) for name in needed}
    no_path = [name for name in wrt if name not in gradients]
    return Subject(graph, forward, needed, with_forward, of, gradients, cotangent_of, belongs, prefix, no_path)


def no_way_back(wrt: Sequence[str], of: str) -> GraphError:
    """The error for a backward pass without a path."""
    return GraphError(f"there is no backward pass to draw: no path leads from {listed(wrt) or 'any input'} to '{of}'")


def target_of(model: Model, of: str | None) -> str:
    """Return ``of``, or the loss, or the only output."""
    if of is None and model.loss is None:
        if len(model.outputs) == 1:
            return model.outputs[0]
        raise GraphError("the model has no loss; say of which node the gradient is drawn, with --of NODE")
    return model.graph.value(of or str(model.loss)).name


def kind_of(model: Model, name: str) -> Kind:
    """What a node of the forward pass is."""
    if name == model.loss:
        return Kind.LOSS
    kind = KINDS[model.graph.node_of(name).kind]
    return Kind.OUTPUT if name in model.outputs and kind == Kind.OP else kind


def title_of(model: Model, view: str, example: int | None = None) -> str:
    """The title of a picture, of one example or of all."""
    return plain(f"{model.name or 'model'}: {view}") + ("" if example is None else f", example {example}")


def no_path_note(name: str, of: str | None) -> str:
    """What is said of a gradient to which no path leads."""
    return f"no path leads from '{name}' to '{of}': its gradient is zero and is not drawn"


def default_wrt(model: Model, extra: Sequence[str]) -> list[str]:
    """Return every parameter, or every float input if the model has none, and those in ``extra``."""
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
        """The other gradients that share a node's computation."""
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
    users_of: dict[str, list[str]] = {name: [] for name in on_path}
    for wrt, nodes in reached.items():
        for name in nodes & on_path:
            users_of[name].append(wrt)
    return {name: tuple(users) for name, users in users_of.items()}


def _owner(name: str, prefix: str, graph: Graph, of: str) -> str:
    """Names of the backward pass are PREFIX.NODE, PREFIX.NODE.vjp.OP and PREFIX.OF.seed."""
    return known_beginning(name.removeprefix(f"{prefix}."), graph) or of
