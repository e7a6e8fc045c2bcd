"""The ready blocks: each is what its ops compute, which are tested for themselves, and what torch's layers compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dataflow
from dataflow.files.toml.read import loads_toml
from dataflow.registry import registry

HEAD = "dataflow = 2\ninputs.x = {{ shape = {} }}\n[nodes]\n"
RNG = np.random.default_rng(5)


def drawn(model: dataflow.Model) -> dict[str, np.ndarray]:
    """Give every parameter numbers of its own, lest a bias of 0 or a scale of 1 hide something."""
    for name, value in model.parameters.items():
        model.parameters[name] = RNG.uniform(0.2, 1.0, value.shape) * RNG.choice([-1, 1], value.shape)
        if "variance" in name:
            model.parameters[name] = np.abs(model.parameters[name])
    return dict(model.parameters)


def normal(x, scale, bias):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * scale + bias


def mlp(x, p, path):
    return np.maximum(x @ p[f"{path}.W1"].T + p[f"{path}.b1"], 0) @ p[f"{path}.W2"].T + p[f"{path}.b2"]


def attend(q, k, v, heads, causal=False):
    width = q.shape[-1] // heads
    parts = []
    for i in range(heads):
        a, b, c = (array[..., i * width : (i + 1) * width] for array in (q, k, v))
        scores = a @ np.swapaxes(b, -1, -2) / np.sqrt(width)
        if causal:
            scores = np.where(np.tri(scores.shape[-2], dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        parts.append(weights / weights.sum(-1, keepdims=True) @ c)
    return np.concatenate(parts, -1)


def residual(x, p, path):
    return x + mlp(normal(x, p[f"{path}.scale"], p[f"{path}.bias"]), p, f"{path}.update")


def test_mlp_and_residual() -> None:
    model = loads_toml(
        HEAD.format('["n", 3]') + "m = 'mlp(x, inputs=3, hidden=5, outputs=4)'\nr = 'residual(m, width=4, hidden=6)'"
    )
    p, x = drawn(model), RNG.normal(size=(2, 3))
    values = model.run(x=x)
    np.testing.assert_allclose(values["m"], mlp(x, p, "m"), rtol=1e-12)
    np.testing.assert_allclose(values["r"], residual(mlp(x, p, "m"), p, "r"), rtol=1e-11)


def test_conv_bn_relu() -> None:
    model = loads_toml(HEAD.format('["n", 4, 5, 5]') + "y = 'conv_bn_relu(x, inputs=4, outputs=6, stride=2)'")
    p, x = drawn(model), RNG.normal(size=(2, 4, 5, 5))
    wide = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    expected = np.empty((2, 6, 3, 3))
    for o in range(6):
        for i in range(3):
            for j in range(3):
                window = wide[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
                expected[:, o, i, j] = (window * p["y.W"][o]).sum(axis=(1, 2, 3))
    along = (slice(None), None, None)
    expected = (expected - p["y.mean"][along]) / np.sqrt(p["y.variance"][along] + 1e-5)
    expected = np.maximum(expected * p["y.scale"][along] + p["y.bias"][along], 0)
    np.testing.assert_allclose(model.run(x=x)["y"], expected, rtol=1e-11, atol=1e-12)


def test_transformer_layers() -> None:
    nodes = "e = 'transformer_encoder(x, width=6, heads=3, hidden=5, causal=true, repeat=2)'\n"
    nodes += "d = 'transformer_decoder(e, x, width=6, heads=2, hidden=4)'"
    model = loads_toml(HEAD.format('["n", 4, 6]') + nodes)
    p, x = drawn(model), RNG.normal(size=(2, 4, 6))
    values, h = model.run(x=x), x
    for path in ("e.1", "e.2"):
        g = normal(h, p[f"{path}.scale"], p[f"{path}.bias"])
        seen = attend(*(g @ p[f"{path}.{name}"].T for name in ("Wq", "Wk", "Wv")), heads=3, causal=True)
        h = residual(h + seen @ p[f"{path}.Wo"].T + p[f"{path}.bo"], p, f"{path}.y")
        np.testing.assert_allclose(values[path], h, rtol=1e-10)
    g = normal(h, p["d.scale"], p["d.bias"])
    h = (
        h
        + attend(*(g @ p[f"d.{name}"].T for name in ("Wq", "Wk", "Wv")), heads=2, causal=True) @ p["d.Wo"].T
        + p["d.bo"]
    )
    g = normal(h, p["d.scale2"], p["d.bias2"])
    seen = attend(g @ p["d.Wq2"].T, x @ p["d.Wk2"].T, x @ p["d.Wv2"].T, heads=2)
    h = residual(h + seen @ p["d.Wo2"].T + p["d.bo2"], p, "d.y")
    np.testing.assert_allclose(values["d"], h, rtol=1e-10)


@pytest.mark.parametrize("name", sorted(registry.registry().blocks))
def test_each_says_what_it_is_and_runs_with_its_defaults(name: str, tmp_path: Path) -> None:
    shape = '["n", 16, 4, 4]' if "conv" in name else '["n", 3, 64]'
    inputs = "x, x" if "decoder" in name else "x"
    model = loads_toml(HEAD.format(shape) + f"y = '{name}({inputs})'\nloss = 'sum(y * y)'\n[model]\nloss = 'loss'\n")
    assert model.graph.blocks[name]["doc"]
    dataflow.save(model, tmp_path / "m.toml")
    assert "blocks" not in (tmp_path / "m.toml").read_text()
    assert list(dataflow.load(tmp_path / "m.toml").graph) == list(model.graph)
