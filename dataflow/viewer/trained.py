"""What the page shows of training: the curves that a trained file keeps, and the plane of a model of two inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.model import Model
from dataflow.viewer.numbers import plain
from dataflow.viewer.plane import find_plane, plane_data
from dataflow.viewer.replay import Frame, Observer, replay

MOST_POINTS = 1500
"""Of a longer curve, so many epochs are shown, with the first and the last."""


def training_data(
    model: Model, given: Mapping[str, Any], frames: int | None, observer: Observer | None = None
) -> dict[str, Any] | None:
    """Plain data: ``curves``, ``settings``, and ``plane`` with its ``frames``; ``None`` where there is nothing of it,
    because the model is neither trained nor a function of two numbers. ``given`` has the inputs and the parameters."""
    record = model.training
    curves = _curves(record)
    plane = find_plane(model)
    if curves is None and plane is None:
        return None
    result: dict[str, Any] = {"curves": curves, "settings": _settings(record), "plane": None}
    if plane is not None:
        if record:
            found = replay(model, _inputs(model, given), frames, observer)
            shown, note = found.frames, found.note
        else:
            shown = [Frame(0, {name: given[name] for name in model.parameters})]
            note = "the model has not been trained: train it, and view the trained file to see this over the epochs"
        result["plane"] = {
            **plane_data(model, plane, given, shown),
            "epochs": [frame.epoch for frame in shown],
            "note": note,
        }
    return result


def _inputs(model: Model, given: Mapping[str, Any]) -> dict[str, Any] | None:
    found = {name: value for name, value in given.items() if name not in model.parameters}
    return found or None


def _curves(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The epochs, and what was measured after each. A file is not trusted: what is no list of numbers is left out."""
    loss = record.get("loss")
    metrics = record.get("metrics")
    found = {"loss": loss, **(metrics if isinstance(metrics, Mapping) else {})}
    curves = {
        str(name): values
        for name, values in found.items()
        if isinstance(values, list) and values and all(type(value) in (int, float) for value in values)
    }
    if "loss" not in curves:
        return None
    count = len(curves["loss"])
    shown = _spread(count)
    return {
        "epochs": [i + 1 for i in shown],
        "left_out": count - len(shown),
        "lines": {
            _words(name): [plain(values[i]) for i in shown] for name, values in curves.items() if len(values) == count
        },
    }


def _spread(count: int) -> list[int]:
    if count <= MOST_POINTS:
        return list(range(count))
    return sorted({round(i * (count - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)})


def _settings(record: Mapping[str, Any]) -> list[list[str]]:
    """Names and values, as text; what was not used is left out."""
    rows = []
    for name in ("optimizer", "epochs", "batch_size", "shuffle", "seed", "validation", "backend"):
        if name in record:
            value = record[name]
            if isinstance(value, Mapping):
                used = {key: one for key, one in value.items() if one is not False and one != 0}
                value = ", ".join(str(used[key]) if key == "name" else f"{_words(key)} {used[key]}" for key in used)
            if value is not False and value != 0.0:
                rows.append([_words(name), "all examples" if value is None else "yes" if value is True else str(value)])
    return rows


def _words(name: Any) -> str:
    return str(name).replace("_", " ")
