"""Write ``tests/corpus``: small sound files of every format, from which the fuzzer makes its hostile ones.

``python3 tools/make_corpus.py`` writes the msgpack and ONNX files and the packed data anew; the texts are written by
hand.
"""

from __future__ import annotations

import gzip
import sys
import warnings
from pathlib import Path

import numpy as np

import dataflow
from dataflow.autodiff.reverse import gradient_graph

CORPUS = Path(__file__).parent.parent / "tests" / "corpus"


def main() -> int:
    """Write everything that is not text."""
    for path in sorted(CORPUS.glob("*.toml")):
        if path.stem.startswith("version") and path.with_suffix(".msgpack").exists():
            continue  # what a version wrote stays as it wrote it
        dataflow.save(dataflow.load(path), path.with_suffix(".msgpack"))
    for name in ("net", "tiny"):
        dataflow.save(dataflow.load(CORPUS / f"{name}.toml"), CORPUS / f"{name}.onnx")
    trained()
    gradients()
    data()
    return 0


def trained() -> None:
    """A model after training, with the optimizer's state."""
    model = dataflow.load(CORPUS / "net.toml")
    dataflow.train(model, epochs=2, batch_size=2, shuffle=True, optimizer={"name": "adam", "learning_rate": 0.01})
    dataflow.save(model, CORPUS / "trained.msgpack")


def gradients() -> None:
    """A gradient graph, whose nodes have names and cotangents that no text declares."""
    model = dataflow.load(CORPUS / "tiny.toml")
    extended = gradient_graph(model.graph, str(model.loss), ["W"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dataflow.DataflowWarning)
        dataflow.save(dataflow.Model(extended.graph, [extended.cotangents["W"]]), CORPUS / "gradient.msgpack")


def data() -> None:
    """Archives of arrays for the inputs x, y and label."""
    arrays = {"x": np.arange(8.0).reshape(4, 2), "y": np.ones((4, 1)), "label": np.array([0, 1, 2, 1])}
    np.savez(CORPUS / "stored.npz", **arrays)
    np.savez_compressed(CORPUS / "deflated.npz", **{name: array.astype("f4") for name, array in arrays.items()})
    packed = gzip.compress((CORPUS / "table.csv").read_bytes(), mtime=0)
    (CORPUS / "packed.csv.gz").write_bytes(packed)


if __name__ == "__main__":
    sys.exit(main())
