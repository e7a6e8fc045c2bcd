"""The work that is measured: training steps of nets and of layers, and two chains of ops.

Everyone gets the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Net:
    """A net of fully connected layers with relu between them; one step is forward, backward and an update by plain
    gradient descent. The loss, ½ Σ (ŷ − y)² ("mse") or softmax cross-entropy ("ce"), is divided by the batch size."""

    name: str
    title: str
    sizes: tuple[int, ...]
    batch: int
    loss: str
    dtype: str = "float32"
    learning_rate: float = 1e-3

    def data(self) -> NetData:
        """Inputs, targets and first weights, drawn from one seed."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.batch, self.sizes[0]))
        last = self.sizes[-1]
        labels = rng.integers(0, last, self.batch)
        y = np.eye(last)[labels] if self.loss == "ce" else rng.standard_normal((self.batch, last))
        if self.sizes == (2, 2, 1):  # XOR
            x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])
        layers = list(zip(self.sizes, self.sizes[1:], strict=False))
        weights = [rng.standard_normal((rows, columns)) * (2 / rows) ** 0.5 for rows, columns in layers]
        biases = [rng.standard_normal(columns) * 0.1 for _, columns in layers]
        as_dtype = [np.ascontiguousarray(array, self.dtype) for array in (x, y, *weights, *biases)]
        return NetData(as_dtype[0], as_dtype[1], labels, as_dtype[2 : 2 + len(layers)], as_dtype[2 + len(layers) :])


@dataclass(frozen=True)
class NetData:
    """The arrays of a net: ``weights[i]`` is (in, out), ``labels`` are the classes that ``y`` marks in one-hot rows."""

    x: np.ndarray
    y: np.ndarray
    labels: np.ndarray
    weights: list[np.ndarray]
    biases: list[np.ndarray]

    def start(self) -> np.ndarray:
        """All weights, then all biases, in one vector."""
        return np.concatenate([array.ravel() for array in (*self.weights, *self.biases)]).astype("float64")


@dataclass(frozen=True)
class Layers:
    """A model of layers, declared in ``models/FILE.toml``; one step is as that of a ``Net``. Its inputs are x and y, an
    example of which have these shapes; where ``classes`` is set, y marks a class in each row."""

    name: str
    title: str
    file: str
    batch: int
    x: tuple[int, ...]
    y: tuple[int, ...]
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    """Of the parameters, by their names in the file."""
    classes: bool = False
    learning_rate: float = 1e-3
    dtype: str = "float32"

    @property
    def path(self) -> Path:
        """The file."""
        return Path(__file__).parent / "models" / f"{self.file}.toml"

    def data(self) -> LayersData:
        """Inputs, targets and first parameters, drawn from one seed."""
        rng = np.random.default_rng(0)
        x, y = (rng.standard_normal((self.batch, *shape)).astype(self.dtype) for shape in (self.x, self.y))
        labels = rng.integers(0, self.y[-1], self.batch)
        if self.classes:
            y = np.eye(self.y[-1], dtype=self.dtype)[labels]
        parameters = {}
        for name, shape in self.shapes:
            if len(shape) == 1:  # a bias, or a scale around 1
                drawn = rng.standard_normal(shape) * 0.1 + name.endswith("scale")
            else:
                drawn = rng.standard_normal(shape) / np.prod(shape[1:]) ** 0.5
            parameters[name] = drawn.astype(self.dtype)
        return LayersData(x, y, labels, parameters)


@dataclass(frozen=True)
class LayersData:
    """The arrays of a model of layers."""

    x: np.ndarray
    y: np.ndarray
    labels: np.ndarray
    parameters: dict[str, np.ndarray]

    def start(self) -> np.ndarray:
        """All parameters in one vector."""
        return np.concatenate([array.ravel() for array in self.parameters.values()]).astype("float64")


ENCODER_LAYERS, ENCODER_WIDTH, ENCODER_HEADS, ENCODER_HIDDEN = 4, 64, 4, 256


def _encoder_shapes() -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The parameters of a stack of the block ``transformer_encoder``."""
    width, hidden = ENCODER_WIDTH, ENCODER_HIDDEN
    vector, matrix = (width,), (width, width)
    layer = {"scale": vector, "bias": vector, "Wq": matrix, "Wk": matrix, "Wv": matrix, "Wo": matrix, "bo": vector}
    layer |= {"y.scale": vector, "y.bias": vector, "y.update.W1": (hidden, width), "y.update.b1": (hidden,)}
    layer |= {"y.update.W2": (width, hidden), "y.update.b2": vector}
    return tuple((f"h.{i + 1}.{name}", shape) for i in range(ENCODER_LAYERS) for name, shape in layer.items())


@dataclass(frozen=True)
class Wave:
    """``blocks`` times h ← exp(tanh(h) · x + ½) / 4 on many numbers; one step is Σ h and its gradient wrt x."""

    name: str
    title: str
    count: int
    blocks: int

    def data(self) -> np.ndarray:
        """x, and the first h."""
        return np.random.default_rng(0).standard_normal(self.count).astype("float32")


@dataclass(frozen=True)
class Chain:
    """``blocks`` times h ← h · w + (h + x) · v on four numbers; one step is Σ h and its gradients wrt x and w."""

    name: str
    title: str
    blocks: int

    def data(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, w and v."""
        half = np.full(4, 0.5, "float32")
        return np.arange(1, 5, dtype="float32") * np.float32(1e-4), half, half.copy()


WORKLOADS: dict[str, Any] = {
    workload.name: workload
    for workload in (
        Net("a32", "2-2-1, batch 4", (2, 2, 1), 4, "mse"),
        Net("b", "10-32-1, batch 32", (10, 32, 1), 32, "mse"),
        Net("c32", "784-128-10, batch 32", (784, 128, 10), 32, "ce"),
        Net("c256", "784-128-10, batch 256", (784, 128, 10), 256, "ce"),
        Net("d", "784-512-512-10, batch 128", (784, 512, 512, 10), 128, "ce"),
        Net("e", "50 layers of 64, batch 64", (64,) * 51, 64, "mse"),
        Wave("f", "20 elementwise ops on 10⁶ numbers", 1_000_000, 4),
        Chain("g", "10,000 ops on 4 numbers", 2500),
        Layers(
            *("conv", "convolutional net, 8 and 16 channels of 3×3, batch 64", "convolutional", 64),
            *((1, 28, 28), (10,)),
            (
                *(("W1", (8, 1, 3, 3)), ("b1", (8,)), ("W2", (16, 8, 3, 3)), ("b2", (16,))),
                *(("W3", (10, 784)), ("b3", (10,))),
            ),
            classes=True,
        ),
        Layers(
            *("transformer", "4 layers of width 64, 4 heads, 64 positions, batch 16", "transformer", 16),
            *((64, 64), (64, 64), _encoder_shapes()),
            learning_rate=1e-6,
        ),
        Layers(
            *("lstm", "LSTM of 64 units, 32 steps, batch 32", "recurrent", 32),
            *((32, 64), (64,), (("W", (1, 256, 64)), ("R", (1, 256, 64)), ("b", (1, 512)))),
        ),
    )
}
"""All in float32."""
ONE_THREAD = ("a32", "b", "g", "conv", "transformer", "lstm")
"""Too small for a second thread, or asked for with one."""
