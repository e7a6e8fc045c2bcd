"""What is asked of a stream may take more memory in all than a command may have at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import said

MODEL = """
dataflow = 2
[inputs]
x = { shape = ["n", 500] }
y = { shape = ["n", 1] }
[parameters]
W = { shape = [1, 500], init = "zeros" }
[nodes]
p = "linear(x, W)"
loss = "mse(p, y)"
[model]
outputs = ["p"]
loss = "loss"
[data]
file = "t.csv"
columns = { x = ["k"], y = ["v"] }
categories = { k = "one_hot" }
"""


@pytest.mark.parametrize("command", ["predict", "score", "check"])
def test_each_chunk_gives_its_memory_back(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 rows of 500 float64 are 12 MB, 500 of them 2 MB."""
    model, data, trained = (tmp_path / name for name in ("m.toml", "t.csv", "m.msgpack"))
    model.write_text(MODEL, encoding="utf-8")
    data.write_text("k,v\n" + "".join(f"c{i % 500},1\n" for i in range(3000)), encoding="utf-8")
    said("train", model, "--epochs", 1, "-o", trained)
    monkeypatch.setenv("DATAFLOW_LIMITS", "memory=6MB")
    ask = [command, trained, "--data", data, *(["-o", tmp_path / "p.csv"] if command == "predict" else [])]
    assert "the inputs would take 11.4" in said(*ask, status=1)  # the comparison can fail
    said(*ask, "--stream", "--chunk-rows", 500)
