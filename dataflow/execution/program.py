"""Outputs of a graph, ready to be run again and again: a plan is made for each set of shapes, and kept.

``PlanByShape`` keeps what is made of each plan; ``Program`` makes runners of them, a trainer binds them to its vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from dataflow.backends.interface import Backend, Runner
from dataflow.errors import GraphError
from dataflow.execution.forward import forward
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT, PARAMETER
from dataflow.limits import is_limited, spend
from dataflow.registry import registry
from dataflow.shapes import TensorSpec, bind, format_shape, made_names

if TYPE_CHECKING:
    from dataflow.plan import Plan

T = TypeVar("T")
PLAN_BYTES = 2**19
"""What is counted for a plan itself, without its arrays: machine code takes that much."""


class PlanByShape(Generic[T]):
    """What ``make`` makes of the plan for arrays of certain shapes, made when it is first asked for. ``arguments`` are
    the names of the arrays; ``fixed`` are arrays that always go with them, after them in the plan."""

    def __init__(
        self,
        graph: Graph,
        outputs: Sequence[str],
        arguments: Sequence[str],
        make: Callable[[Plan], T],
        *,
        fixed: Mapping[str, np.ndarray] | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self._graph, self._outputs, self._arguments, self._make = graph, list(outputs), list(arguments), make
        self._fixed = {name: TensorSpec(array.shape, array.dtype) for name, array in (fixed or {}).items()}
        self._memory_limit = memory_limit
        self._made: dict[object, T] = {}

    def __len__(self) -> int:
        return len(self._made)

    def plan(self, arrays: Sequence[np.ndarray], sizes: Mapping[str, int] | None = None) -> Plan:
        """The plan for arrays like these. ``sizes`` says what symbolic sizes stand for that no array has."""
        from dataflow.plan import make_plan  # not before it is asked for, so that a command starts quickly

        named = zip(self._arguments, arrays, strict=True)
        specs = {name: TensorSpec(array.shape, array.dtype) for name, array in named}
        return make_plan(self._graph, self._outputs, specs | self._fixed, sizes, self._memory_limit)

    def get(self, arrays: Sequence[np.ndarray], sizes: Mapping[str, int] | None = None) -> T:
        """What was made of the plan for arrays like these."""
        key = (tuple([array.shape for array in arrays]), *sorted((sizes or {}).items()))
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self._make(self.plan(arrays, sizes))
        return made


def _needed_with_sizes(graph: Graph, outputs: Sequence[str]) -> set[str]:
    """What the outputs need, and what makes the sizes that depend on values."""
    needed = graph.needed_for(outputs)
    if not graph.makes_sizes:
        return needed
    mentioned = {size for name in needed for size in made_names(graph.node_of(name).shape)}
    makers = []
    for name in graph.schedule():
        if new := made_names(graph.node_of(name).shape) & mentioned:
            makers.append(name)
            mentioned -= new
    return graph.needed_for([*outputs, *makers])


class Program:
    """``program.run(known)`` gives the arrays of ``outputs`` in order; ``known`` has at least ``program.arguments``."""

    def __init__(
        self,
        graph: Graph,
        outputs: Sequence[str],
        backend: str | Backend = "numpy",
        *,
        threads: int | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self.graph = graph
        self.outputs = list(outputs)
        self.memory = 0
        """About how many bytes its plans hold until they are run again."""
        needed = _needed_with_sizes(graph, outputs)
        self.arguments = [n for n in graph if n in needed and graph.node_of(n).kind in (INPUT, PARAMETER)]
        runs_on: Backend = registry.backend(backend) if isinstance(backend, str) else backend

        def prepare(plan: Plan) -> tuple[Runner, Callable[[], int]]:
            from dataflow.plan.run_work import steps_of

            self.memory += PLAN_BYTES + plan.intermediate_bytes
            self.memory += sum(map(plan.bytes_of, (*range(len(plan.arguments)), *plan.output_slots)))
            return runs_on.prepare(plan, threads), cache(partial(steps_of, plan))

        self._order = [name for name in graph.schedule() if name in needed] if graph.makes_sizes else []
        makers = [name for name in self._order if made_names(graph.node_of(name).shape)]
        self.node_by_node = bool(makers)
        """Whether there is no plan: shapes depend on values."""
        if makers and memory_limit is not None:
            shape = format_shape(graph.spec(makers[0]).shape)
            raise GraphError(
                f"a memory limit bounds plans, and there is none: the shape {shape} of node '{makers[0]}' depends on "
                f"values; leave the limit out",
                node=makers[0],
            )
        self._runners = PlanByShape(graph, self.outputs, self.arguments, prepare, memory_limit=memory_limit)

    def run(self, known: Mapping[str, np.ndarray], sizes: Mapping[str, int] | None = None) -> list[np.ndarray]:
        """The outputs, which belong to the caller. ``sizes`` says what symbolic sizes stand for that no
        argument has."""
        if self.node_by_node:  # no plan knows the shapes beforehand
            values = forward(self.graph, self._order, known, self._sizes_of(known) | dict(sizes or {}))
            return [np.array(values[name]) for name in self.outputs]
        arrays = [known[name] for name in self.arguments]
        runner, steps = self._runners.get(arrays, sizes)
        if is_limited():
            spend(steps(), self.outputs[0] if self.outputs else "")
        return runner.run(arrays)

    def _sizes_of(self, known: Mapping[str, np.ndarray]) -> dict[str, int]:
        """What the symbolic sizes of the arguments stand for."""
        sizes: dict[str, int] = {}
        for name in self.arguments:
            bind(self.graph.node_of(name).shape, known[name].shape, sizes)
        return sizes
