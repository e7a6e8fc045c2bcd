"""The models of layers in PyTorch and JAX, as their documentation would have them.

``torch_FILE`` gives the parameters that are trained, and the loss of x and y; ``jax_FILE`` gives the loss of the
parameters, x and y.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmark.workloads import ENCODER_HEADS, ENCODER_LAYERS

GATES = (0, 2, 3, 1)
"""PyTorch's gates of an LSTM, i, f, g and o, among ours: i, o, f and g."""


def torch_convolutional(torch: Any, p: dict[str, Any]) -> Any:
    """Two convolutions, each with relu and pooling, and a dense layer."""
    functional = torch.nn.functional

    def loss_of(x: Any, labels: Any) -> Any:
        h = functional.max_pool2d(torch.relu(functional.conv2d(x, p["W1"], p["b1"], padding=1)), 2)
        h = functional.max_pool2d(torch.relu(functional.conv2d(h, p["W2"], p["b2"], padding=1)), 2)
        return functional.cross_entropy(functional.linear(h.flatten(1), p["W3"], p["b3"]), labels)

    return p, loss_of


def torch_transformer(torch: Any, p: dict[str, Any]) -> Any:
    """Layers that normalize first, with the attention that PyTorch has in one piece."""
    functional = torch.nn.functional

    def split(h: Any) -> Any:
        return h.unflatten(-1, (ENCODER_HEADS, -1)).transpose(1, 2)

    def loss_of(x: Any, y: Any) -> Any:
        for i in range(ENCODER_LAYERS):
            own = {name.split(".", 2)[2]: array for name, array in p.items() if name.startswith(f"h.{i + 1}.")}
            h = functional.layer_norm(x, x.shape[-1:], own["scale"], own["bias"])
            q, k, v = (split(functional.linear(h, own[name])) for name in ("Wq", "Wk", "Wv"))
            seen = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2)
            x = x + functional.linear(seen, own["Wo"], own["bo"])
            h = functional.layer_norm(x, x.shape[-1:], own["y.scale"], own["y.bias"])
            h = torch.relu(functional.linear(h, own["y.update.W1"], own["y.update.b1"]))
            x = x + functional.linear(h, own["y.update.W2"], own["y.update.b2"])
        return ((x - y) ** 2).sum() * (0.5 / len(x))

    return p, loss_of


def torch_recurrent(torch: Any, p: dict[str, Any]) -> Any:
    """PyTorch's own LSTM."""
    layer = torch.nn.LSTM(64, 64, batch_first=True)
    both = p["b"][0].unflatten(0, (2, 4, -1))
    with torch.no_grad():
        layer.weight_ih_l0.copy_(p["W"][0].unflatten(0, (4, -1))[list(GATES)].flatten(0, 1))
        layer.weight_hh_l0.copy_(p["R"][0].unflatten(0, (4, -1))[list(GATES)].flatten(0, 1))
        layer.bias_ih_l0.copy_(both[0, list(GATES)].flatten())
        layer.bias_hh_l0.copy_(both[1, list(GATES)].flatten())

    def loss_of(x: Any, y: Any) -> Any:
        return ((layer(x)[1][0][0] - y) ** 2).sum() * (0.5 / len(x))

    return dict(layer.named_parameters()), loss_of


def gates_in_order(parameters: dict[str, Any]) -> np.ndarray:
    """The parameters of PyTorch's LSTM in one vector, in our order."""
    back = np.argsort(GATES)
    arrays = [parameter.detach().numpy() for parameter in parameters.values()]
    return np.concatenate([array.reshape(4, -1)[back].ravel() for array in arrays]).astype("float64")


def jax_convolutional(jax: Any, names: list[str]) -> Any:
    """The same in JAX."""
    lax = jax.lax

    def block(x: Any, W: Any, b: Any) -> Any:
        h = lax.conv_general_dilated(x, W, (1, 1), "SAME") + b[:, None, None]
        return lax.reduce_window(jax.nn.relu(h), -np.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        p = dict(zip(names, parameters, strict=True))
        h = block(block(x, p["W1"], p["b1"]), p["W2"], p["b2"])
        logits = h.reshape(len(x), -1) @ p["W3"].T + p["b3"]
        return -(jax.nn.log_softmax(logits) * y).sum() / len(x)

    return loss_of


def jax_transformer(jax: Any, names: list[str]) -> Any:
    """The same in JAX."""
    numpy = jax.numpy

    def normal(x: Any, scale: Any, bias: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred / numpy.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * scale + bias

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        p = dict(zip(names, parameters, strict=True))
        for i in range(ENCODER_LAYERS):
            own = {name.split(".", 2)[2]: array for name, array in p.items() if name.startswith(f"h.{i + 1}.")}
            h = normal(x, own["scale"], own["bias"])
            q, k, v = (
                (h @ own[name].T).reshape(*h.shape[:2], ENCODER_HEADS, -1).swapaxes(1, 2) for name in ("Wq", "Wk", "Wv")
            )
            seen = jax.nn.softmax(q @ k.swapaxes(2, 3) / q.shape[-1] ** 0.5) @ v
            x = x + seen.swapaxes(1, 2).reshape(x.shape) @ own["Wo"].T + own["bo"]
            h = normal(x, own["y.scale"], own["y.bias"])
            h = jax.nn.relu(h @ own["y.update.W1"].T + own["y.update.b1"])
            x = x + h @ own["y.update.W2"].T + own["y.update.b2"]
        return ((x - y) ** 2).sum() * (0.5 / len(x))

    return loss_of


def jax_recurrent(jax: Any, names: list[str]) -> Any:
    """The same in JAX, with ``lax.scan`` over the steps."""
    numpy = jax.numpy

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        W, R, b = (array[0] for array in parameters)
        given = x.swapaxes(0, 1) @ W.T + b[:256] + b[256:]

        def step(state: Any, row: Any) -> Any:
            h, c = state
            i, o, f, g = numpy.split(row + h @ R.T, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * numpy.tanh(g)
            return (jax.nn.sigmoid(o) * numpy.tanh(c), c), None

        zero = numpy.zeros_like(y)
        (h, _), _ = jax.lax.scan(step, (zero, zero), given)
        return ((h - y) ** 2).sum() * (0.5 / len(x))

    return loss_of
