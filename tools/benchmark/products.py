"""The matrix products of a net's step and nothing else: what no way of training it can be faster than.

Each product is made by whichever of numpy's library and, where it is installed, PyTorch's makes it faster here."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmark.workloads import Net

TRIALS, SLICE = 9, 2e-3
"""How often each library makes a product, in turn, and for how many seconds."""


class Products:
    """The products of a net."""

    def __init__(self, net: Net, threads: int) -> None:
        libraries = [_numpys]
        if importlib.util.find_spec("torch") is not None:
            import torch

            torch.set_num_threads(threads)
            libraries.append(partial(_torchs, torch))
        data = net.data()
        self.calls = [_fastest([make(*factors) for make in libraries]) for factors in _factors(data, net)]

    def run(self, steps: int) -> None:
        """So many steps."""
        for _ in range(steps):
            for call in self.calls:
                call()

    def result(self) -> None:
        """Nothing that could be compared."""


def _factors(data: Any, net: Net) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Left and right of each product: forward, then the gradients of weights and of what a layer reads."""
    rng = np.random.default_rng(0)
    values = [data.x, *(rng.standard_normal((net.batch, size)).astype(net.dtype) for size in net.sizes[1:])]
    for x, weight, g in zip(values, data.weights, values[1:], strict=False):
        yield x, weight
        yield x.T, g
        if x is not data.x:
            yield g, weight.T


def _numpys(left: np.ndarray, right: np.ndarray) -> Callable[[], Any]:
    return partial(np.dot, left, right, np.empty((left.shape[0], right.shape[1]), left.dtype))


def _torchs(torch: Any, left: np.ndarray, right: np.ndarray) -> Callable[[], Any]:
    result = torch.from_numpy(np.empty((left.shape[0], right.shape[1]), left.dtype))
    return partial(torch.mm, torch.from_numpy(left), torch.from_numpy(right), out=result)


def _fastest(calls: list[Callable[[], Any]]) -> Callable[[], Any]:
    if len(calls) == 1:
        return calls[0]
    seconds: list[list[float]] = [[] for _ in calls]
    repeats = max(1, int(SLICE / max(_seconds(calls[0], 1), 1e-7)))
    for _ in range(TRIALS):
        for call, times in zip(calls, seconds, strict=True):
            times.append(_seconds(call, repeats))
    return calls[int(np.argmin(np.median(seconds, axis=1)))]


def _seconds(call: Callable[[], Any], repeats: int) -> float:
    begun = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - begun
