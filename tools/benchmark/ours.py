"""The same work in dataflow: nets as a ``Trainer`` does it, chains as a compiled function."""

from __future__ import annotations

from typing import Any

import numpy as np

import dataflow
from benchmark.workloads import Chain, Layers, Net
from dataflow.ops import exp, mse, relu, softmax_cross_entropy, tanh
from dataflow.ops import sum as sum_


class Ours:
    """dataflow with one of its backends."""

    def __init__(self, workload: Any, threads: int, backend: str) -> None:
        self.backend, self.in_order = backend, isinstance(workload, Layers)
        if isinstance(workload, Net | Layers):
            data = workload.data()
            self.trainer = dataflow.Trainer(
                net_model(workload) if isinstance(workload, Net) else layers_model(workload),
                {"x": data.x, "y": data.y},
                batch_size=workload.batch,
                optimizer={"name": "sgd", "learning_rate": workload.learning_rate},
                backend=self.backend,
            )
            self.run = self.trainer.run
        else:
            self._gradient(workload)

    def result(self) -> np.ndarray:
        """The parameters, or the gradients."""
        return np.concatenate([array.ravel() for array in self.found()]).astype("float64")

    def found(self) -> list[np.ndarray]:
        """Arrays in the order of the other peers."""
        names = list(self.trainer.parameters)
        if not self.in_order:
            names.sort(key=lambda name: (name[0] == "b", int(name[1:])))
        return [self.trainer.parameters[name] for name in names]

    def _gradient(self, workload: Any) -> None:
        is_chain = isinstance(workload, Chain)
        data = dict(zip("xwv", workload.data() if is_chain else [workload.data()], strict=False))
        wrt = ["x", "w"] if is_chain else ["x"]
        once = chain_model(workload).compile(values=["loss"], gradients=wrt, backend=self.backend)
        gradients: dict[str, np.ndarray] = {}

        def run(steps: int) -> None:
            nonlocal gradients
            for _ in range(steps):
                _, gradients = once(data)

        self.run = run
        self.found = lambda: [gradients[name] for name in wrt]


class ByStep(Ours):
    """The same, one call of ``Trainer.step()`` after the other."""

    def __init__(self, workload: Any, threads: int, backend: str) -> None:
        super().__init__(workload, threads, backend)
        self.run = self._steps

    def _steps(self, steps: int) -> None:
        step = self.trainer.step
        for _ in range(steps):
            step()


def net_model(net: Net) -> dataflow.Model:
    """A net as a model."""
    data, count = net.data(), len(net.sizes) - 1
    graph = dataflow.Graph(net.name, dtype=net.dtype)
    h = graph.input("x", ("n", net.sizes[0]))
    y = graph.input("y", ("n", net.sizes[-1]))
    for i in range(count):
        weight, bias = (
            graph.parameter(f"{letter}{i}", value=array[i])
            for letter, array in (("W", data.weights), ("b", data.biases))
        )
        h = h @ weight + bias
        h = graph.node(f"h{i}", relu(h) if i < count - 1 else h)
    loss = softmax_cross_entropy if net.loss == "ce" else mse
    graph.node("loss", loss(h, y, reduction="mean"))
    return dataflow.Model(graph, [h.name], "loss")


def layers_model(layers: Layers) -> dataflow.Model:
    """The model of the file, with the parameters that everyone begins with."""
    model = dataflow.load(layers.path)
    for name, array in layers.data().parameters.items():
        model.parameters[name] = array
    return model


def chain_model(workload: Any) -> dataflow.Model:
    """A chain of elementwise ops as a model."""
    is_chain = isinstance(workload, Chain)
    graph = dataflow.Graph(workload.name, dtype="float32")
    shape = (4,) if is_chain else ("n",)
    x = h = graph.input("x", shape)
    if is_chain:
        w, v = graph.input("w", shape), graph.input("v", shape)
    for _ in range(workload.blocks):
        h = h * w + (h + x) * v if is_chain else exp(tanh(h) * x + 0.5) * 0.25
    graph.node("loss", sum_(h))
    return dataflow.Model(graph, [], "loss")
