"""Random models for property tests: ops on (n, 3) arrays, with literals, attributes, constants, blocks, unnamed
nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from op_graphs import AT_RUN_TIME

from dataflow import DataflowError, Graph, Model, Op, Value, ops
from dataflow.operations.indexing import format_key
from dataflow.registry import registry
from dataflow.testing.cases import every_op

NUMBER = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans())
NAMES = st.sampled_from(["a", "h", "pi", "e", "inf", "lambda", "relu", "größe", "x_1", "file", "shape", "model"])


@st.composite
def graphs(draw: st.DrawFn) -> Model:
    """Built with the Python interface, so that it may be what no expression gives."""
    graph = Graph(draw(st.sampled_from(["", "net", "µ"])), draw(st.sampled_from(["float64", "float32"])))
    values = [graph.input("x", ("n", 3)), graph.parameter("W", (3,), init="normal")]
    values.append(graph.constant("c", draw(st.lists(st.floats(width=32), min_size=3, max_size=3))))
    for i in range(draw(st.integers(1, 12))):
        a, b = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        match draw(st.integers(0, 9)):
            case 0:
                value = a + b
            case 1:
                value = a * draw(NUMBER)
            case 2:
                value = ops.where(a > draw(st.floats()), b, draw(NUMBER))
            case 3:
                value = ops.softmax(a, axis=draw(st.sampled_from([-1, 0])) if a.ndim == 2 else -1)
            case 4:
                value = ops.sum(a, axis=-1, keepdims=True) + b
            case 5:
                value = ops.reshape(a, shape=a.shape)
            case 6:
                value = a[..., ::-1] - draw(st.floats(allow_nan=False))
            case 7:
                value = graph.apply(ops.exp, [draw(st.floats(-3, 3))]) * a
            case 8:
                value = -((a - (b - a)) ** 2) / (2 + a.T.T)
            case _:
                value = ops.concatenate(a, b, axis=-1)[..., :3] if a.ndim == b.ndim else ops.sin(a)
        if draw(st.booleans()):
            name = draw(NAMES)
            value = graph.node(name if name not in graph or name in graph.unnamed else f"n{i}", value)
        values.append(value)
    return Model(graph, [values[-1].name], doc=draw(st.text(max_size=20)))


@st.composite
def texts(draw: st.DrawFn) -> str:
    """TOML with nested expressions and calls of blocks, one of which may share."""
    names = ["x", "W", "c"]
    lines = []
    for i in range(draw(st.integers(1, 5))):
        lines.append(f"n{i} = {_expression(draw, names, 3)!r}".replace("'", '"'))
        names.append(f"n{i}")
    extra = 's = "layer(x, share=\'t\')"\nt = "layer(c)"\n' if draw(st.booleans()) else ""
    return f"""dataflow = 1
