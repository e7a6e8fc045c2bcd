"""Values that no argument expects, and valid calls of every public name in which they take an argument's place."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import dataflow
from dataflow import testing
from dataflow.data.source import DataSource
from dataflow.registry import registry


class Refusing:
    """Like a tensor of another library that will not be an array."""

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")


class Odd:
    """Like an object of the caller's own."""


ODD: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "0": lambda: 0,
    "-1": lambda: -1,
    "3": lambda: 3,
    "2**70": lambda: 2**70,
    "1.5": lambda: 1.5,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "1j": lambda: 1j,
    "Decimal": lambda: Decimal("1.5"),
    "empty text": lambda: "",
    "a text": lambda: "no such",
    "a node's name": lambda: "loss",
    "a file's name": lambda: "f.csv",
    "bytes": lambda: b"x",
    "empty list": list,
    "ragged list": lambda: [[1.0], [1.0, 2.0]],
    "mixed list": lambda: ["x", 1],
    "list of None": lambda: [None],
    "tuple": lambda: (1, 2),
    "dict": dict,
    "dict of text": lambda: {"x": "text"},
    "dict by number": lambda: {1: 2},
    "dict of odd": lambda: {"x": Odd(), "W": None},
    "set": lambda: {1, 2},
    "range": lambda: range(3),
    "iterator": lambda: iter([1]),
    "function": lambda: len,
    "lambda": lambda: lambda: 0,
    "class": lambda: int,
    "module": lambda: math,
    "object": Odd,
    "array that refuses": Refusing,
    "numpy scalar": lambda: np.float64(2.5),
    "array": lambda: np.array([0, 1]),
    "no axes": lambda: np.array(1.0),
    "empty array": lambda: np.zeros((0, 3)),
    "complex array": lambda: np.array([1j]),
    "array of text": lambda: np.array(["a"]),
    "array of objects": lambda: np.array([None, Odd()], dtype=object),
    "masked array": lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    "ellipsis": lambda: ...,
    "slice": lambda: slice(None, None, 2),
    "path": lambda: Path("nowhere"),
    "exception": lambda: ValueError("x"),
}


CALLBACKS = ("on_epoch", "on_batch", "on_progress", "progress", "observer")


@dataclass
class Call:
    """A valid call: a function made anew for each try, and the arguments that it needs."""

    make: Callable[[], Callable[..., Any]]
    arguments: dict[str, Any] = field(default_factory=dict)
    endless: frozenset[str] = frozenset()
    """Arguments by which a caller may ask for work without end."""


def small_model() -> dataflow.Model:
    graph = dataflow.Graph("small")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 1))
    W = graph.parameter("W", (1, 2), init="he_normal")
    h = graph.node("h", x @ W.T)
    graph.node("loss", dataflow.ops.mse(h, y))
    data = DataSource({"x": [[1.0, 2.0], [3.0, 4.0]], "y": [[1.0], [0.0]]})
    return dataflow.Model(graph, ["h"], "loss", data=data)


def body(x: Any) -> Any:
    """A documented function."""
    return x


def _graph_with_x() -> dataflow.Graph:
    graph = dataflow.Graph("g")
    graph.input("x", (2,))
    return graph


def _value() -> dataflow.Value:
    return _graph_with_x().value("x")


def _explanation() -> dataflow.Explanation:
    return dataflow.explain(small_model(), wrt="W")


