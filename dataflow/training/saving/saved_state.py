"""The newest state in a folder of checkpoints, for those who only look at it: no run goes on from it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataflow.errors import DataflowWarning, FileFormatError, TrainingError, listed
from dataflow.files.msgpack.container import Container, read_container
from dataflow.model.model import Model
from dataflow.training.history import History, recorded_history
from dataflow.training.saving.checkpoints import VERSION, checkpoint_files, model_digest

MOST_RUNS = 6
"""So many runs of a sweep are named in a message."""


@dataclass(frozen=True)
class SavedState:
    """A checkpoint that was read."""

    path: Path
    container: Container

    @property
    def history(self) -> History:
        """The finished epochs."""
        return recorded_history(self.container.header)

    def parameters(self, model: Model) -> dict[str, np.ndarray]:
        """The parameters of the run's result so far: those of the best epoch, where early stopping keeps them. A
        ``TrainingError`` where the checkpoint is that of another model."""
        header, tensors = self.container.header, self.container.tensors
        if model.loss is None or header.get("model") != model_digest(model.graph, model.loss):
            raise TrainingError(f"was made with another model than '{model.name}'", file=self.path)
        prefix = "best." if "best" in header else ""
        parameters: dict[str, np.ndarray] = {}
        for names in header.get("names", ()):
            start = 0
            for name in names:
                value = model.parameters[name]
                vector = tensors[f"{prefix}{value.dtype.name}.parameters"]
                parameters[name] = vector[start : start + value.size].reshape(value.shape)
                start += value.size
        for name in model.parameters:
            for held in (f"held.{name}", f"{prefix}held.{name}"):  # of the best epoch only what changes
                if held in tensors:
                    parameters[name] = tensors[held]
        return parameters


def newest_state(folder: Path) -> SavedState:
    """Read the newest checkpoint that is whole; a warning tells of each that is not. A ``TrainingError`` where there is
    none."""
    files = checkpoint_files(folder)
    for path in files:
        try:
            container = read_container(path, mapped=False)
        except FileFormatError as error:
            warnings.warn(f"{error}; the checkpoint before it is taken", DataflowWarning, stacklevel=2)
            continue
        if container.header.get("checkpoint") != VERSION:
            raise TrainingError("is no checkpoint that this version reads", file=path)
        return SavedState(path, container)
    if files:
        raise TrainingError("has no checkpoint that can be read", file=folder)
    runs = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and checkpoint_files(entry))
    if runs:
        raise TrainingError(f"is the folder of a sweep; choose one of its runs: {listed(runs, MOST_RUNS)}", file=folder)
    raise TrainingError("has no checkpoints; dataflow train MODEL --checkpoint DIR makes them", file=folder)