name = "random"
[inputs]
x = {{ shape = ["n", 3] }}
[parameters]
W = {{ shape = [3], init = "normal" }}
[constants]
c = {{ value = [0.1, -2, 3] }}
[blocks.layer]
inputs = ["h"]
output = "out"
parameters.V = {{ shape = [3], init = "ones" }}
nodes.inner = "h * V + 1"
nodes.out = "deep(inner) - inner"
[blocks.deep]
inputs = ["u"]
output = "v"
constants.k = {{ value = 0.5 }}
nodes.v = "relu(u - k)"
[nodes]
{extra}{chr(10).join(lines)}
"""


def _expression(draw: st.DrawFn, names: list[str], depth: int) -> str:
    inner = [_expression(draw, names, depth - 1) if depth else draw(st.sampled_from(names)) for _ in range(2)]
    form = draw(st.sampled_from(["{0}", "{0}", "{1}", *_FORMS]))
    return form.format(*inner)


_FORMS = [
    *(
        "({0}) + ({1})",
        "({0}) - ({1})",
        "({0}) * 2",
        "-({0})",
        "({0}) ** 2",
        "2 ** ({0})",
        "({0}) / 3.5",
        "({0}) < ({1})",
    ),
    *(
        "relu({0})",
        "relu(relu({0}))",
        "sum({0}, axis=-1, keepdims=true)",
        "({0})[..., ::-1]",
        "where({0} > 0, {1}, -0.5)",
    ),
    *("layer({0})", "layer({0}) + layer({1})", "relu(deep({0} + 1))", "exp(2) * ({0})", "pi * ({0})"),
]


# ------------------------------------------------------------------------------------------------ graphs by number

NUMBERS = (0, 1, 2, -1, 0.5, 3, -0.0, 0.25, -1.5, True)
FUNCTIONS = {"exp", "log", "sqrt", "tanh", "sin", "cos", "power", "divide", "sigmoid", "softmax", "log_softmax"}
FUNCTIONS |= {"expm1", "log1p", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "erf", "erfc"}
FUNCTIONS |= {"reciprocal", "silu", "gelu", "softplus", "softsign", "mish", "elu", "celu", "selu", "hard_sigmoid"}
FUNCTIONS |= {"hard_swish", "logsumexp", "log_sum", "norm", "var", "std", "kl_divergence", "cross_entropy", "prod"}
FUNCTIONS |= {"cumprod", "leaky_relu", "mod", "fmod", "floor_divide"}
NORMS = {"standardize", "layer_norm", "rms_norm", "group_norm", "instance_norm", "batch_norm", "local_response_norm"}
ROUNDING = (
    FUNCTIONS | NORMS | {"mean", "softmax_cross_entropy", "sigmoid_cross_entropy", "mse", "lp_pool", "average_pool"}
)
SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 1e-310, 1e30, -1e300)
OF_BITS = {"round_to", "round_to_power"}
"""They take one of two numbers that may be far apart where what they are given is a rounding apart."""
OPS = [*sorted(every_op().keys() - AT_RUN_TIME - OF_BITS), *["where"] * 5, "matmul", "linear", "softmax_cross_entropy"]


@dataclass(frozen=True)
class Call:
    """What a run is given."""

    inputs: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]


@dataclass(frozen=True)
class Numbered:
    """A random model that follows from a seed and a number, and what it is given in two runs of the same shapes."""

    seed: int
    number: int
    model: Model
    wrt: list[str]
    calls: list[Call]

    @property
    def text(self) -> str:
        """Every node on a line, and the arrays."""
        graph = self.model.graph
        lines = [f"graph {self.number} of seed {self.seed}, {graph.dtype}; outputs {', '.join(self.model.outputs)}"]
        for name in graph.schedule([*self.model.outputs, str(self.model.loss)]):
            node = graph.node_of(name)
            given = [str(one) for one in graph.arguments(name)]
            given += [f"{key}={value!r}" for key, value in node.attributes.items()]
            value = repr(node.value) if node.kind == "constant" else f"{node.op}({', '.join(given)})"
            lines.append(f"  {name}: {graph.spec(name)} = {node.kind if node.kind != 'op' else ''}{value}")
        for call in self.calls:
            lines += [f"  run with {name} = {array!r}" for name, array in {**call.inputs, **call.parameters}.items()]
        return "\n".join(lines)


def numbered(seed: int, number: int) -> Numbered:
    """All dtypes, shapes with axes of one element and of none, constants, scalars, every op; parameters that are 0 in
    one of the runs, and in some graphs NaN, infinities and numbers near the limits."""
    return _Numbered(seed, number).built()


class _Numbered:
    def __init__(self, seed: int, number: int) -> None:
        self.seed, self.number = seed, number
        self.rng = np.random.default_rng([seed, number])
        self.exact = self.chance(0.4)
        self.special = self.chance(0.2)
        self.graph = Graph("random", self.one_of(["float64", "float64", "float32"]))
        self.rows = int(self.one_of([0, 1, 2, 3, 5, 8, 40], [1, 2, 3, 3, 3, 2, 2]))
        self.columns = int(self.one_of([0, 1, 2, 3, 4, 17], [1, 2, 3, 3, 3, 1]))
        self.values: list[Value] = []

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def one_of(self, options: Sequence[Any], weights: Sequence[float] | None = None) -> Any:
        shares = None if weights is None else np.array(weights) / np.sum(weights)
        return options[int(self.rng.choice(len(options), p=shares))]

    # -------------------------------------------------------------------------------------------- leaves

    def built(self) -> Numbered:
        graph, n = self.graph, self.one_of(["n", self.rows])
        shapes: list[tuple[Any, ...]] = [(n, self.columns), (self.columns,), (n, 1), (), (1,), (1, 1), (n,)]
        other = "float32" if graph.dtype == np.float64 else "float64"
        leaves: list[tuple[str, tuple[Any, ...], str]] = [("x", shapes[0], str(graph.dtype))]
        for name, dtypes in (
            ("k", ["int64", "int32", "int16", "uint8"]),
            ("b", ["bool"]),
            ("z", [other]),
            ("s", [str(graph.dtype)]),
        ):
            if self.chance(0.5):
                leaves.append((name, self.one_of(shapes) if name != "s" else (), self.one_of(dtypes)))
        for name, shape, dtype in leaves:
            self.values.append(graph.input(name, shape, dtype))
        for name, shape in (("W", (self.columns,) * 2), ("p", (self.columns,)), ("q", ()), ("r", (1,)), ("t", ())):
            if self.chance(0.6):
                dtype = other if self.chance(0.1) else str(graph.dtype)
                self.values.append(graph.parameter(name, shape, dtype=dtype, init="zeros"))
        for i in range(int(self.rng.integers(0, 4))):
            dtype = self.one_of(["float64", "float32", "int64", "int32", "int8", "uint16", "bool"])
            shape = self.one_of([(self.columns,), (), (1,), (self.columns, 1), (self.columns, self.columns)])
            value = np.arange(self.columns) if self.chance(0.2) and dtype != "bool" else self.array(shape, dtype)
            self.values.append(graph.constant(f"c{i}", value.astype(dtype), dtype))
        leaves_end = len(self.values)
        for _ in range(int(self.rng.integers(3, 14))):
            self.grow()
        return self.finished(leaves_end)

    def finished(self, leaves_end: int) -> Numbered:
        graph, made = self.graph, self.values[leaves_end:] or self.values
        outputs = [graph.node(f"y{i}", value).name for i, value in enumerate(made[-3:])]
        floats = [value for value in self.values if value.dtype.kind == "f"]
        terms = [ops.sum(value) * self.one_of([1, -0.5, 2]) for value in floats[-3:]]
        loss = graph.node("loss", sum(terms[1:], terms[0]))
        wrt = [name for kind in ("input", "parameter") for name in graph.names(kind)]
        wrt = [name for name in wrt if graph.node_of(name).dtype.kind == "f"]
        first, second = self.call(), self.call()
        model = Model(graph, outputs, loss.name)
        return Numbered(self.seed, self.number, model, wrt, [first, second])

    def call(self) -> Call:
        given: dict[str, dict[str, np.ndarray]] = {"input": {}, "parameter": {}}
        for kind, arrays in given.items():
            for name in self.graph.names(kind):
                node = self.graph.node_of(name)
                shape = tuple(size if isinstance(size, int) else self.rows for size in node.shape)
                arrays[name] = self.array(shape, str(node.dtype))
                if kind == "parameter" and self.chance(0.4):
                    arrays[name][...] = 0
                elif self.special and node.dtype.kind == "f" and arrays[name].size and self.chance(0.5):
                    with np.errstate(all="ignore"):
                        place = int(self.rng.integers(arrays[name].size))
                        arrays[name].reshape(-1)[place] = np.array(self.one_of(SPECIAL)).astype(node.dtype)
        return Call(given["input"], given["parameter"])

    def array(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Quarters of small numbers in graphs that are to have no rounding, so that equal numbers and zeros are
        frequent; among integers also the least and the largest, which wrap."""
        if dtype == "bool":
            return np.array(self.rng.random(shape) < 0.5)
        if "int" in dtype and self.chance(0.3):
            return self.rng.choice([np.iinfo(dtype).min, np.iinfo(dtype).max], shape).astype(dtype)
        if dtype.startswith("uint"):
            return np.array(self.rng.integers(0, 4, shape), dtype)
        if dtype.startswith("int"):
            return np.array(self.rng.integers(-3, 4, shape), dtype)
        quarters = np.array(self.rng.integers(-8, 9, shape) / 4, dtype)
        return quarters if self.exact else np.array(self.rng.normal(size=shape), dtype)

    # -------------------------------------------------------------------------------------------- nodes

    def grow(self) -> None:
        """One more value; what does not fit in shape or dtype is drawn again."""
        for _ in range(50):
            name = self.one_of(OPS)
            if self.exact and name in ROUNDING and self.chance(0.9):
                continue
            try:
                value = self.node(name)
            except DataflowError:
                continue
            if value is not None and np.prod([n if isinstance(n, int) else self.rows for n in value.shape]) <= 5000:
                self.values.append(value)
                return

    def any(self, kinds: str = "fiub", least: int = 0) -> Value:
        """A value, rather a late one."""
        fitting = [value for value in self.values if value.dtype.kind in kinds and value.ndim >= least]
        if not fitting:
            raise DataflowError("there is none")
        return fitting[max(0, len(fitting) - 1 - int(self.rng.exponential(3)))]

    def leaf(self) -> Value:
        """An input or a parameter, of which all backends see the same bits: so they agree on the largest entry."""
        names = [name for name, node in self.graph.node_items() if node.kind in ("input", "parameter") and node.shape]
        fitting = [self.graph.value(name) for name in names if self.graph.node_of(name).dtype.kind == "f"]
        if not fitting:
            raise DataflowError("there is none")
        return self.one_of(fitting)

    def axis(self, value: Value) -> int:
        return int(self.rng.integers(-value.ndim, value.ndim))

    def key(self) -> Any:
        return self.one_of([0, -1, slice(None, None, -1), slice(1, None), slice(0, 2), (..., 0), (..., slice(1)), None])

    def node(self, name: str) -> Value | None:
        op = registry.lookup(name)
        match name:
            case "where":
                condition = self.any("b") if self.chance(0.3) else self.comparison()
                return op(condition, self.branch(), self.branch())
            case "cast":
                value, dtype = (
                    self.any(),
                    self.one_of(["float64", "float32", "int64", "int32", "int8", "uint8", "bool"]),
                )
                if "int" in dtype and value.dtype.kind == "f":
                    # what is no such whole number becomes another in every kernel
                    value = ops.where((value >= 0) * (value < 100), value, 0)
                return op(value, dtype=dtype)
            case "sum" | "mean" | "max":
                value = self.any()
                axis = self.axis(value) if value.ndim and self.chance(0.7) else None
                return op(value, axis=axis, keepdims=self.chance(0.5))
            case "softmax" | "log_softmax":
                value = self.any("f", 1)
                return op(value, axis=self.axis(value))
            case "size":
                return op(self.any())
            case "broadcast_to":
                value = self.any()
                return op(value, shape=self.any().shape if self.chance(0.5) else (2, *value.shape))
            case "sum_to":
                value = self.any("f", 1)
                shape = tuple(1 if self.chance(0.5) else size for size in value.shape)
                return op(value, shape=shape[int(self.rng.integers(2)) :])
            case "reshape":
                value = self.any()
                shapes = [(-1,), (1, *value.shape), value.shape[::-1], (-1, 1), (*value.shape, 1), ()]
                return op(value, shape=self.one_of(shapes))
            case "expand_dims":
                return op(self.any(), axis=self.one_of([0, -1, 1]))
            case "transpose":
                value = self.any()
                return op(value, axes=tuple(int(i) for i in self.rng.permutation(value.ndim)))
            case "index":
                return self.any(least=1)[self.key()]
            case "place":
                value = self.any("f", 1)
                piece = ops.index(value, key=format_key(self.key()))
                return op(piece, key=self.graph.node_of(piece.name).attributes["key"], shape=value.shape)
            case "concatenate" | "stack" | "part":
                values = [self.any(least=int(name != "stack")) for _ in range(2)]
                values += [values[0]] if self.chance(0.3) else []
                axis = self.one_of([0, -1])
                if name != "part":
                    return op(*values, axis=axis)
                return op(ops.concatenate(*values, axis=axis), *values, axis=axis, which=1)
            case "split:0" | "split:1":
                value = self.any(least=1)
                return op(value, axis=self.axis(value))
            case "topk:values" | "topk:indices":
                value = self.leaf()
                return op(value, k=1, axis=self.axis(value))
            case "sort" | "argsort" | "argmax" | "argmin" | "hardmax":
                value = self.leaf()
                return op(value, axis=self.axis(value))
            case "linear":
                return op(self.any("f", 1), self.any("f", 2), *([self.any("f", 1)] if self.chance(0.5) else []))
            case "matmul":
                return op(self.any(least=1), self.any(least=1))
            case "masked":
                return op(self.any("f"), self.comparison(), self.any("f"))
            case "mse" | "softmax_cross_entropy" | "sigmoid_cross_entropy":
                prediction = self.any("f")
                if name == "softmax_cross_entropy" and not all(isinstance(n, int) for n in prediction.shape[-1:]):
                    return None  # with one example it would have one class, which is refused
                return op(prediction, self.any(), reduction=self.one_of(["sum", "mean"]))
            case _ if name in NORMS:
                return self.norm(name)
            case "conv" | "conv_transpose" | "correlate" | "correlate_transpose" | "correlate_kernel":
                return self.convolution(name)
            case _ if "pool" in name or name.startswith("window_"):
                return self.pooling(name)
            case "pad" | "pad_transpose":
                value = self.any("f", 1)
                axis, mode = self.axis(value), self.one_of(["constant", "reflect", "edge", "wrap"])
                given = {"padding": (self.one_of([(1, 2), (-1, 1), (0, 0)]),), "axes": (axis,), "mode": mode}
                padded = ops.pad(value, **given)
                return padded if name == "pad" else op(padded, size=value.shape, **given)
            case "resize" | "resample" | "resample_transpose":
                value, mode = self.any("f", 1), self.one_of(["nearest", "linear"])
                axis = self.axis(value)
                if name == "resize":
                    return op(value, scales=2.0, axes=(axis,), mode=mode)
                size = value.shape[axis]
                scaled = ops.resample(value, axis=axis, size=(2 * size,), scale=2.0, mode=mode)
                return scaled if name == "resample" else op(scaled, axis=axis, size=(size,), scale=2.0, mode=mode)
            case "power":
                base = self.any() if self.chance(0.8) else self.one_of([2, 0.5, 3.0, 4, 10.0])
                if isinstance(base, Value) and self.chance(0.7):
                    return op(base, self.one_of([0, 1, 2, 3, 2.0, 0.5] + [-1, -0.5] * (base.dtype.kind == "f")))
                return op(base, self.any("f"))
            case "squeeze":
                return op(ops.expand_dims(self.any(), axis=-1), axis=-1)
            case "tile":
                value = self.any()
                return op(value, repeats=tuple(int(i) for i in self.rng.integers(1, 3, value.ndim)))
            case "expand":
                return op(self.any(), shape=(self.columns, 1))
            case "one_hot":
                return op(self.any("i"), classes=3)
            case "depth_to_space" | "space_to_depth":
                shape = (-1, 4, 1, 1) if name == "depth_to_space" else (1, -1, 2, 2)
                return op(
                    ops.reshape(ops.tile(ops.reshape(self.any(), shape=(-1,)), repeats=(4,)), shape=shape), size=2
                )
            case "einsum":
                return op(
                    self.any(least=1), self.any(least=1), equation=self.one_of(["...i,...i->...", "i...,j->...ij"])
                )
            case "gather" | "gather_nd" | "gather_elements" | "take_along_axis" | "embedding" | "reverse_sequence":
                return self.gathered(op, self.leaf())
            case "scatter_elements" | "scatter_nd":
                value = self.leaf()
                places = ops.argsort(value, axis=0)
                places = ops.expand_dims(places, axis=-1) if name == "scatter_nd" else places
                updates = ops.gather_nd(value, places) if name == "scatter_nd" else ops.negative(value)
                combine = self.one_of(
                    ["add", "minimum", "maximum", *(["replace"] if name == "scatter_elements" else [])]
                )
                axis = {} if name == "scatter_nd" else {"axis": 0}
                return op(value, places, updates, combine=combine, **axis)
            case "nll" | "cross_entropy":
                scores = self.any("f", 2)
                return op(scores, ops.argsort(scores, axis=0)[:, 0] * 0, reduction=self.one_of(["sum", "mean"]))
            case "clip":
                return op(self.any(), -1, self.branch())
        if len(op.inputs) == 1:
            return op(self.any())
        left, right = self.any(), self.any() if self.chance(0.7) else self.one_of(NUMBERS)
        return op(left, right) if self.chance(0.7) or not isinstance(right, Value) else op(right, left)

    def gathered(self, op: Op, value: Value) -> Value:
        """Entries at places that the order of others tells, so that all are in range."""
        places = ops.argsort(value, axis=0)
        match op.name:
            case "gather":
                return op(value, places)
            case "gather_nd":
                return op(value, ops.expand_dims(places, axis=-1))
            case "embedding":
                return op(value, places[:, 0])
            case "reverse_sequence":
                return op(value, ops.argmax(value, axis=1))
        return op(value, places, axis=0)

    def norm(self, name: str) -> Value:
        op = registry.lookup(name)
        value = self.any("f", 1 if name in ("standardize", "layer_norm", "rms_norm") else 2)
        match name:
            case "standardize":
                return op(value, axis=self.axis(value))
            case "group_norm":
                return op(value, groups=1)
            case "instance_norm":
                return op(ops.expand_dims(value, axis=1))
            case "batch_norm":
                vector = ops.sum(value, axis=tuple(range(value.ndim - 1)))
                return op(value, vector, vector, vector, vector * vector + 1.0, axis=-1)
            case "local_response_norm":
                return op(value, size=2, alpha=0.5, beta=1.0)
        return op(value, self.any("f", 1)) if self.chance(0.3) else op(value)

    def convolution(self, name: str) -> Value:
        x, W = (ops.expand_dims(self.any("f", 2), axis=1) for _ in range(2))
        given = {"padding": self.one_of([0, 1]), "strides": self.one_of([1, 2])}
        if name == "conv_transpose":
            return ops.conv_transpose(x, ops.transpose(W, axes=(1, 0, 2)), **given)
        if name == "conv":
            return ops.conv(x, W, **given)
        y = ops.correlate(x, W, **given)
        match name:
            case "correlate_transpose":
                return ops.correlate_transpose(y, W, size=x.shape[2:], **given)
            case "correlate_kernel":
                return ops.correlate_kernel(x, y, kernel=W.shape[2:], **given)
        return y

    def pooling(self, name: str) -> Value:
        op, x = registry.lookup(name), ops.expand_dims(self.any("f", 2), axis=1)
        if name.startswith("global"):
            return op(x)
        given = {"kernel": 2, "padding": self.one_of([0, 1]), "strides": self.one_of([1, 2])}
        match name:
            case "max_pool_spread":
                return op(ops.max_pool(x, **given), x, **given)
            case "max_pool_gather":
                return op(x, x, **given)
            case "window_spread":
                return op(ops.window_sum(x, **given), size=x.shape[2:], **given)
        return op(x, **given)

    def branch(self) -> Any:
        """Of a choice: often one element, or the number 0, which kernels may treat in their own ways."""
        single = [value for value in self.values if all(size == 1 for size in value.shape)]
        if single and self.chance(0.4):
            return self.one_of(single)
        return self.any() if self.chance(0.7) else self.one_of(NUMBERS)

    def comparison(self) -> Value:
        how = self.one_of(["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"])
        return registry.lookup(how)(self.any(), self.any() if self.chance(0.6) else self.one_of(NUMBERS))