def calls() -> dict[str, Call]:
    """Every public name that can be called, by a label."""
    model, graph, trainer = small_model, _graph_with_x, lambda: dataflow.Trainer(small_model())
    of_wrt = {"of": "loss", "wrt": ["W"]}
    found = {
        "Model": Call(lambda: dataflow.Model, {"graph": small_model().graph}),
        "Graph": Call(lambda: dataflow.Graph),
        "Trainer": Call(lambda: dataflow.Trainer, {"model": small_model()}),
        "Limits": Call(lambda: dataflow.Limits),
        "load": Call(lambda: dataflow.load, {"path": "no.toml"}),
        "save": Call(lambda: dataflow.save, {"model": small_model(), "path": "saved.msgpack"}),
        "train": Call(lambda: dataflow.train, {"model": small_model()}, frozenset({"epochs"})),
        "compose": Call(lambda: dataflow.compose, {"f": small_model(), "g": small_model(), "connect": {"x": "x"}}),
        "derive": Call(lambda: dataflow.derive, {"model": small_model(), "of": "loss", "wrt": "h"}),
        "draw": Call(lambda: dataflow.draw, {"model": small_model()}),
        "explain": Call(lambda: dataflow.explain, {"model": small_model()}),
        "profile": Call(lambda: dataflow.profile, {"model": small_model(), "rounds": 1}, frozenset({"rounds"})),
        "view": Call(lambda: dataflow.view, {"model": small_model()}),
        "op": Call(lambda: dataflow.op, {"function": body}),
        "primitive": Call(lambda: dataflow.primitive, {"function": body}),
        "elementwise": Call(lambda: dataflow.elementwise, {"ufunc": np.cosh, "doc": "Hyperbolic cosine."}),
        "initializer": Call(lambda: dataflow.initializer, {"function": body}),
        "metric": Call(lambda: lambda better: dataflow.metric("numbers", better=better), {"better": "lower"}),
        "ops_in": Call(lambda: dataflow.ops_in, {"module": math}),
        "parse_dtype": Call(lambda: dataflow.parse_dtype, {"dtype": "float32"}),
        "element_count": Call(lambda: dataflow.element_count, {"shape": (2, 3)}),
        "format_shape": Call(lambda: dataflow.format_shape, {"shape": (2, 3)}),
        "normalize_axis": Call(lambda: dataflow.normalize_axis, {"axis": 0, "ndim": 2}),
        "normalize_axes": Call(lambda: dataflow.normalize_axes, {"axis": (0,), "ndim": 2}),
        "broadcast_shapes": Call(lambda: lambda a, b: dataflow.broadcast_shapes(a, b), {"a": (2, 1), "b": (3,)}),
        "testing.check_op": Call(lambda: testing.check_op, {"op": registry.lookup("relu")}),
        "testing.assert_op": Call(lambda: testing.assert_op, {"op": registry.lookup("relu")}),
        "Op.__call__": Call(lambda: lambda x, y: registry.lookup("add")(x, y), {"x": [1.0], "y": 2.0}),
        "Op.vjp": Call(lambda: dataflow.op(body).vjp, {"rule": lambda g, y, x: g}),
        "Op.bind": Call(lambda: registry.lookup("sum").bind, {"given": {}}),
    }
    for name, arguments in {
        "run": {},
        "gradients": {},
        "evaluate": of_wrt,
        "jacobian": of_wrt,
        "read": {"data": [{"x0": 1.0, "x1": 2.0}]},
        "predict": {},
        "score": {},
        "vjp": {**of_wrt, "cotangent": 1.0},
        "jvp": {**of_wrt, "tangents": {"W": [[1.0, 0.0]]}},
        "hvp": {"wrt": "W", "tangents": {"W": [[1.0, 0.0]]}},
        "hessian": {"wrt": "W"},
        "per_example_gradients": {},
        "compile": {"values": ["loss"], "gradients": ["W"]},
        "given": {"data": {}, "inputs": {}},
        "target": {"of": None},
        "to_jax": {"values": ["loss"]},
        "one_example": {"given": None, "number": 0},
        "sizes_of": {"given": None},
        "feed": {"given": None},
    }.items():
        found[f"Model.{name}"] = Call(lambda name=name: getattr(model(), name), dict(arguments))
    found["a compiled function"] = Call(
        lambda: lambda data, x: model().compile(values=["loss"])(data, x=x),
        {"data": {"y": [[1.0]]}, "x": [[1.0, 2.0]]},
    )
    found["run with inputs"] = Call(lambda: lambda x, y, W: model().run(x=x, y=y, W=W), {"x": 0, "y": 0, "W": 0})
    found["parameters by name"] = Call(lambda: lambda name: model().parameters[name], {"name": "W"})
    found["parameters set"] = Call(
        lambda: lambda name, value: model().parameters.__setitem__(name, value), {"name": "W", "value": [[1.0, 2.0]]}
    )
    found["parameters updated"] = Call(lambda: lambda values: setattr(model(), "parameters", values), {"values": {}})
    for name, arguments in {
        "input": {"name": "i"},
        "parameter": {"name": "p", "shape": (2,), "init": "zeros"},
        "constant": {"name": "c", "value": 1.0},
        "value": {"name": "x"},
        "op_of": {"name": "x"},
        "spec": {"name": "x"},
        "arguments": {"name": "x"},
        "names": {"kind": "input"},
        "schedule": {},
        "needed_for": {"targets": ["x"]},
        "depending_on": {"sources": ["x"]},
        "copy": {},
    }.items():
        found[f"Graph.{name}"] = Call(lambda name=name: getattr(graph(), name), dict(arguments))
    found["Graph.apply"] = Call(lambda: _applied, {"op": registry.lookup("add"), "x": 1, "attributes": {}, "name": "y"})
    topk = {"op": registry.lookup("topk"), "arguments": [np.arange(2)], "attributes": {"k": 1}}
    found["Graph.apply_outputs"] = Call(lambda: graph().apply_outputs, topk)
    found["Graph.apply, arguments"] = Call(
        lambda: lambda arguments: graph().apply(registry.lookup("add"), arguments), {"arguments": [1, 2]}
    )
    found["Graph.node"] = Call(lambda: _named, {"name": "y", "inner": None})
    found["Graph.node, value"] = Call(lambda: lambda value: graph().node("y", value), {"value": None})
    for name in [
        "add",
        "radd",
        "sub",
        "mul",
        "truediv",
        "pow",
        "rpow",
        "matmul",
        "rmatmul",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "getitem",
    ]:
        found[f"Value.__{name}__"] = Call(
            lambda name=name: lambda other: getattr(_value(), f"__{name}__")(other), {"other": 1}
        )
    for name, arguments in {
        "step": {},
        "run": {"steps": 1},
        "some": {"most": 1},
        "gradient": {"batch": {"x": [[1.0, 2.0]], "y": [[1.0]]}},
        "update": {},
        "measure": {},
        "better": {"name": "loss"},
        "record": {"history": dataflow.History()},
    }.items():
        found[f"Trainer.{name}"] = Call(
            lambda name=name: getattr(trainer(), name), dict(arguments), frozenset({"steps"})
        )
    found["History.add"] = Call(lambda: dataflow.History().add, {"measured": {"loss": 1.0}})
    found["History.plot"] = Call(lambda: dataflow.History(1, [1.0]).plot, {"path": "l.svg", "title": "loss"})
    found["History.to_dict"] = Call(lambda: dataflow.History().to_dict)
    for name in ("to_json", "to_latex", "to_html"):
        found[f"Explanation.{name}"] = Call(lambda name=name: getattr(_explanation(), name))
    for name, arguments in {
        "render": {"form": "dot"},
        "save": {"path": "d.dot"},
        "caveats": {"form": "dot"},
        "fitting_svg": {},
    }.items():
        found[f"Drawing.{name}"] = Call(lambda name=name: getattr(dataflow.draw(small_model()), name), dict(arguments))
    found["View.save"] = Call(lambda: dataflow.View.save.__get__(_Page()), {"path": "v.html"})
    for name, op in registry.all_ops().items():
        case = next(iter(testing.cases.cases_of(op, 0)))
        names = [f"{op.inputs[0]}{i}" for i in range(len(case.arguments))] if op.variadic else list(op.inputs)
        inputs = dict(zip(names, case.arguments, strict=False))
        found[f"ops.{name}"] = Call(partial(partial, _by_keyword, op, len(inputs)), {**inputs, **case.attributes})
    return found


