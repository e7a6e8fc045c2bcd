"""A case: an op with the arguments and attributes of one of its samples, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dataflow.autodiff.reverse import pullback
from dataflow.errors import DataflowError, PluginError
from dataflow.graph.graph import Graph, infer, trace_op
from dataflow.graph.node import CONSTANT, OP
from dataflow.graph.value import Value
from dataflow.operations.op import Op
from dataflow.operations.op_rules import Sample
from dataflow.operations.operands import Literal, literals_of, specs_of, with_literals
from dataflow.registry import registry
from dataflow.shapes import TensorSpec, format_shape

FLOAT64 = np.dtype("float64")


@dataclass(frozen=True)
class Case:
    """An op, its arguments (read-only arrays, plain numbers, ``None``) and its attributes, bound."""

    op: Op
    label: str
    arguments: tuple[Any, ...]
    attributes: Mapping[str, Any]

    @property
    def arrays(self) -> tuple[int, ...]:
        """The positions of the arrays."""
        return tuple(i for i, argument in enumerate(self.arguments) if isinstance(argument, np.ndarray))

    @property
    def floats(self) -> tuple[int, ...]:
        """The positions of the arrays of floats, with respect to which there may be a derivative."""
        return tuple(i for i in self.arrays if self.arguments[i].dtype.kind == "f")

    @property
    def elementwise(self) -> bool:
        """Whether the op is elementwise, or a composite of ops that are."""
        return self.op.elementwise or (not self.op.is_primitive and _traces_elementwise(self))

    def run(self, arguments: Sequence[Any] | None = None) -> np.ndarray:
        """Run the op's kernel, or its body, on these arguments or on others."""
        result: np.ndarray = self.op.compute(self.arguments if arguments is None else arguments, self.attributes)
        return result

    def infer(self, specs: Sequence[TensorSpec | None] | None = None) -> TensorSpec:
        """The spec that the op declares for its result, for these arguments or for other specs."""
        return infer(self.op, self.specs if specs is None else specs, self.attributes, self.literals)

    @property
    def literals(self) -> dict[int, Literal]:
        """The plain numbers among the arguments, by position."""
        return literals_of(self.arguments)

    @property
    def specs(self) -> list[TensorSpec | None]:
        """The arguments' specs; a plain number takes the dtype of the arrays beside it."""
        arrays = [x if isinstance(x, np.ndarray) else None for x in self.arguments]
        return with_literals(specs_of(arrays), self.literals)

    def pullback(self, g: np.ndarray, arguments: Sequence[Any] | None = None) -> list[Any]:
        """The cotangent of each float argument for the cotangent ``g`` of the result; zeros where a rule gives none."""
        arguments = self.arguments if arguments is None else arguments
        wanted = [i in self.floats for i in range(len(arguments))]
        shares = pullback(self.op, g, self.run(arguments), arguments, self.attributes, wanted)
        return [
            (np.zeros_like(x) if share is None else share) if want else None
            for share, x, want in zip(shares, arguments, wanted, strict=True)
        ]

    def with_arguments(self, arguments: Sequence[Any], label: str | None = None) -> Case:
        """The same op on other arguments."""
        return replace(self, arguments=tuple(map(frozen, arguments)), label=label or self.label)

    def changed(self, changes: Mapping[int, Any], label: str | None = None) -> Case:
        """The same with some arguments replaced."""
        return self.with_arguments([changes.get(i, x) for i, x in enumerate(self.arguments)], label)

    def graph(self, shapes: Mapping[int, Any] | None = None) -> tuple[Graph, dict[str, np.ndarray], Value]:
        """The op as a node of a graph whose inputs ``x0``, ``x1``, ... are the arrays; their values; the node ``y``.

        ``shapes`` gives shapes, such as symbolic ones, that stand in place of the arrays' own.
        """
        graph = Graph("check")
        known: dict[str, np.ndarray] = {}
        operands: list[Any] = list(self.arguments)
        for i in self.arrays:
            argument = self.arguments[i]
            operands[i] = graph.input(f"x{i}", (shapes or {}).get(i, argument.shape), argument.dtype)
            known[f"x{i}"] = argument
        return graph, known, graph.apply(self.op, operands, self.attributes, name="y")


