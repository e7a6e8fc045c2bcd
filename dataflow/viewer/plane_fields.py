"""The plane of a model of two inputs as plain data for the page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.model.model import Model
from dataflow.training.plane import Plane, Regions, find_regions
from dataflow.viewer.numbers import plain
from dataflow.viewer.replay import Frame

SIDE = 64
"""Points of the grid along each axis."""
MOST_POINTS = 600
LEVELS = 255


def plane_data(model: Model, plane: Plane, inputs: Mapping[str, Any], frames: Sequence[Frame]) -> dict[str, Any]:
    """Plain data: the axes, the grid's bounds, the examples with their labels, and a field for each frame.

    A field is a number or a class for each point, row by row from the lower left, in base64: bytes that stand for the
    ``levels`` from ``low`` to ``high``, or the class that has the largest of several outputs."""
    regions = find_regions(model, plane, inputs, [frame.parameters for frame in frames], SIDE)
    labels = regions.labels
    return {
        "output": plane.output,
        "axes": list(plane.axes),
        "bounds": [[plain(float(x)) for x in pair] for pair in regions.bounds],
        "side": SIDE,
        "points": [[plain(float(x)) for x in row] for row in regions.points[:MOST_POINTS]],
        "labels": None if labels is None else [plain(float(x)) for x in labels[:MOST_POINTS]],
        "points_in_all": len(regions.points),
        **_described(regions),
    }


def _described(regions: Regions) -> dict[str, Any]:
    if regions.classes is not None:
        return {"classes": regions.classes, "fields": [_encoded(field) for field in regions.fields]}
    low, high = regions.low, regions.high
    steps = [
        np.clip(np.nan_to_num((values - low) / (high - low), nan=0.5, posinf=1, neginf=0), 0, 1) * LEVELS
        for values in regions.fields
    ]
    return {
        "difference": regions.difference,
        "threshold": regions.threshold,
        "low": plain(low),
        "high": plain(high),
        "levels": LEVELS,
        "fields": [_encoded(np.round(values)) for values in steps],
    }


def _encoded(field: np.ndarray) -> str:
    return base64.b64encode(field.astype(np.uint8).tobytes()).decode()
