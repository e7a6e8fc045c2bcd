"""Values and gradients of ops against PyTorch's, where torch is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dataflow import Graph, Model, ops

torch = pytest.importorskip("torch")
F = torch.nn.functional

RNG = np.random.default_rng(0)
X, Y = 2 * RNG.normal(size=(5, 4)), RNG.normal(size=(5, 4))
SHARES, LOGS = RNG.dirichlet(np.ones(4), size=5), np.log(RNG.dirichlet(np.ones(4), size=5))
CLASSES, IGNORED = np.array([0, 3, 1, 1, 2]), np.array([0, 3, -1, 1, -1])
WEIGHTS = RNG.uniform(0.5, 2, size=4)
CUBE, INDICES = RNG.normal(size=(3, 4, 2)), RNG.integers(3, size=(2, 4, 2))
QUERIES, KEYS = RNG.normal(size=(2, 4, 5, 3)), RNG.normal(size=(2, 4, 6, 3))
SEEN = np.tril(np.ones((5, 6), bool), 1)
SIGNS = RNG.choice([-1.0, 1.0], size=(5, 4))

CASES: dict[str, tuple[Any, Any, list[np.ndarray]]] = {
    **{
        name: (getattr(ops, name), getattr(torch, name), [np.clip(X / 7, -0.9, 0.9)])
        for name in ("expm1", "log1p", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "atanh", "erf", "erfc")
    },
    "acosh": (ops.acosh, torch.acosh, [1.5 + X**2]),
    "reciprocal": (ops.reciprocal, torch.reciprocal, [X]),
    "mod": (ops.mod, torch.remainder, [5 * X, np.abs(Y) + 0.5]),
    "fmod": (ops.fmod, torch.fmod, [5 * X, Y + 3 * np.sign(Y)]),
    "clip": (lambda x: ops.clip(x, -1, 0.5), lambda x: torch.clamp(x, -1, 0.5), [X]),
    "silu": (ops.silu, F.silu, [X]),
    "gelu": (ops.gelu, F.gelu, [X]),
    "gelu, tanh": (lambda x: ops.gelu(x, approximate="tanh"), lambda x: F.gelu(x, approximate="tanh"), [X]),
    "softplus": (ops.softplus, F.softplus, [X]),
    "softsign": (ops.softsign, F.softsign, [X]),
    "mish": (ops.mish, F.mish, [X]),
    "elu": (lambda x: ops.elu(x, alpha=0.7), lambda x: F.elu(x, 0.7), [X]),
    "celu": (lambda x: ops.celu(x, alpha=0.5), lambda x: F.celu(x, 0.5), [X]),
    "selu": (ops.selu, F.selu, [X]),
    "leaky_relu": (lambda x: ops.leaky_relu(x, slope=0.2), lambda x: F.leaky_relu(x, 0.2), [X]),
    "prelu": (ops.prelu, F.prelu, [X, WEIGHTS]),
    "thresholded_relu": (lambda x: ops.thresholded_relu(x, alpha=0.5), lambda x: F.threshold(x, 0.5, 0.0), [X]),
    # torch's own hardsigmoid takes 1/6 for its derivative in single precision, and celu 1/alpha
    "hard_sigmoid": (ops.hard_sigmoid, lambda x: torch.clamp(x / 6 + 0.5, 0, 1), [3 * X]),
    "hard_swish": (ops.hard_swish, F.hardswish, [3 * X]),
    "shrink, hard": (ops.shrink, F.hardshrink, [X]),
    "shrink, soft": (lambda x: ops.shrink(x, bias=0.5), F.softshrink, [X]),
    "prod": (lambda x: ops.prod(x, axis=1), lambda x: torch.prod(x, 1), [np.where(X > 2, 0, X)]),
    "logsumexp": (lambda x: ops.logsumexp(x, axis=0), lambda x: torch.logsumexp(x, 0), [X]),
    "norm": (lambda x: ops.norm(x, axis=1), lambda x: torch.linalg.vector_norm(x, dim=1), [X]),
    "var": (lambda x: ops.var(x, axis=1, correction=1), lambda x: torch.var(x, 1), [X]),
    "std": (lambda x: ops.std(x, axis=0, correction=1), lambda x: torch.std(x, 0), [X]),
    "cumsum": (lambda x: ops.cumsum(x, axis=0), lambda x: torch.cumsum(x, 0), [X]),
    "cumprod": (lambda x: ops.cumprod(x, axis=1), lambda x: torch.cumprod(x, 1), [np.where(X > 2, 0, X)]),
    "sort": (lambda x: ops.sort(x, axis=0), lambda x: torch.sort(x, 0)[0], [X]),
    "gather_elements": (
        lambda x: ops.gather_elements(x, INDICES, axis=0),
        lambda x: torch.gather(x, 0, torch.tensor(INDICES)),
        [CUBE],
    ),
    "scatter_elements, add": (
        lambda x, u: ops.scatter_elements(x, INDICES, u, axis=0, combine="add"),
        lambda x, u: torch.scatter_add(x, 0, torch.tensor(INDICES), u),
        [CUBE, RNG.normal(size=INDICES.shape)],
    ),
    **{
        f"scatter_elements, {combine}": (
            lambda x, u, combine=combine: ops.scatter_elements(x, INDICES, u, axis=0, combine=combine),
            lambda x, u, how=how: torch.scatter_reduce(x, 0, torch.tensor(INDICES), u, how),
            [CUBE, RNG.normal(size=INDICES.shape)],
        )
        for combine, how in {"multiply": "prod", "minimum": "amin", "maximum": "amax"}.items()
    },
    "einsum": (
        lambda a, b: ops.einsum(a, b, equation="bij,bkj->bik"),
        lambda a, b: torch.einsum("bij,bkj->bik", a, b),
        [CUBE, RNG.normal(size=(3, 5, 2))],
    ),
    "embedding": (lambda w: ops.embedding(w, CLASSES), lambda w: F.embedding(torch.tensor(CLASSES), w), [X]),
    "depth_to_space": (
        lambda x: ops.depth_to_space(x, size=2, mode="CRD"),
        lambda x: F.pixel_shuffle(x, 2),
        [RNG.normal(size=(2, 8, 2, 3))],
    ),
    "cross_entropy": (
        lambda z: ops.cross_entropy(z, CLASSES, reduction="mean"),
        lambda z: F.cross_entropy(z, torch.tensor(CLASSES)),
        [X],
    ),
    "cross_entropy, with all": (
        lambda z: ops.cross_entropy(z, IGNORED, WEIGHTS, ignore_index=-1, smoothing=0.1),
        lambda z: F.cross_entropy(
            z, torch.tensor(IGNORED), torch.tensor(WEIGHTS), ignore_index=-1, label_smoothing=0.1, reduction="sum"
        ),
        [X],
    ),
    "nll": (
        lambda z: ops.nll(z, IGNORED, WEIGHTS, ignore_index=-1),
        lambda z: F.nll_loss(z, torch.tensor(IGNORED), torch.tensor(WEIGHTS), ignore_index=-1, reduction="sum"),
        [LOGS],
    ),
    "huber": (
        lambda a, b: ops.huber(a, b, delta=0.7),
        lambda a, b: F.huber_loss(a, b, delta=0.7, reduction="sum"),
        [X, Y],
    ),
    "smooth_l1": (
        lambda a, b: ops.smooth_l1(a, b, beta=0.7),
        lambda a, b: F.smooth_l1_loss(a, b, beta=0.7, reduction="sum"),
        [X, Y],
    ),
    "kl_divergence": (ops.kl_divergence, lambda a, b: F.kl_div(a, b, reduction="sum"), [LOGS, SHARES]),
    "kl_divergence, of logarithms": (
        lambda a, b: ops.kl_divergence(a, b, log_target=True, reduction="mean"),
        lambda a, b: F.kl_div(a, b, log_target=True, reduction="batchmean"),
        [LOGS, np.log(SHARES)],
    ),
    "attention, causal": (
        lambda q, k, v: ops.attention(q, k, v, causal=True),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        [QUERIES, KEYS, KEYS[..., :2]],
    ),
    "attention, by groups": (
        lambda q, k, v, m: ops.attention(q, k, v, m, scale=0.3),
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, scale=0.3, enable_gqa=True),
        [QUERIES, KEYS[:, :2], KEYS[:, :2], RNG.normal(size=(4, 5, 6))],
    ),
    "attention, masked": (
        lambda q, k, v: ops.attention(q, k, v, SEEN),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, torch.tensor(SEEN)),
        [QUERIES, KEYS, KEYS],
    ),
    "attention, with heads": (
        lambda x, a, b, c, d: ops.linear(
            ops.attention(*(ops.linear(x, w) for w in (a, b, c)), heads=3, causal=True), d
        ),
        lambda x, a, b, c, d: F.multi_head_attention_forward(
            *(x.transpose(0, 1),) * 3,
            *(6, 3, None, None, None, None, False, 0.0, d, None),
            attn_mask=torch.ones(5, 5).triu(1).bool(),
            use_separate_proj_weight=True,
            q_proj_weight=a,
            k_proj_weight=b,
            v_proj_weight=c,
        )[0].transpose(0, 1),
        [RNG.normal(size=(2, 5, 6)), *RNG.normal(size=(4, 6, 6))],
    ),
    "hinge": (
        lambda a: ops.hinge(a, SIGNS),
        lambda a: torch.relu(1 - torch.tensor(SIGNS) * a).sum(),
        [X],
    ),
}


@pytest.mark.parametrize("backend", ["numpy", pytest.param("llvm", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, backend: str) -> None:
    ours, theirs, arrays = CASES[name]
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    value = theirs(*leaves)
    weights = RNG.uniform(0.5, 2, size=tuple(value.shape))
    (value * torch.tensor(weights)).sum().backward()
    graph = Graph("net")
    inputs = [graph.input(f"x{i}", array.shape) for i, array in enumerate(arrays)]
    y = graph.node("y", ours(*inputs))
    graph.node("f", ops.sum(y * graph.constant("weights", weights)))
    given = {f"x{i}": array for i, array in enumerate(arrays)}
    run = Model(graph, ["y"], "f").compile(values=["y"], gradients=list(given), backend=backend)
    values, gradients = run(**given)
    np.testing.assert_allclose(values["y"], value.detach().numpy(), rtol=1e-10, atol=1e-12)
    for i, leaf in enumerate(leaves):
        np.testing.assert_allclose(gradients[f"x{i}"], leaf.grad.numpy(), rtol=1e-10, atol=1e-12)
