"""Save the work of a training run that is stopped early, or whose result cannot be written where it should go.

A rescue replaces no file, and writes nothing where nothing was asked for: it takes the output file's name if that is
free, a free one beside it, or the folder of the checkpoints. Only where none of these can be written does it take the
current folder, or the system's for temporary files.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from dataflow.errors import DataflowError
from dataflow.files import save
from dataflow.model.model import Model


@dataclass
class Rescue:
    """Where the work of this run may be saved."""

    model: Model
    model_file: Path
    output: Path | None
    checkpoint: Path | None

    def __post_init__(self) -> None:
        self._before = self.model.training

    @property
    def learned(self) -> bool:
        """Whether the run has changed the model."""
        record = self.model.training
        return record is not self._before and bool(record.get("steps"))

    def save(self) -> Path | None:
        """Save the model and return where; ``None`` where nothing was asked for."""
        fault: DataflowError | None = None
        for target in self._targets():
            try:
                save(self.model, target)
            except DataflowError as error:
                fault = fault or error
            else:
                return target
        if fault is not None:
            raise fault
        return None

    def save_and_say(self, what: str) -> str:
        """Save the model, and say where ``what`` was saved, as the end of a message."""
        if not self.learned:
            return f"; nothing was learned, so nothing was saved{self._untouched(None)}"
        try:
            target = self.save()
        except DataflowError as fault:
            return f"; {what} could not be saved: {fault}"
        if target is None:
            return f"; {what} were not saved, as there was neither -o FILE nor --checkpoint DIR"
        return f"; {what} were saved to {target}{self._untouched(target)}"

    def _untouched(self, target: Path | None) -> str:
        there = self.output is not None and self.output != target and self.output.is_file()
        return f", and {self.output} is as it was" if there else ""

    def _targets(self) -> Iterator[Path]:
        if self.output is not None:
            if not os.path.lexists(self.output):
                yield self.output
            yield _free(self.output)
            yield _free(self.output.with_suffix(".msgpack"))  # what another format cannot hold
        name = self.model_file.with_suffix(".msgpack").name if self.output is None else self.output.name
        if self.checkpoint is not None:
            yield _free(self.checkpoint / name)
        if self.output is not None or self.checkpoint is not None:
            yield _free(Path(name))
            yield _free(Path(tempfile.gettempdir()) / name)


def _free(path: Path) -> Path:
    """``x-interrupted.msgpack`` for ``x.msgpack``, with a number if there is one already."""
    stem = path.stem.partition("-interrupted")[0]
    for number in count(1):
        candidate = path.with_name(f"{stem}-interrupted{'' if number == 1 else f'-{number}'}{path.suffix}")
        if not os.path.lexists(candidate):
            break
    return candidate
