"""Collect what the page shows of training: the curves of a trained file, and the plane of a model of two inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.model.model import Model
from dataflow.model.train_settings import options_of
from dataflow.training.history import recorded_history
from dataflow.training.plane import find_plane
from dataflow.viewer.numbers import plain
from dataflow.viewer.plane_fields import plane_data
from dataflow.viewer.replay import Frame, Observer, replay

MOST_POINTS = 1500
"""The most epochs shown of a curve, the first and the last included."""


def training_data(
    model: Model, inputs: Mapping[str, Any], frames: int | None, observer: Observer | None = None
) -> dict[str, Any] | None:
    """Plain data: ``curves``, ``settings``, and ``plane`` with its ``frames``; ``None`` where there is nothing of it,
    because the model is neither trained nor a function of two numbers. ``inputs`` has inputs and parameters."""
    record = model.training
    curves = _curves(record)
    plane = find_plane(model)
    if curves is None and isinstance(plane, str):
        return None
    result: dict[str, Any] = {"curves": curves, "settings": _settings(record), "plane": None}
    if not isinstance(plane, str):
        if record:
            run = replay(model, _inputs(model, inputs), frames, observer)
            shown, note = run.frames, run.note
        else:
            shown = [Frame(0, {name: inputs[name] for name in model.parameters})]
            note = "the model has not been trained: train it, and view the trained file to see this over the epochs"
        result["plane"] = {
            **plane_data(model, plane, inputs, shown),
            "epochs": [frame.epoch for frame in shown],
            "note": note,
        }
    return result


def _inputs(model: Model, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    others = {name: value for name, value in inputs.items() if name not in model.parameters}
    return others or None


def _curves(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The epochs, and what was measured after each."""
    history = recorded_history(record)
    if not history.loss:
        return None
    shown = _spread(history.epochs)
    columns = {"loss": history.loss, **history.metrics}
    return {
        "epochs": [i + 1 for i in shown],
        "left_out": history.epochs - len(shown),
        "lines": {_words(name): [plain(values[i]) for i in shown] for name, values in columns.items()},
    }


def _spread(count: int) -> list[int]:
    if count <= MOST_POINTS:
        return list(range(count))
    return sorted({round(i * (count - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)})


def _settings(record: Mapping[str, Any]) -> list[list[str]]:
    """Return names and values as text; settings that were not used are left out."""
    rows = []
    for name, option in options_of().items():
        if name not in record or (option.in_file and not option.required and record[name] == option.default):
            continue
        value = record[name]
        if isinstance(value, Mapping):
            used = {key: setting for key, setting in value.items() if setting is not False and setting != 0}
            value = ", ".join(str(used[key]) if key == "name" else f"{_words(key)} {used[key]}" for key in used)
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        if value is not False and value != 0.0 and value != "" and (name, value) != ("sync_every", 1):
            rows.append([_words(name), "all examples" if value is None else "yes" if value is True else str(value)])
    return rows


def _words(name: Any) -> str:
    return str(name).replace("_", " ")
