"""Recurrent layers, with the conventions of ONNX: composites, unrolled over their steps."""

from __future__ import annotations

from typing import Literal

from dataflow import ShapeError, format_shape, op, sample
from dataflow.operations.engine_ops import index, stack, transpose
from dataflow_nn.activations import sigmoid
from dataflow_ops.arithmetic import tanh

Direction = Literal["forward", "reverse", "bidirectional"]


@op(outputs=("y", "h"))
def rnn(x, W, R, b=None, h0=None, *, direction: Direction = "forward"):
    """h' = tanh(W x + R h + b) for each step (Elman, 1990). x is (steps, examples, inputs); the outputs are y, (steps,
    directions, examples, width), the states after each step, and h, (directions, examples, width), the last.

    W is (directions, width, inputs), R (directions, width, width), b (directions, 2 · width), for W and for R, or left
    out; h0 is the first state, 0 where it is left out. The "reverse" direction begins with the last step. The number of
    steps is one that is known when the graph is built.
    """

    def step(given, h, R, own):
        return (tanh(_sum(given, _product(h, R))),)

    y, states = _run("rnn", step, 1, x, W, R, b, [h0], direction)
    return y, states[0]


@op(outputs=("y", "h"))
def gru(x, W, R, b=None, h0=None, *, direction: Direction = "forward", linear_before_reset: bool = False):
    """A gated recurrent unit (Cho et al., 2014): h' = (1 − z) · n + z · h, where z and r are sigmoids of W x + R h + b,
    and n is tanh(W x + R (r · h) + b), or, with ``linear_before_reset``, tanh(W x + r · (R h + b)), as PyTorch has it.

    Shapes, states and directions are those of ``rnn``, but W is (directions, 3 · width, inputs), R (directions, 3 ·
    width, width) and b (directions, 6 · width): for z, r and n, in this order, as in ONNX.
    """

    def step(given, h, R, own):
        width = R.shape[-1]
        gates = _sum(given[..., : 2 * width], _product(h, R[: 2 * width], _part(own, 0, 2 * width)))
        z, r = sigmoid(gates[..., :width]), sigmoid(gates[..., width:])
        own_n, R_n = _part(own, 2 * width, 3 * width), R[2 * width :]
        if linear_before_reset:
            inner = _times(r, _product(h, R_n, own_n))
        else:
            inner = _product(_times(r, h), R_n, own_n)
        n = tanh(_sum(given[..., 2 * width :], inner))
        return (_sum((1 - z) * n, _times(z, h)),)

    y, states = _run("gru", step, 3, x, W, R, b, [h0], direction, apart=True)
    return y, states[0]


