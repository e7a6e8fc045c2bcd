"""A folder of frames: what was written there before is known by a list with checksums, and nothing else is touched."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from dataflow.errors import FileFormatError
from dataflow.support.atomic import replace_file

LIST = ".dataflow-frames.json"
"""The name of the list: for each frame the SHA-256 of what was written."""
_FRAME = re.compile(r"frame-\d{3,6}\.(svg|png|pdf)")
_LARGEST = 1_000_000
"""A longer list is not read."""


def write_frames(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write the frames into a folder, which is made if there is none. Earlier ones that are as they were written are
    replaced, or removed if there are fewer now; a ``FileFormatError`` says which file is in the way, before any
    is written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "is no folder" if isinstance(error, FileExistsError) else error.strerror
        raise FileFormatError(f"frames cannot be written there: {reason}; choose another folder", file=folder) from None
    earlier = _read_list(folder)
    for name, content in contents.items():
        path = folder / name
        if (path.exists() or path.is_symlink()) and not _is_ours(path, earlier, content):
            raise FileFormatError(
                "is no frame that dataflow wrote, or was changed since; move it, or choose another folder", file=path
            )
    written = {name: [hashlib.sha256(content).hexdigest()] for name, content in contents.items()}
    # both, so that what a stopped run leaves is known to the next
    names = dict.fromkeys([*earlier, *written])
    _write_list(folder, {name: earlier.get(name, []) + written.get(name, []) for name in names})
    for name, content in contents.items():
        replace_file(folder / name, [content])
    endings = {Path(name).suffix for name in contents}
    for name in earlier.keys() - contents.keys():
        if Path(name).suffix in endings and _is_ours(folder / name, earlier):
            (folder / name).unlink()
    others = {name: digests for name, digests in earlier.items() if Path(name).suffix not in endings}
    _write_list(folder, {**others, **written})
    return [folder / name for name in contents]


def _is_ours(path: Path, earlier: Mapping[str, list[str]], content: bytes | None = None) -> bool:
    """Whether a file is as it was written, or already has this content."""
    if path.is_symlink() or not path.is_file():
        return False
    old = path.read_bytes()
    return old == content or hashlib.sha256(old).hexdigest() in earlier.get(path.name, ())


def _read_list(folder: Path) -> dict[str, list[str]]:
    """The frames that were written here; none if the list is no list of ours."""
    path = folder / LIST
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        frames = json.loads(path.read_bytes())["frames"]
        return {
            name: [str(digest) for digest in digests]
            for name, digests in frames.items()
            if _FRAME.fullmatch(name) and isinstance(digests, list)
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _write_list(folder: Path, frames: Mapping[str, list[str]]) -> None:
    replace_file(folder / LIST, [json.dumps({"frames": frames}, indent=1).encode() + b"\n"])
