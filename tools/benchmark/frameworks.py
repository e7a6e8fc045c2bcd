"""The same work in PyTorch and JAX, as their documentation would have it done."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from benchmark import layers
from benchmark.workloads import Chain, Layers, Net


class Torch:
    """PyTorch, op by op."""

    compiled = False

    def __init__(self, workload: Any, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.found: list[Any] = []
        if isinstance(workload, Layers):
            self.step = self._layers(torch, workload)
        else:
            self.step = self._net(torch, workload) if isinstance(workload, Net) else self._gradient(torch, workload)

    def run(self, steps: int) -> None:
        """So many steps."""
        step = self.step
        for _ in range(steps):
            step()

    def result(self) -> np.ndarray:
        """The parameters, or the gradients."""
        return np.concatenate([gradient.detach().numpy().ravel() for gradient in self.found]).astype("float64")

    def _net(self, torch: Any, net: Net) -> Any:
        data, count = net.data(), len(net.sizes) - 1
        x, y, labels = (torch.from_numpy(array) for array in (data.x, data.y, data.labels))
        self.found = [torch.from_numpy(array.copy()) for array in (*data.weights, *data.biases)]
        parameters = self.found

        def loss_of(parameters: list[Any]) -> Any:
            h = x
            for i in range(count):
                h = torch.addmm(parameters[count + i], h, parameters[i])
                if i < count - 1:
                    h = torch.relu(h)
            if net.loss == "ce":
                return torch.nn.functional.cross_entropy(h, labels)
            return ((h - y) ** 2).sum() * (0.5 / net.batch)

        if self.compiled:

            def whole() -> Any:
                gradients, loss = torch.func.grad_and_value(loss_of)(parameters)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.sub_(gradient, alpha=net.learning_rate)
                return loss

            return torch.compile(whole, fullgraph=True)
        return self._descend(torch, parameters, lambda: loss_of(parameters), net.learning_rate)

    def _layers(self, torch: Any, work: Layers) -> Any:
        data = work.data()
        x, y, labels = (torch.from_numpy(array) for array in (data.x, data.y, data.labels))
        given = {name: torch.from_numpy(array) for name, array in data.parameters.items()}
        parameters, loss_of = getattr(layers, f"torch_{work.file}")(torch, given)
        self.found = list(parameters.values())
        step = self._descend(torch, self.found, lambda: loss_of(x, labels if work.classes else y), work.learning_rate)
        if work.file == "recurrent":
            self.result = lambda: layers.gates_in_order(parameters)
        return step

    @staticmethod
    def _descend(torch: Any, parameters: list[Any], loss_of: Any, learning_rate: float) -> Any:
        for parameter in parameters:
            parameter.requires_grad_()

        def step() -> Any:
            loss = loss_of()
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                torch._foreach_add_(parameters, gradients, alpha=-learning_rate)
            return loss

        return step

    def _gradient(self, torch: Any, workload: Any) -> Any:
        is_chain = isinstance(workload, Chain)
        arrays = [torch.from_numpy(array) for array in (workload.data() if is_chain else [workload.data()])]
        wrt = arrays[:2]

        def loss_of(*wrt: Any) -> Any:
            h = x = wrt[0]
            for _ in range(workload.blocks):
                h = h * wrt[1] + (h + x) * arrays[2] if is_chain else torch.exp(torch.tanh(h) * x + 0.5) * 0.25
            return h.sum()

        if self.compiled:
            positions = tuple(range(len(wrt)))
            compiled = torch.compile(lambda: torch.func.grad_and_value(loss_of, argnums=positions)(*wrt))

            def step() -> None:
                self.found = list(compiled()[0])

            return step
        for parameter in wrt:
            parameter.requires_grad_()

        def step() -> None:
            self.found = list(torch.autograd.grad(loss_of(*wrt), wrt))

        return step


class TorchCompile(Torch):
    """PyTorch, compiled."""

    compiled = True


class Jax:
    """JAX, one jitted step."""

    loop = False

    def __init__(self, workload: Any, threads: int) -> None:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        sys.setrecursionlimit(10**6)
        import jax

        self.wait = jax.block_until_ready
        self.found: Any = []
        is_model = isinstance(workload, Net | Layers)
        self.run = self._model(jax, workload) if is_model else self._gradient(jax, workload)

    def result(self) -> np.ndarray:
        """The parameters, or the gradients."""
        return np.concatenate([np.asarray(gradient).ravel() for gradient in self.found]).astype("float64")

    @staticmethod
    def _net(jax: Any, net: Net) -> Any:
        count = len(net.sizes) - 1

        def loss_of(parameters: Any, x: Any, y: Any) -> Any:
            h = x
            for i in range(count):
                h = h @ parameters[i] + parameters[count + i]
                if i < count - 1:
                    h = jax.nn.relu(h)
            if net.loss == "ce":
                return -(jax.nn.log_softmax(h) * y).sum() / net.batch
            return ((h - y) ** 2).sum() * (0.5 / net.batch)

        return loss_of

    def _model(self, jax: Any, net: Any) -> Any:
        data = net.data()
        x, y = jax.numpy.asarray(data.x), jax.numpy.asarray(data.y)
        if isinstance(net, Layers):
            loss_of = getattr(layers, f"jax_{net.file}")(jax, list(data.parameters))
            arrays = list(data.parameters.values())
        else:
            loss_of, arrays = self._net(jax, net), [*data.weights, *data.biases]
        self.found = [jax.numpy.asarray(array) for array in arrays]

        def update(parameters: Any, x: Any, y: Any) -> Any:
            loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
            return [p - net.learning_rate * g for p, g in zip(parameters, gradients, strict=True)], loss

        if self.loop:

            def many(parameters: Any, x: Any, y: Any, steps: Any) -> Any:
                return jax.lax.fori_loop(0, steps, lambda _, values: update(values, x, y)[0], parameters)

            looped = jax.jit(many, donate_argnums=0)

            def run_inside(steps: int) -> None:
                self.found = self.wait(looped(self.found, x, y, steps))

            return run_inside
        once = jax.jit(update, donate_argnums=0)

        def run(steps: int) -> None:
            parameters = self.found
            for _ in range(steps):
                parameters, _loss = once(parameters, x, y)
            self.found = self.wait(parameters)

        return run

    def _gradient(self, jax: Any, workload: Any) -> Any:
        is_chain = isinstance(workload, Chain)
        arrays = [jax.numpy.asarray(array) for array in (workload.data() if is_chain else [workload.data()])]
        wrt = arrays[:2]

        def loss_of(*wrt: Any) -> Any:
            h = x = wrt[0]
            for _ in range(workload.blocks):
                h = h * wrt[1] + (h + x) * arrays[2] if is_chain else jax.numpy.exp(jax.numpy.tanh(h) * x + 0.5) * 0.25
            return h.sum()

        once = jax.jit(jax.value_and_grad(loss_of, argnums=tuple(range(len(wrt)))))

        def run(steps: int) -> None:
            for _ in range(steps):
                _, self.found = self.wait(once(*wrt))

        return run


class JaxLoop(Jax):
    """JAX, with the loop over the steps inside."""

    loop = True
