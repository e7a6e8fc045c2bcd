"""A symbol means one array: what a picture's backward pass, an explanation and ``jacobian`` call alike is alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from checkout import MODELS

import dataflow
from dataflow.draw.build_picture import Options, build_picture
from dataflow.draw.picture.picture import Role
from dataflow.graph.node import INPUT
from dataflow.support.number_texts import number_format

NAMES = sorted(path.stem for path in MODELS.glob("*.toml"))
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|nan|-?inf")


def in_picture(model: dataflow.Model, of: str, chosen: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    options = Options(both=True, of=of, labels="values", fold_repeats=False, **chosen)
    with number_format(12, exact=True):
        picture = build_picture(model, options)
    for node in picture.nodes:
        symbols = [line.text for line in node.lines if line.role is Role.PARTIAL]
        value = " ".join(line.text for line in node.lines if line.role is Role.VALUE)
        if symbols and value and not re.search("[…a-df-z]", value.replace("nan", "").replace("inf", "")):
            yield symbols[0], np.array([float(text) for text in NUMBER.findall(value)])


def in_explanation(
    model: dataflow.Model, of: str, wrt: str, chosen: dict[str, Any]
) -> Iterator[tuple[str, np.ndarray]]:
    explanation = dataflow.explain(model, of=of, wrt=wrt, **chosen)
    document = explanation.to_json()
    for path in document["paths"] or ():
        for factor in path["factors"]:
            if factor["jacobian"] is not None:
                yield factor["symbol"], np.array(factor["jacobian"], float).ravel()
    total = explanation.value.size > 1
    yield explanation.names.partial(of, wrt, total=total), np.array(document["gradient"], float).ravel()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "deep" else ()) for name in NAMES]
)
def test_a_symbol_means_one_array(name: str) -> None:
    model = dataflow.load(MODELS / f"{name}.toml")
    nodes = model.graph.nodes(data="node")
    inputs = {name: node for name, node in nodes if node.kind == INPUT}
    of = model.loss or model.outputs[0]
    chosen: dict[str, Any] = {"example": 0} if any(node.shape[:1] == ("n",) for node in inputs.values()) else {}
    sources = [*model.parameters] or [*inputs]
    arrays: dict[str, np.ndarray] = dict(in_picture(model, of, chosen))
    assert arrays
    shared = 0
    for wrt in dict.fromkeys([*sources[:2], *sources[-2:]]):
        for symbol, array in in_explanation(model, of, wrt, chosen):
            known = arrays.setdefault(symbol, array)
            shared += known is not array
            assert known.shape == array.shape, symbol
            np.testing.assert_allclose(known, array, rtol=1e-10, atol=1e-12, err_msg=symbol)
    assert shared > 0 or any("Σ" in symbol for symbol in arrays)
