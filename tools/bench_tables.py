"""Compare the reading of a table of numbers with pandas: time and memory, with pyarrow and without, side by side.

``.venv/bin/python tools/bench_tables.py [ROWS]`` writes a CSV file of 20 columns, of 1,000,000 rows unless given, and
reads it in processes of their own, each way in turn, seven times; the medians count. What is measured of dataflow is
the way from the file to the arrays of two inputs, of pandas ``read_csv`` alone. Memory is what a process grows by
meanwhile, as a multiple of the arrays. The time should be at most that of pandas with pyarrow, at most three times it
without; the memory below three times the arrays. pandas reads with its C engine, which in 3.1 has threads; "one
thread" is the same without them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

COLUMNS = 20
REPEATS = 7
LIMITS = {"pandas": 1, "one thread": 1, "pyarrow": 1, "standardized": 1, "numpy": 3}
"""By way of reading, the most times that pandas takes."""

_MEASURE = """
import json, resource, sys, time
way, path, columns = sys.argv[1:]
COLUMNS = int(columns)
if way == "numpy":
    sys.modules["pyarrow"] = None
if way in ("pandas", "one thread"):
    import pandas
    if way == "one thread":
        try:
            pandas.set_option("mode.max_threads", 1)
        except KeyError:
            pass  # it never has more
    def read():
        return pandas.read_csv(path)
else:
    if way != "numpy":
        import pyarrow.compute, pyarrow.csv
    from dataflow.data.readers import csv
    if way == "numpy":
        csv.is_arrow_worth = lambda origin: False
    from dataflow import Graph
    from dataflow.data.source import DataSource
    graph = Graph("table")
    graph.input("x", ["n", COLUMNS - 1])
    graph.input("y", ["n", 1])
    columns = {"x": f"c0:c{COLUMNS - 2}", "y": f"c{COLUMNS - 1}"}
    source = DataSource(columns=columns, standardize=["x"] * (way == "standardized")).at(path)
    def read():
        return source.load(graph)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, used = time.perf_counter(), time.process_time()
table = read()
print(json.dumps({
    "seconds": time.perf_counter() - start,
    "processor": time.process_time() - used,
    "grown": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024),
}))
"""


def write_table(path: Path, rows: int) -> None:
    """Normal numbers, each as the shortest text that reads back as the same."""
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        file.write(",".join(f"c{i}" for i in range(COLUMNS)) + "\n")
        for start in range(0, rows, 10_000):
            block = rng.normal(size=(min(10_000, rows - start), COLUMNS))
            file.writelines(",".join(map(repr, row)) + "\n" for row in block.tolist())


def measure(path: Path) -> dict[str, dict[str, float]]:
    """By way, the medians of some readings, each in a process of its own."""
    readings: dict[str, list[dict[str, float]]] = {way: [] for way in LIMITS}
    for _ in range(REPEATS):
        for way, those in readings.items():
            command = [sys.executable, "-c", _MEASURE, way, str(path), str(COLUMNS)]
            those.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return {
        way: {key: median(reading[key] for reading in those) for key in those[0]} for way, those in readings.items()
    }


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000, help="of the table, 1,000,000 unless given")
    rows = parser.parse_args().rows
    arrays = rows * COLUMNS * 8
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_table(path, rows)
        results = measure(path)
    print(f"{rows:,} rows of {COLUMNS} columns")
    for way, result in results.items():
        ratio = result["seconds"] / results["pandas"]["seconds"]
        processor = result["processor"] / results["pandas"]["processor"]
        print(
            f"{way:12} {result['seconds']:7.2f} s, {ratio:5.2f} of pandas (at most {LIMITS[way]}), "
            f"{processor:5.2f} of its processor time; memory {result['grown'] / arrays:5.2f} of the arrays (below 3)"
        )


if __name__ == "__main__":
    main()
