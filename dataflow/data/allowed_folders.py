"""Where the data that a model's file names may lie: in the file's own folder, or in one that the user allows.

A file from a stranger must not read what it likes. ``root = ".."``, and ``file = "../x.csv"``, which says the same, are
requests: they hold only inside a folder that the user grants, with ``--data-root`` or ``dataflow.load(path,
data_root=...)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from dataflow.errors import DataError

OPTION = "--data-root"


@contextmanager
def allow(folder: Path | None) -> Iterator[None]:
    """Models that are loaded inside may read data in this folder, and in those inside it."""
    if folder is not None and not folder.is_dir():
        raise DataError(f"{OPTION} takes a folder in which data lie; this is none", file=folder)
    token = _allowed.set(folder if folder is None else folder.resolve())
    try:
        yield
    finally:
        _allowed.reset(token)


def allowed() -> Path | None:
    """The folder that the user grants now."""
    return _allowed.get()


def data_path(file: str | Path, folder: Path, root: str | None, granted: Path | None) -> Path:
    """Where a file is that a model in ``folder`` names, beginning at ``root``. ``DataError`` where that is neither in
    the folder nor in the ``granted`` one."""
    text, home = str(file), "DIR"
    if root is None:
        root, text = split_upwards(text)
    base = Path(folder) / (root or "")
    try:
        if _is_downwards(text) and not _is_absolute(root or ""):
            place = (base / text).resolve()
            homes = [Path(folder).resolve(), *([] if granted is None else [granted])]
            if place.is_relative_to(base.resolve()) and any(place.is_relative_to(home) for home in homes):
                return base / text
            home = str(base.resolve() if root else place.parent)
    except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL in the name
        pass
    named = f"{root}/{text}" if root else text
    raise DataError(
        f"the data file {named!r} lies outside the folder of its model; put it there, or name it with --data, or, if "
        f"you trust the model, allow that folder: {OPTION} {home}"
    )


def split_upwards(file: str) -> tuple[str | None, str]:
    """The root and the file that ``../x.csv`` asks for; no root where it begins otherwise."""
    parts = file.split("/")
    count = next((i for i, part in enumerate(parts) if part != ".."), len(parts) - 1)
    return "/".join(parts[:count]) or None, "/".join(parts[count:])


# ------------------------------------------------------------------------------------------------ internals

_allowed: ContextVar[Path | None] = ContextVar("allowed", default=None)


def _ways(text: str) -> tuple[PurePath, ...]:
    return PurePosixPath(text), PureWindowsPath(text)


def _is_absolute(text: str) -> bool:
    return any(way.is_absolute() or way.drive or way.root for way in _ways(text))


def _is_downwards(text: str) -> bool:
    return not _is_absolute(text) and not any(".." in way.parts for way in _ways(text))
