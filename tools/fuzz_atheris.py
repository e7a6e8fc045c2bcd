"""Coverage-guided fuzzing of everything that reads files, for long runs.

``python -m pip install atheris``, then ``python tools/fuzz_atheris.py .toml found tests/corpus -max_total_time=3600``

The first argument says what is read: ``.msgpack`` (the header alone, with length and checksum made right), ``.toml``,
``expression``, ``.csv``, ``.json`` or ``.npz``. The others are libFuzzer's: a folder for what it finds worth keeping, a
folder to begin from, and options such as ``-rss_limit_mb=1024`` and ``-timeout=10``. Any exception but the documented
one ends the run, and libFuzzer writes the input that caused it into a file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris  # from PyPI; it is no dependency of the project

with atheris.instrument_imports(include=["dataflow"]):
    import dataflow
    from dataflow.data.source import read_data
    from dataflow.files.toml.read import loads_toml

from fuzzing.containers import PREFIX, envelope, take_apart
from fuzzing.expressions import quoted

CONTEXT = 'dataflow = 1\ninputs.x = { shape = ["n", 3] }\nparameters.W = { shape = [3, 3], init = "zeros" }\n'
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def read(kind: str, data: bytes) -> None:
    """Read the bytes as that kind of file; the documented error is no fault."""
    try:
        if kind == "expression":
            text = quoted(data.decode("utf-8", "replace"))
            loads_toml(f"{CONTEXT}nodes.z = {text}\n", "net.toml")
            return
        path = FOLDER / f"case{kind}"
        path.write_bytes(data if kind != ".msgpack" else sound_around(data))
        if kind in (".toml", ".msgpack"):
            dataflow.load(path)
        else:
            read_data(path, GRAPH)
    except dataflow.DataflowError:
        pass


def sound_around(data: bytes) -> bytes:
    """A file with this header, or, of a whole file, with its header, whose length and checksum are right."""
    try:
        version = take_apart(data).version
        end = PREFIX + int.from_bytes(data[38:46], "big")
        return envelope(data[PREFIX:end], data[end:], version=version)
    except Exception:  # noqa: BLE001 (anything may be wrong with it; then the whole is taken for a header)
        return envelope(data, b"")


GRAPH = dataflow.Graph("data")
GRAPH.input("x", ("n", 2))
GRAPH.input("y", ("n", 1))

if __name__ == "__main__":
    chosen = sys.argv.pop(1) if len(sys.argv) > 1 else ".msgpack"
    atheris.Setup(sys.argv, lambda data: read(chosen, data))
    atheris.Fuzz()
