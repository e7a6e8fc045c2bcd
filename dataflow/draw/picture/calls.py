"""Calls of blocks in a graph: which call a node is in, which calls repeat, which are collapsed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dataflow.errors import GraphError, nearest
from dataflow.graph.graph import Graph
from dataflow.graph.node_names import call_around
from dataflow.notation.names import Names

FEWEST = 3
"""Fewer repetitions than this are drawn one by one."""
MOST_OPS = 4
"""In a summary."""


class Calls:
    """The calls of a graph by their paths. A repeated one stands for its whole row: ``first`` leads from each call of a
    row to the first, ``rows`` from the first to all."""

    def __init__(self, graph: Graph, *, fold_repeats: bool = True, pinned: Iterable[str] = ()) -> None:
        self.graph = graph
        self.calls: Mapping[str, Mapping[str, Any]] = graph.calls
        self.blocks: Mapping[str, Mapping[str, Any]] = graph.blocks
        self.parent = {path: call_around(path, self.calls, self.blocks) for path in self.calls}
        self.collapsed: set[str] = set()
        self.notes: list[str] = []
        self.rows: dict[str, list[str]] = {}
        self.first: dict[str, str] = {}
        self._around: dict[str | None, tuple[str, ...]] = {None: ()}
        if fold_repeats:
            self._find_rows(set(pinned))

    def around(self, path: str | None) -> tuple[str, ...]:
        """The calls that a call is in, outermost first, itself last."""
        if path not in self._around:
            known = path in self.calls
            self._around[path] = (*self.around(self.parent[str(path)]), str(path)) if known else ()
        return self._around[path]

    def canonical(self, name: str, path: str | None) -> tuple[str, str | None]:
        """A node's name and call, as they are in the first repetition of every row that it is in."""
        changed = bool(self.rows)
        while changed:
            changed = False
            for call in self.around(path):
                first = self.first.get(call, call)
                if first != call:
                    name = first + name[len(call) :]
                    path = first + str(path)[len(call) :]
                    changed = True
                    break
        return name, path

    def hidden_in(self, path: str | None) -> str | None:
        """The outermost collapsed call around a call, if there is one."""
        return next((call for call in self.around(path) if call in self.collapsed), None)

    def is_carried(self, source: str | None, target: str | None) -> bool:
        """Whether what leads from one call to another leads from one repetition of a row to the next."""
        if source == target or not self.rows:
            return False
        for a, b in zip(self.around(source), self.around(target), strict=False):
            if a != b:
                return self.first.get(a, a) == self.first.get(b, b)
        return False

    def collapse(self, names: Iterable[str]) -> None:
        """Collapse calls: by the name of a block, all of its calls; by a path, that one."""
        calls_of: dict[str, list[str]] = {}
        for path, call in self.calls.items():
            calls_of.setdefault(call["block"], []).append(path)
        for name in names:
            paths = calls_of.get(name, [])
            if not paths and name in self.blocks and name not in self.calls:
                self.notes.append(f"block '{name}' is never called: there is nothing to collapse")
                continue
            if not paths and name not in self.calls:
                known = {*self.blocks, *self.calls}
                hint = nearest(name, known) or "; the model has no blocks"
                raise GraphError(f"unknown block or call '{name}' to collapse{hint}")
            for path in paths or [name]:
                canonical_path = self.canonical(path, path)[1]
                self.collapsed.add(str(canonical_path))

    def collapse_all(self) -> None:
        """Collapse every call that is in no other."""
        self.collapsed |= {self.first.get(path, path) for path in self.calls if self.parent[path] is None}

    def count(self, path: str) -> int:
        """How often the call is repeated, rows around it counted."""
        total = 1
        for call in self.around(path):
            total *= len(self.rows.get(call, [call]))
        return total

    def title(self, path: str, names: Names) -> str:
        """``h⁽¹⁾: residual``, or ``h⁽¹⁾ … h⁽⁸⁾: residual ×8``."""
        block = self.calls[path]["block"]
        row = self.rows.get(path)
        if row is None:
            return f"{names.text(path)}: {block}"
        return f"{names.text(row[0])} … {names.text(row[-1])}: {block} ×{len(row)}"

    def formal_names(self, path: str | None) -> dict[str, str]:
        """What the nodes that a call is given are called inside it."""
        formal_of = {}
        for call in self.around(path)[-1:]:
            names = self.blocks.get(self.calls[call]["block"], {}).get("inputs", ())
            for formal, actual in zip(names, self.calls[call]["inputs"], strict=False):
                if isinstance(actual, str):
                    formal_of[actual] = str(formal)
        return formal_of

    def output_name(self, path: str) -> str:
        """What a call's output is called inside its block."""
        return str(self.blocks.get(self.calls[path]["block"], {}).get("output", path))

    # -------------------------------------------------------------------------------------------- internals

    def _find_rows(self, pinned: set[str]) -> None:
        nexts: dict[str, str] = {}
        by_input: dict[str, list[str]] = {}
        for path, call in self.calls.items():
            for name in dict.fromkeys(call["inputs"]):
                if isinstance(name, str):
                    by_input.setdefault(name, []).append(path)
        for path in self.calls:
            following = [after for after in by_input.get(path, []) if self._continues(path, after)]
            if len(following) == 1 and path not in pinned and self._is_used_only_in(path, following[0]):
                nexts[path] = following[0]
        for start in [path for path in nexts if path not in set(nexts.values())]:
            row = [start]
            while row[-1] in nexts:
                row.append(nexts[row[-1]])
            if len(row) >= FEWEST:
                self.rows[start] = row
                self.first.update(dict.fromkeys(row, start))

    def _continues(self, path: str, after: str) -> bool:
        a, b = self.calls[path], self.calls[after]
        same = a["block"] == b["block"] and self.parent[path] == self.parent[after]
        return same and all(_fits(x, y, path) for x, y in zip(a["inputs"], b["inputs"], strict=True))

    def _is_used_only_in(self, path: str, after: str) -> bool:
        members = (self.graph.node_of(user).block for user in self.graph.successors(path))
        return path in self.graph and all(after in self.around(block) for block in members)


def _fits(before: Any, after: Any, path: str) -> bool:
    return bool(after == path or (type(after) is type(before) and after == before))


def summary(ops: Sequence[str]) -> str:
    """``tanh ×42, add ×8``: the most frequent first."""
    counts = Counter(ops).most_common()
    texts = [f"{op} ×{count}" if count > 1 else op for op, count in counts[:MOST_OPS]]
    return ", ".join(texts) + (", …" if len(counts) > MOST_OPS else "")
