"""The graph as SVG, laid out once for each way in which its blocks can be folded that the page offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from dataflow.draw.build_picture import PICTURED, Options, build_picture
from dataflow.draw.drawing import Drawing
from dataflow.draw.picture.calls import Calls
from dataflow.draw.picture.picture import Line, Picture, PictureNode, Role
from dataflow.limits import is_limited, spend, work_left
from dataflow.model.model import Model
from dataflow.notation.letters import plain
from dataflow.notation.names import Names
from dataflow.viewer.settings import Settings

OPEN_AT_FIRST = 30
"""With more nodes than this the page opens with all blocks folded."""
MOST_LAYOUTS = 24
FEW_CALLS = 3
"""Up to this many calls of blocks, every combination is laid out; of more, one at a time can be unfolded."""
LAYING_OUT = 20_000
"""The least steps of work of a layout, which starts a process."""
VALUE, COTANGENT = "= ", "∂ = "
"""The beginnings of the lines that the page writes into a node."""


@dataclass(frozen=True)
class Layout:
    """One picture of the graph. The lines of a node that the page fills in come last."""

    open: frozenset[str]
    """The calls that are not folded."""
    picture: Picture
    svg: str


@dataclass(frozen=True)
class Folding:
    """The calls of blocks and the ways in which they are folded."""

    calls: Calls
    states: list[frozenset[str]]
    """By the calls that are unfolded; all folded first, all unfolded last."""
    notes: list[str]


def find_folding(model: Model, max_nodes: int) -> Folding:
    """Find the states to lay out; a model without blocks has one."""
    calls = Calls(model.graph, fold_repeats=False)
    paths = list(calls.calls)
    closed: frozenset[str] = frozenset()
    if not paths:
        return Folding(calls, [closed], [])
    states = list(dict.fromkeys([closed, *_states(calls, paths), frozenset(paths)]))
    notes = []
    most = _affordable(model)
    if len(states) > most:
        states = [*states[: most - 1], states[-1]]
        one_by_one = f"the first {most - 2} blocks can be unfolded one by one, the others all together"
        notes.append(one_by_one if most > 2 else "blocks can only be unfolded all together, as the graph is large")
    fitting = states
    if not _fits(model, calls, states[-1], max_nodes):  # which has the most nodes
        notes.append(f"with all blocks unfolded there are more than {max_nodes} nodes, so that is left out")
        fitting = [state for state in states[:-1] if _fits(model, calls, state, max_nodes)] or [closed]
    return Folding(calls, fitting, notes)


def widest_picture(model: Model, folding: Folding, max_nodes: int) -> Picture:
    """Draw the picture with as much unfolded as fits."""
    return _picture(model, folding.calls, folding.states[-1], max_nodes)


def lay_out(
    model: Model, folding: Folding, lengths: Mapping[str, tuple[int, int]], settings: Settings
) -> Iterator[Layout]:
    """Each state's picture. ``lengths`` has the characters that each node needs room for, for its value and for its
    cotangent; 0 where it has none."""
    for state in folding.states:
        picture = _picture(model, folding.calls, state, settings.max_nodes, settings.down, settings.notation)
        nodes = tuple(_with_room(node, *lengths.get(node.key, (0, 0))) for node in picture.nodes)
        picture = replace(picture, title="", nodes=nodes)
        spend(LAYING_OUT)
        drawing = Drawing(picture, engine=settings.engine, time_limit=settings.time_limit)
        yield Layout(state, picture, drawing.render("svg").decode())


def _affordable(model: Model) -> int:
    """How many states, each drawn twice and laid out, half of the remaining work suffices for."""
    if not is_limited():
        return MOST_LAYOUTS
    return max(2, min(MOST_LAYOUTS, work_left() // 2 // (2 * PICTURED * len(model.graph) + LAYING_OUT)))


def _fits(model: Model, calls: Calls, state: frozenset[str], max_nodes: int) -> bool:
    return not _picture(model, calls, state, max_nodes).notes


def _picture(
    model: Model, calls: Calls, state: frozenset[str], max_nodes: int, down: bool = True, notation: str = "math"
) -> Picture:
    folded = tuple(path for path in calls.calls if path not in state)
    options = Options(
        collapse=folded, fold_repeats=False, legend=False, max_nodes=max_nodes, down=down, notation=notation
    )
    return build_picture(model, options)


def _states(calls: Calls, paths: Sequence[str]) -> Iterator[frozenset[str]]:
    """Each call unfolded with those around it; of a few, all that go together."""
    if len(paths) > FEW_CALLS:
        yield from (frozenset(calls.around(path)) for path in paths)
        return
    for count in range(1, len(paths) + 1):
        for chosen in combinations(paths, count):
            if all(set(calls.around(path)) <= set(chosen) for path in chosen):
                yield frozenset(chosen)


def _with_room(node: PictureNode, value: int, cotangent: int) -> PictureNode:
    room = [
        Line(Role.VALUE, begins + "0" * length) for begins, length in ((VALUE, value), (COTANGENT, cotangent)) if length
    ]
    return replace(node, lines=(*node.lines, *room))


def title_of(calls: Calls, path: str, names: Names) -> str:
    """Return a call's title on the page."""
    return plain(calls.title(path, names))