def every_op() -> dict[str, Op]:
    """Each op that a node can have, by name: the registered ones, and of those with several outputs each output that a
    sample has."""
    return {op.name: op for registered in registry.all_ops().values() for op in outputs_of(registered)}


def outputs_of(op: Op, seed: int = 0) -> list[Op]:
    """The op itself, or each output that its samples have, if it has several."""
    if not op.has_outputs:
        return [op]
    samples = op.samples_rule(np.random.default_rng(seed)) if op.samples_rule is not None else [Sample(())]
    names = [name for sample in samples for name in op.outputs_of(op.bind(sample.attributes))]
    return [op.output(name) for name in dict.fromkeys(names)]


def cases_of(op: Op, seed: int) -> list[Case]:
    """A case for each sample of the op; a ``PluginError`` says what is wrong with them."""
    rng = np.random.default_rng(seed)
    if op.samples_rule is not None:
        cases = [_case(op, number, sample) for number, sample in enumerate(op.samples_rule(rng), 1)]
        if not cases:
            raise PluginError("its samples rule gives no sample")
        return cases
    if op.is_primitive and not op.elementwise:
        raise PluginError("it has no samples: declare some with @op.samples, or nothing of it can be checked")
    count = 3 if op.variadic else len(op.inputs)
    sample = Sample(tuple(rng.normal(size=(3, 4)) for _ in range(count)))
    try:
        case = _case(op, 1, sample)
        case.run()
    except DataflowError as error:
        raise PluginError(
            f"normal numbers of shape (3, 4) are no sample of it ({error}); declare @op.samples"
        ) from None
    return [case]


def frozen(argument: Any) -> Any:
    """An array that cannot be written to; anything else as it is."""
    if isinstance(argument, (np.ndarray, np.generic)):
        argument = np.array(argument)
        argument.flags.writeable = False
    return argument


def entries(array: np.ndarray, rng: np.random.Generator, most: int) -> Iterator[tuple[int, ...]]:
    """The indices of all entries, or of ``most`` of them."""
    chosen = range(array.size) if array.size <= most else sorted(rng.choice(array.size, most, replace=False).tolist())
    for flat in chosen:
        yield tuple(int(i) for i in np.unravel_index(flat, array.shape))


def along(case: Case, directions: Mapping[int, np.ndarray], weight: np.ndarray) -> Callable[[float], np.ndarray]:
    """The result, weighted, as arguments move along their directions, which are given by position."""

    def moved(step: float) -> np.ndarray:
        arguments = list(case.arguments)
        for position, direction in directions.items():
            arguments[position] = frozen(arguments[position] + step * direction)
        return np.asarray(weight * case.run(arguments))

    return moved


def _case(op: Op, number: int, sample: Sample) -> Case:
    if not isinstance(sample, Sample):
        raise PluginError(f"its samples rule gives {sample!r}; it should yield dataflow.sample(...)")
    arguments = [x if x is None or type(x) in (int, float, bool) else np.asarray(x) for x in sample.arguments]
    arguments = [x.astype(FLOAT64) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in arguments]
    texts = [
        format_shape(x.shape) + ("" if x.dtype.kind == "f" else f" {x.dtype}") if isinstance(x, np.ndarray) else str(x)
        for x in arguments
    ]
    texts += [f"{name}={value!r}" for name, value in sample.attributes.items()]
    label = f"sample {number}: {', '.join(texts)}"
    return Case(op, label, tuple(map(frozen, op.complete(arguments))), op.bind(sample.attributes))


def _traces_elementwise(case: Case) -> bool:
    waiting = [trace_op(case.op, case.specs, case.attributes, case.literals).graph]
    while waiting:
        graph = waiting.pop()
        for name in graph.schedule():
            node = graph.node_of(name)
            if node.kind == CONSTANT and node.shape:
                return False
            if node.kind != OP or (op := graph.op_of(name)).elementwise:
                continue
            if op.is_primitive:
                return False
            specs = [
                graph.spec(x) if isinstance(x, str) else None if x is None else TensorSpec((), node.dtype)
                for x in op.complete(graph.arguments(name))
            ]
            waiting.append(trace_op(op, specs, node.attributes, node.literals).graph)
    return True