@op(outputs=("y", "h", "c"))
def lstm(x, W, R, b=None, h0=None, c0=None, P=None, *, direction: Direction = "forward"):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997): c' = f · c + i · g and h' = o · tanh(c'), where i, o
    and f are sigmoids of W x + R h + b, and g is its tanh.

    Shapes, states and directions are those of ``rnn``, but W is (directions, 4 · width, inputs), R (directions, 4 ·
    width, width) and b (directions, 8 · width): for i, o, f and g, in this order, as in ONNX. c is the last cell.

    P, (directions, 3 · width) for i, o and f, are peepholes (Gers and Schmidhuber, 2000), through which the gates see
    the cell: P · c is added to i and f, P · c' to o. Where P is left out, they do not.
    """

    def step(given, h, c, R, own, peep=None):
        width = R.shape[-1]
        gates = _sum(given, _product(h, R))
        i, o, f, g = (gates[..., k * width : (k + 1) * width] for k in range(4))  # all that follows has one shape
        if peep is not None:
            i = _sum(i, _times(_part(peep, 0, width), c))
            f = _sum(f, _times(_part(peep, 2 * width, 3 * width), c))
        cell = _sum(sigmoid(i) * tanh(g), _times(sigmoid(f), c))
        if peep is not None:
            o = o + _part(peep, width, 2 * width) * cell
        return sigmoid(o) * tanh(cell), cell

    if P is not None and (R.ndim != 3 or P.shape != (R.shape[0], 3 * R.shape[-1])):
        raise ShapeError(f"lstm takes peepholes P of (directions, 3 · width), not {format_shape(P.shape)}")
    y, states = _run("lstm", step, 4, x, W, R, b, [h0, c0], direction, extra=P)
    return y, *states


def _run(name, step, gates, x, W, R, b, first, direction, apart=False, extra=None):
    """The states after each step, (steps, directions, examples, width), and the last ones. ``step`` makes the next
    states of what W and b give it, the states, ``None`` for those that are 0, R, and R's own bias, which is added
    beforehand unless ``apart``; and of the direction's part of ``extra``, if there is any."""
    count = 2 if direction == "bidirectional" else 1
    width = R.shape[-1] if R.ndim == 3 else 0
    steps, inputs = (x.shape[0], x.shape[2]) if x.ndim == 3 else (0, 0)
    fits = W.shape == (count, gates * width, inputs) and R.shape == (count, gates * width, width)
    fits = fits and (b is None or b.shape == (count, 2 * gates * width))
    if not fits or not isinstance(steps, int) or steps < 1 or any(h is not None and h.ndim != 3 for h in first):
        raise ShapeError(
            f"{name} takes x of (steps, examples, inputs) with a number of steps, "
            f"W of ({count}, {gates} · width, inputs), "
            f"R of ({count}, {gates} · width, width) and b of ({count}, {2 * gates} · width), not "
            + ", ".join(format_shape(array.shape) for array in (x, W, R, b) if array is not None)
        )
    results, lasts = [], []
    for d in range(count):
        own = None if b is None else index(b, key=f"{d}, {gates * width}:")
        recurrent = index(R, key=f"{d}")
        given = x @ transpose(index(W, key=f"{d}"))
        if b is not None:
            both = index(b, key=f"{d}, :{gates * width}")
            given = given + (both if apart else both + own)
        more = [] if extra is None else [index(extra, key=f"{d}")]
        states = [None if h is None else index(h, key=f"{d}") for h in first]
        backward = direction == "reverse" or d == 1
        each = []
        for t in reversed(range(steps)) if backward else range(steps):
            states = step(index(given, key=f"{t}"), *states, recurrent, own, *more)
            each.append(states[0])
        results.append(each[::-1] if backward else each)
        lasts.append(states)
    y = stack(*(stack(*(each[t] for each in results)) for t in range(steps)))
    return y, [stack(*(states[i] for states in lasts)) for i in range(len(first))]


def _product(h, R, own=None):
    """R h + b."""
    return own if h is None else _sum(h @ transpose(R), own)


def _sum(a, b):
    return a if b is None else a + b


def _times(a, b):
    return None if b is None else a * b


def _part(array, start, stop):
    return None if array is None else index(array, key=f"{start}:{stop}")


def _arrays(rng, gates, directions=1, steps=1, inputs=1, width=1, examples=1):
    yield rng.normal(size=(steps, examples, inputs))
    yield rng.normal(size=(directions, gates * width, inputs))
    yield rng.normal(size=(directions, gates * width, width))
    yield rng.normal(size=(directions, 2 * gates * width))
    yield rng.normal(size=(directions, examples, width))
    yield rng.normal(size=(directions, examples, width))


@rnn.samples
def _(rng):
    yield sample(*[*_arrays(rng, 1, directions=2)][:5], direction="bidirectional")
    yield sample(*[*_arrays(rng, 1, steps=2)][:3], direction="reverse")


@gru.samples
def _(rng):
    yield sample(*[*_arrays(rng, 3)][:5])
    yield sample(*[*_arrays(rng, 3)][:3], linear_before_reset=True)


@lstm.samples
def _(rng):
    yield sample(*_arrays(rng, 4))
    yield sample(*[*_arrays(rng, 4)][:3], direction="reverse")
    yield sample(*_arrays(rng, 4), rng.normal(size=(1, 3)))
