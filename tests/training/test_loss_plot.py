"""The loss curve as a picture."""

from __future__ import annotations

import builtins
import math

import pytest

from dataflow import FileFormatError, MissingExtraError, TrainingError
from dataflow.support.figures import check_plot
from dataflow.training import History

HISTORY = History(4, [10.0, 1.0, 0.1, 0.01], {"validation_loss": [11.0, 2.0, math.nan, 0.5]})


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a.svg", b"<?xml"),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("a.PNG", b"\x89PNG"), ("a.pdf", b"%PDF"))),
    ],
)
def test_pictures_are_the_same_bytes_each_time(tmp_path, name, start):
    found = []
    for _ in range(2):
        HISTORY.plot(tmp_path / name, title="net")
        found.append((tmp_path / name).read_bytes())
    assert found[0].startswith(start)
    assert found[0] == found[1]


def test_what_the_picture_shows(tmp_path):
    def text(history):
        history.plot(tmp_path / "a.svg", title="<net>")
        return (tmp_path / "a.svg").read_text()

    both = text(HISTORY)
    assert all(word in both for word in (">epoch<", ">loss<", ">training<", ">validation<", "&lt;net&gt;"))
    assert ">training<" not in text(History(2, [1.0, 0.5]))
    # A logarithmic axis has powers of ten for its labels, a linear one has none.
    assert r"mathdefault{10^{-1}}" in both
    assert "mathdefault{10" not in text(History(2, [1.0, 0.5]))
    assert "mathdefault{10" not in text(History(2, [100.0, 0.0, -1.0]))
    assert ">epoch<" in text(History(1, [1.0]))


def test_what_cannot_be_drawn(tmp_path):
    with pytest.raises(FileFormatError, match=r"a\.gif: pictures end in \.png, \.svg or \.pdf"):
        HISTORY.plot(tmp_path / "a.gif")
    with pytest.raises(FileFormatError, match="create it first"):
        HISTORY.plot(tmp_path / "missing" / "a.png")
    with pytest.raises(TrainingError, match="there is no loss to draw"):
        History().plot(tmp_path / "a.png")


def test_without_matplotlib(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(f"No module named '{name}'")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r'needs matplotlib: pip install "dataflow-autodiff\[plot\]"'):
        check_plot("a.png", "drawing the loss curve")
