"""Float32 in compiled code is as near to 50 digits as numpy's float32: the gradients of the models of ``models/``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from checkout import MODELS

import dataflow
from dataflow.analysis.high_precision import Precise

pytest.importorskip("llvmlite")

EXAMPLES = 4
DIRECTIONS = 3


def in_float32(path: Path, folder: Path) -> dataflow.Model:
    for data in path.parent.glob("*.csv*"):
        shutil.copy(data, folder)
    copy = folder / path.name
    copy.write_text(re.sub(r"^(name = .*)$", r'\1\ndtype = "float32"', path.read_text(), count=1, flags=re.MULTILINE))
    return dataflow.load(copy)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem in ("deep", "digits") else ())
        for path in sorted(MODELS.glob("*.toml"))
    ],
)
def test_errors_are_no_more_than_numpys(path: Path, tmp_path: Path) -> None:
    model = in_float32(path, tmp_path)
    if model.loss is None:
        pytest.skip("no loss")
    data = dict(dataflow.Trainer(model).batches.current())
    if model.has_batch:
        data = {name: array[:EXAMPLES] for name, array in data.items()}
    known, sizes = model.feed(data)
    assert all(array.dtype == np.float32 for array in known.values() if array.dtype.kind == "f")
    precise = Precise(model.graph, model.loss, known, sizes)
    errors = {}
    wrt = list(model.parameters)
    rng = np.random.default_rng(0)
    directions = {name: rng.normal(size=(DIRECTIONS, *known[name].shape)) for name in wrt}
    exact = {name: [float(precise.slope(name, d)) for d in directions[name]] for name in wrt}
    for backend in ("numpy", "llvm"):
        _, found = model.compile(gradients=wrt, of=model.loss, backend=backend)(data=data)
        assert all(gradient.dtype == np.float32 for gradient in found.values())
        errors[backend] = np.sqrt(
            sum(
                (float(np.sum(found[name].astype(float) * d)) - slope) ** 2
                for name in wrt
                for d, slope in zip(directions[name], exact[name], strict=True)
            )
        )
    size = np.sqrt(sum(slope**2 for slopes in exact.values() for slope in slopes))
    assert size > 0
    rounding = np.finfo(np.float32).eps * size  # sums in another order differ by so much by chance
    assert errors["llvm"] <= errors["numpy"] + rounding
