"""The folder of a sweep: a folder for each run, and a description by which a sweep that goes on knows its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dataflow.data.write_results import dump
from dataflow.errors import TrainingError
from dataflow.support.atomic import replace_file
from dataflow.support.temporary import temporary_folder
from dataflow.training.saving.locking import locked

DESCRIPTION = "sweep.json"
VERSION = 1
SCRATCH = ".sweep-"
"""How the folders for what other processes read begin."""


@contextmanager
def opened(checkpoint: str | Path | None, resume: bool, describe: Callable[[], dict[str, Any]]) -> Iterator[Path]:
    """The folder for the runs, locked: that of the user, or one that goes when the sweep has ended. ``describe`` says
    what the sweep is, apart from its values."""
    if checkpoint is None:
        with temporary_folder("sweep") as temporary:
            yield temporary
        return
    folder = Path(checkpoint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot be made a folder for a sweep: {error.strerror or error}; choose another"
        raise TrainingError(message, file=folder) from None
    with locked(folder):
        for left in folder.glob(f"{SCRATCH}*"):  # by a sweep that was killed
            shutil.rmtree(left, ignore_errors=True)
        _check_folder(folder, resume, describe())
        yield folder


def _check_folder(folder: Path, resume: bool, own: dict[str, Any]) -> None:
    path = folder / DESCRIPTION
    if any(folder.glob("checkpoint-*.msgpack")):
        raise TrainingError("has checkpoints of a single run; choose another folder for the sweep", file=folder)
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        replace_file(path, [(dump(own) + "\n").encode()])
        return
    except (OSError, ValueError, RecursionError):
        saved = None
    if not isinstance(saved, dict) or saved.get("sweep") != VERSION:
        raise TrainingError("is no description of a sweep that this version reads; choose another folder", file=path)
    if not resume:
        raise TrainingError(
            "has runs of an earlier sweep; go on with it by resume=True (--resume), or choose another folder",
            file=folder,
        )
    for key, what in (("model", "another model (its graph or its first parameters differ)"), ("data", "other data")):
        if saved.get(key) != own[key]:
            raise TrainingError(f"was made with {what}; use the same, or choose another folder", file=folder)