def _applied(op: Any, x: Any, attributes: Any, name: Any) -> dataflow.Value:
    graph = _graph_with_x()
    return graph.apply(op, [graph.value("x"), x], attributes, name=name)


def _named(name: Any, inner: Any) -> dataflow.Value:
    graph = _graph_with_x()
    return graph.node(name, graph.value("x") + 1, inner=inner)


def _by_keyword(op: dataflow.Op, count: int, **given: Any) -> Any:
    """The op with its inputs by keyword, too, so that all arguments go one way."""
    inputs = list(given.values())[:count]
    return op(*inputs, **dict(list(given.items())[count:]))


class _Page(dataflow.View):
    def __init__(self) -> None:
        self.html = ""
        self.content = {"notes": [], "why_not": "", "passes": []}


def parameters_of(call: Call) -> list[str]:
    """The arguments that can be given by keyword: those of the valid call, and all others that the function names."""
    named = [
        p.name
        for p in inspect.signature(call.make()).parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    return list(dict.fromkeys([*call.arguments, *named]))


def tries(call: Call) -> Iterator[tuple[str, str]]:
    """Each argument with each odd value."""
    for name in parameters_of(call):
        for odd, make in ODD.items():
            endless = name in call.endless and odd in ("2**70", "inf")
            raises_what_it_likes = name in CALLBACKS and callable(make())
            if not endless and not raises_what_it_likes:
                yield name, odd


def fault(call: Call, name: str, odd: str) -> str | None:
    """The raw exception that the odd value leads to, as text; nothing for a result or an error of ours."""
    try:
        function = call.make()
        result = function(**{**call.arguments, name: ODD[odd]()})
        if isinstance(result, types.GeneratorType):
            list(result)
    except dataflow.DataflowError as error:
        assert str(error)
        assert "\n" not in str(error)
    except Exception as error:  # noqa: BLE001 (that is what is looked for)
        return f"{type(error).__name__}: {error}"
    return None
