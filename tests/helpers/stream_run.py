"""``python stream_run.py DATA FOLDER OUT`` trains on a stream with checkpoints, goes on from one where there is one,
and writes the parameters: a run that a test kills and starts anew."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

import dataflow
from dataflow import DataflowWarning
from dataflow.data.source import DataSource
from dataflow.ops import dropout, mse, relu


def net(**data) -> dataflow.Model:
    """Three inputs, five hidden units with dropout, one output."""
    graph = dataflow.Graph("net")
    x, y = graph.input("x", ("n", 3)), graph.input("y", ("n", 1))
    W1, W2 = graph.parameter("W1", (5, 3), init="he_normal"), graph.parameter("W2", (1, 5), init="he_normal")
    yhat = graph.node("yhat", dropout(relu(x @ W1.T), rate=0.1) @ W2.T)
    graph.node("loss", mse(yhat, y, reduction="mean"))
    source = DataSource(columns={"x": ["a", "b", "c"], "y": "t"}, **data)
    return dataflow.Model(graph, ["yhat"], "loss", data=source)


OPTIONS = {
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "epochs": 4,
    "batch_size": 16,
    "shuffle": True,
    "validation": 0.1,
    "shuffle_window": 120,
    "chunk_rows": 50,
    "stream": True,
}


def write_rows(folder: Path, count: int = 1003) -> Path:
    """CSV files of so many rows, sorted by their target, which goes from 0 to 1."""
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(size=(count, 3)), np.arange(count) / count])
    folder.mkdir()
    for number, part in enumerate(np.array_split(table, 3)):
        np.savetxt(folder / f"{number}.csv", part, "%.17g", ",", header="a,b,c,t", comments="")
    return folder


if __name__ == "__main__":
    warnings.simplefilter("ignore", DataflowWarning)
    data, folder, out = map(Path, sys.argv[1:])
    model = net(standardize=["x"])
    dataflow.train(model, data, checkpoint=folder, checkpoint_every=3, resume=True, **OPTIONS)
    out.write_bytes(b"".join(array.tobytes() for array in model.parameters.values()))
