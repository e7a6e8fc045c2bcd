"""What training on many workers costs: a model of time, traffic and memory, as pure functions of numbers.

A message of n bytes takes ``latency + n / bandwidth`` (Hockney, 1994). The gradient of a minibatch is summed over the
workers by one of four patterns (Thakur, Rabenseifner and Gropp, 2005); p is the number of workers:

========  ================================================================
star      everyone sends to one, which sends the sum back:
          2 (latency + (p - 1) n / bandwidth)
tree      the same along a binomial tree, up and down:
          2 (floor(log2 p) latency + ceil(log2 p) n / bandwidth)
ring      a p-th at a time to the next, once round to add, once to share:
          2 (p - 1) (latency + n / p / bandwidth)
halving   halves, quarters, ... between pairs, and back; p a power of two:
          2 log2 p latency + 2 (p - 1) / p n / bandwidth
========  ================================================================

Nothing overlaps: computing, then summing, then the update, as the clusters of dataflow work. Seconds and bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np


@dataclass(frozen=True)
class Network:
    """Links between workers, each of which sends and receives one message at a time."""

    latency: float
    """Seconds from the start of an empty message to its end."""
    bandwidth: float
    """Bytes a second."""

    def seconds(self, size: float) -> float:
        """How long a message of so many bytes takes."""
        return self.latency + size / self.bandwidth


@dataclass(frozen=True)
class Compression:
    """A gradient made smaller for its journey."""

    ratio: float = 1.0
    """Bytes that travel for each byte of the gradient: a half for float16 in the place of float32."""
    seconds_per_byte: float = 0.0
    """To compress and to unpack, for each byte of the gradient, in each sum."""


@dataclass(frozen=True)
class Work:
    """What a worker does in each step."""

    fixed: float
    """Seconds of a step with no examples, and the update."""
    per_example: float
    """Seconds."""
    gradient_bytes: int
    """Of all trained parameters."""

    def computing(self, examples: int) -> float:
        """Seconds for the gradient of so many examples and the update."""
        return self.fixed + self.per_example * examples


def star(size: float, workers: int, network: Network) -> float:
    """Seconds to sum a gradient of ``size`` bytes over one worker, through whose link all others go."""
    return 0.0 if workers == 1 else 2 * network.seconds((workers - 1) * size)


def tree(size: float, workers: int, network: Network) -> float:
    """Seconds to sum it along a binomial tree, and to send the sum back along it. Where the number of workers is no
    power of two, a path has one message less than the root has to take."""
    hops, messages = workers.bit_length() - 1, (workers - 1).bit_length()
    return 2 * (hops * network.latency + messages * size / network.bandwidth)


def ring(size: float, workers: int, network: Network) -> float:
    """Seconds to sum it around a ring, a p-th of it in each message."""
    return 2 * (workers - 1) * network.seconds(size / workers)


def halving(size: float, workers: int, network: Network) -> float:
    """Seconds to sum it by recursive halving, and to share it by doubling. Where the number of workers is no power of
    two, the others first give theirs to a neighbour, and get the sum from it at the end."""
    rounds = workers.bit_length() - 1
    power = 1 << rounds
    exchange = 2 * rounds * network.latency + 2 * (power - 1) / power * size / network.bandwidth
    return exchange + (0.0 if power == workers else 2 * network.seconds(size))


Pattern: TypeAlias = "Callable[[float, int, Network], float]"

PATTERNS: Mapping[str, Pattern] = {"star": star, "tree": tree, "ring": ring, "halving": halving}


def step_seconds(
    work: Work,
    batch: int,
    workers: int,
    network: Network,
    pattern: Pattern = ring,
    compression: Compression = Compression(),
    sync_every: int = 1,
) -> float:
    """Seconds of a step on ``batch`` examples, of which each worker computes its share; with ``sync_every``, workers
    sum once in so many steps."""
    seconds = work.computing(math.ceil(batch / workers))
    if workers > 1:
        size = work.gradient_bytes
        packing = compression.seconds_per_byte * size
        seconds += (pattern(compression.ratio * size, workers, network) + packing) / sync_every
    return seconds


def efficiency(work: Work, batch: int, workers: int, network: Network, pattern: Pattern = ring) -> float:
    """The speed over that of one worker, for each worker, on minibatches of the same size."""
    alone = work.computing(batch)
    return alone / (workers * step_seconds(work, batch, workers, network, pattern))


def most_workers(work: Work, batch: int, network: Network, pattern: Pattern = ring, least: float = 0.5) -> int:
    """The most workers that have at least this efficiency, up to one for each example."""
    fitting = [p for p in worker_counts(batch) if efficiency(work, batch, p, network, pattern) >= least]
    return max(fitting, default=1)


def fastest(work: Work, batch: int, network: Network, pattern: Pattern = ring) -> int:
    """The number of workers with the shortest step, up to one for each example; more make it longer."""
    return min(worker_counts(batch), key=lambda p: step_seconds(work, batch, p, network, pattern))


def worker_counts(most: int) -> list[int]:
    """Numbers of workers from 1 to ``most``: all to 64, then steps of about 5 %, with the powers of two."""
    steps = {round(64 * 1.05**i) for i in range(400)} | {1 << i for i in range(60)} | set(range(1, 65))
    return sorted(p for p in steps | {most} if p <= most)


def worker_bytes(
    parameters: int, states: int, activations_per_example: float, examples: int, sharded_over: int = 1
) -> float:
    """Bytes that a worker needs: parameters, gradients and ``states`` arrays of the optimizer, each of ``parameters``
    bytes, and what ``examples`` examples leave behind for the backward pass. ``sharded_over`` workers hold a part each
    of the first three (Rajbhandari and others, ZeRO, 2020)."""
    return parameters * (2 + states) / sharded_over + activations_per_example * examples


def pipeline_seconds(stages: Sequence[float], crossings: Sequence[float], pieces: int) -> float:
    """Seconds of a step through a pipeline, forward and backward. A minibatch goes through in so many ``pieces``, each
    of which takes ``stages[k]`` seconds in stage k and ``crossings[k]`` from it to the next and back. The slowest
    decides once the pipeline is full; before and after that it is idle (Huang and others, GPipe, 2019)."""
    return sum(stages) + sum(crossings) + (pieces - 1) * max(*stages, *crossings, 0.0)


def fit_line(amounts: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """Seconds for nothing and for each unit, none below 0, with the least squares of relative errors."""
    y = np.asarray(seconds, np.float64)
    columns = np.stack([np.ones_like(y), np.asarray(amounts, np.float64)], axis=1) / y[:, None]
    (fixed, each), *_ = np.linalg.lstsq(columns, np.ones_like(y), rcond=None)
    if fixed < 0:
        fixed, each = 0.0, float(np.sum(columns[:, 1]) / np.sum(columns[:, 1] ** 2))
    elif each < 0:
        fixed, each = float(np.sum(columns[:, 0]) / np.sum(columns[:, 0] ** 2)), 0.0
    return float(fixed), float(each)
