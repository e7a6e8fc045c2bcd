"""A small transformer on a real text, to the loss that it promises."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from checkout import MODELS, ROOT

import dataflow


@pytest.mark.slow
def test_the_transformer_learns_more_than_how_often_characters_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The entropy of single characters is that of the held-out text's own shares, so that no model that looks at
    nothing does better. Of eight epochs, which end at 1.88, the second ends at 2.3. The page's program then writes
    letters."""
    pytest.importorskip("llvmlite")
    model = dataflow.load(MODELS / "shakespeare" / "shakespeare.toml")
    data = model.data.load(model.graph)
    held_out = data["y"][len(data["y"]) - len(data["y"]) // 10 :]
    shares = np.bincount(held_out.ravel()) / held_out.size
    entropy = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    assert entropy == pytest.approx(3.31, abs=0.01)
    start = time.process_time()
    history = dataflow.train(model, epochs=2, backend="llvm")
    assert time.process_time() - start < 180
    assert history.metrics["validation_loss"][-1] < 2.5
    monkeypatch.chdir(tmp_path)
    with pytest.warns(dataflow.DataflowWarning, match="shakespeare.npz"):  # it lies elsewhere
        dataflow.save(model, "shakespeare.msgpack")
    page = (ROOT / "docs" / "examples" / "shakespeare.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(program.replace("range(300)", "range(30)"), {})  # noqa: S102 (the page's own code)
    written = capsys.readouterr().out.strip()
    assert written.startswith("ANTONIO")
    assert 20 < len(written) <= 38
    assert any(char.isalpha() for char in written.removeprefix("ANTONIO"))


def test_no_character_sees_those_behind_it() -> None:
    """The last character of a window changes the prediction after it and none before."""
    model = dataflow.load(MODELS / "shakespeare" / "shakespeare.toml")
    window = np.frombuffer(b"If music be the food of love, play on; Give me excess of it, that", np.uint8)[:64]
    changed = window.copy()
    changed[63] = ord("Q")
    before, after = (model.run(x=[text])["logits"][0] for text in (window, changed))
    assert np.array_equal(before[:63], after[:63])
    assert not np.allclose(before[63], after[63])
