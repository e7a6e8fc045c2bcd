"""Measure training on a Parquet data set that need not fit into memory, beside a part of it that does.

``.venv/bin/python tools/bench_streams.py --size 3`` makes a data set of 3 GB in files of a million rows, trains one
epoch on all of it as a stream and several on its first file in memory, each in a process of its own, prints rows in a
second and the most memory that each took, and deletes it.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = 32
ROWS_OF_FILE = 2**20
ROWS_OF_ROUND = 12 * ROWS_OF_FILE
ROWS_OF_GROUP = 2**16
ROW_BYTES = 4 * (COLUMNS + 1)

MODEL = """
dataflow = 2
name = "bench"
dtype = "float32"
[inputs]
x = { shape = ["n", 32] }
y = { shape = ["n", 1] }
[parameters]
W1 = { shape = [128, 32], init = "he_normal" }
b1 = { shape = [128], init = "zeros" }
W2 = { shape = [128, 128], init = "he_normal" }
b2 = { shape = [128], init = "zeros" }
W3 = { shape = [1, 128], init = "he_normal" }
b3 = { shape = [1], init = "zeros" }
[nodes]
yhat = "linear(relu(linear(relu(linear(x, W1, b1)), W2, b2)), W3, b3)"
loss = 'mse(yhat, y, reduction="mean")'
[model]
outputs = ["yhat"]
loss = "loss"
[data]
file = "FILE"
columns = { x = "x0:x31", y = "y" }
standardize = ["x"]
[train]
optimizer = { name = "adam", learning_rate = 0.001 }
batch_size = 1024
shuffle = true
"""


def make_set(folder: Path, size: int) -> int:
    """Write files of random rows of about ``size`` bytes together, one file at a time; returns the rows."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    folder.mkdir(parents=True, exist_ok=True)
    weights = np.random.default_rng(0).normal(size=COLUMNS).astype(np.float32)
    total = max(1, size // ROW_BYTES)
    for number, start in enumerate(range(0, total, ROWS_OF_FILE)):
        rng, rows = np.random.default_rng([1, number]), min(ROWS_OF_FILE, total - start)
        x = rng.standard_normal((COLUMNS, rows), np.float32)
        columns = {f"x{i}": column for i, column in enumerate(x)}
        table = pa.table({**columns, "y": np.tanh(weights @ x)})
        parquet.write_table(
            table, folder / f"part-{number:05d}.parquet", row_group_size=ROWS_OF_GROUP, use_dictionary=False
        )
    return total


def train_once(folder: Path, backend: str, rows: int | None, *, stream: bool) -> dict[str, Any]:
    """Train in this process on so many rows, all of them once unless given: seconds, rows and bytes."""
    import dataflow

    file = folder.name if stream else f"{folder.name}/part-00000.parquet"
    path = folder.parent / f"bench-{'stream' if stream else 'memory'}.toml"
    path.write_text(MODEL.replace("FILE", file))
    model = dataflow.load(path)
    begin = time.perf_counter()
    trainer = dataflow.Trainer(model, stream=stream, backend=backend)
    trainer.step()  # compiled, and the first window read, which takes as long whatever the size
    prepared = time.perf_counter()
    steps = trainer.batches.per_epoch - 1 if rows is None else rows // 1024
    spent = time.process_time()
    loss = trainer.run(steps)
    trained = time.perf_counter()
    return {
        "rows": steps * 1024,
        "learning": prepared - begin,
        "training": trained - prepared,
        "processor": time.process_time() - spent,
        "loss": loss,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


def main() -> None:
    """Make the data set, measure, delete it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=3.0, help="gigabytes of the data set")
    parser.add_argument("--folder", type=Path, help="where it is made; a temporary folder unless given")
    parser.add_argument("--backend", default="llvm")
    parser.add_argument("--keep", action="store_true", help="do not delete it")
    parser.add_argument("--child", choices=("stream", "memory"), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help="how often either is measured on as many rows")
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(train_once(asked.folder, asked.backend, asked.rows, stream=asked.child == "stream")))
        return
    home = Path(tempfile.mkdtemp(prefix="streams-")) if asked.folder is None else asked.folder
    folder = home / "rows"

    def measured(what: str, rows: int | None) -> dict[str, Any]:
        words = ["--folder", str(folder), "--backend", asked.backend, "--child", what]
        words += [] if rows is None else ["--rows", str(rows)]
        done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        each = 1e6 / found["rows"]
        print(
            f"{what}: {found['rows']:,} rows in {found['training']:.1f} s ({each * found['training']:.2f} µs each, "
            f"{each * found['processor']:.2f} of a processor), prepared in {found['learning']:.1f} s; "
            f"at most {found['memory'] / 1e6:.0f} MB",
            flush=True,
        )
        return found

    try:
        if not folder.exists():
            begin = time.perf_counter()
            rows = make_set(folder, int(asked.size * 1e9))
            print(f"made {rows:,} rows in {time.perf_counter() - begin:.0f} s", flush=True)
        measured("stream", None)
        ratios = []
        for _ in range(asked.rounds):  # one after the other, so that both see the same machine
            there, here = measured("memory", ROWS_OF_ROUND), measured("stream", ROWS_OF_ROUND)
            ratios.append(there["training"] / here["training"])
        ratios.sort()
        print(
            f"the stream has {ratios[len(ratios) // 2]:.0%} of the speed in memory "
            f"({ratios[0]:.0%} to {ratios[-1]:.0%})"
        )
    finally:
        if not asked.keep:
            shutil.rmtree(home)


if __name__ == "__main__":
    main()
