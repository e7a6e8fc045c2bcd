"""numpy by hand: what one would write who wants it fast. Arrays are made once, every call writes into one of them,
parameters and gradients stand side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.workloads import Chain, Net, Wave


class Numpy:
    """A workload in numpy."""

    def __init__(self, workload: Any, threads: int) -> None:
        self.found: list[np.ndarray] = []
        make = {Net: self._net, Wave: self._wave, Chain: self._chain}[type(workload)]
        self.step: Callable[[], Any] = make(workload)

    def run(self, steps: int) -> None:
        """So many steps."""
        step = self.step
        for _ in range(steps):
            step()

    def result(self) -> np.ndarray:
        """The parameters, or the gradients."""
        return np.concatenate([array.ravel() for array in self.found]).astype("float64")

    def _net(self, net: Net) -> Callable[[], Any]:
        data, count, batch = net.data(), len(net.sizes) - 1, net.batch
        start = data.start().astype(net.dtype)
        parameters, gradients = start.copy(), np.empty_like(start)
        self.found = [parameters]
        weights, biases = _views(parameters, data.weights, data.biases)
        weight_gradients, bias_gradients = _views(gradients, data.weights, data.biases)
        values = [data.x, *(np.empty((batch, size), net.dtype) for size in net.sizes[1:])]
        cotangents = [np.empty((batch, size), net.dtype) for size in net.sizes]
        masks = [np.empty((batch, size), bool) for size in net.sizes]
        zero, rate, share = (np.array(number, net.dtype) for number in (0, net.learning_rate, 1 / batch))
        ones, column, shared_y = np.ones(batch, net.dtype), np.empty((batch, 1), net.dtype), data.y * share
        last, flat = cotangents[-1], cotangents[-1].reshape(-1)
        backward = [
            (values[i].T, cotangents[i + 1], weight_gradients[i], bias_gradients[i], weights[i].T, values[i], i)
            for i in reversed(range(count))
        ]
        dot, add, subtract, multiply, maximum = np.dot, np.add, np.subtract, np.multiply, np.maximum

        def cross_entropy(logits: np.ndarray) -> Any:
            np.maximum.reduce(logits, 1, None, column, True)
            subtract(logits, column, logits)
            np.exp(logits, last)
            np.add.reduce(last, 1, None, column, True)
            loss = np.log(column).sum() - dot(data.y.reshape(-1), logits.reshape(-1))
            multiply(column, batch, column)
            np.divide(last, column, last)
            subtract(last, shared_y, last)
            return loss

        def squares(prediction: np.ndarray) -> Any:
            subtract(prediction, data.y, last)
            loss = dot(flat, flat)
            multiply(last, share, last)
            return loss

        loss_of = cross_entropy if net.loss == "ce" else squares

        def step() -> Any:
            for i in range(count):
                dot(values[i], weights[i], values[i + 1])
                add(values[i + 1], biases[i], values[i + 1])
                if i < count - 1:
                    maximum(values[i + 1], zero, out=values[i + 1])
            loss = loss_of(values[-1])
            for x, g, weight_gradient, bias_gradient, weight, value, i in backward:
                dot(x, g, weight_gradient)
                dot(ones, g, bias_gradient)
                if i:
                    dot(g, weight, cotangents[i])
                    np.greater(value, zero, masks[i])
                    multiply(cotangents[i], masks[i], cotangents[i])
            multiply(gradients, rate, gradients)
            subtract(parameters, gradients, parameters)
            return loss

        return step

    def _wave(self, wave: Wave) -> Callable[[], Any]:
        x = wave.data()
        blocks = [[np.empty_like(x) for _ in range(5)] for _ in range(wave.blocks)]
        g, scratch, total = (np.empty_like(x) for _ in range(3))
        half, quarter, whole = (np.float32(number) for number in (0.5, 0.25, 1))
        self.found = [total]
        add, multiply = np.add, np.multiply

        def step() -> Any:
            h = x
            for bent, times, moved, raised, out in blocks:
                np.tanh(h, bent)
                multiply(bent, x, times)
                add(times, half, moved)
                np.exp(moved, raised)
                h = multiply(raised, quarter, out)
            loss = h.sum()
            g.fill(1)
            total.fill(0)
            for bent, _, _, _, out in reversed(blocks):
                multiply(g, out, g)  # e^m / 4 is its own derivative
                multiply(g, bent, scratch)
                add(total, scratch, total)
                multiply(g, x, g)
                multiply(bent, bent, scratch)
                np.subtract(whole, scratch, scratch)
                multiply(g, scratch, g)
            add(total, g, total)
            return loss

        return step

    def _chain(self, chain: Chain) -> Callable[[], Any]:
        x, w, v = chain.data()
        values = list(np.zeros((chain.blocks + 1, 4), "float32"))
        values[0][:] = x
        times, sums, scaled = (list(np.zeros((chain.blocks, 4), "float32")) for _ in range(3))
        blocks = list(zip(values, times, sums, scaled, values[1:], strict=False))
        g, left, scratch, dw, dx = np.zeros((5, 4), "float32")
        self.found = [dx, dw]
        add, multiply = np.add, np.multiply

        def step() -> Any:
            for h, a, b, c, out in blocks:
                multiply(h, w, a)
                add(h, x, b)
                multiply(b, v, c)
                add(a, c, out)
            g.fill(1)
            dw.fill(0)
            dx.fill(0)
            for h, _, _, _, _ in reversed(blocks):
                multiply(g, v, left)
                multiply(g, h, scratch)
                add(dw, scratch, dw)
                add(dx, left, dx)
                multiply(g, w, g)
                add(g, left, g)
            add(dx, g, dx)
            return values[-1].sum()

        return step


def _views(vector: np.ndarray, *groups: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Parts of the vector in the shapes of arrays that stand in it one after the other."""
    start, views = 0, []
    for group in groups:
        parts = []
        for array in group:
            parts.append(vector[start : start + array.size].reshape(array.shape))
            start += array.size
        views.append(parts)
    return views
