"""What a file format is: how models are loaded and saved, by the ending of a file's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dataflow.errors import PluginError
from dataflow.model.model import Model
from dataflow.registry.registry import declare_kind


@dataclass(frozen=True)
class FileFormat:
    """A format that models are loaded from and saved to, by the ending of a file's name."""

    name: str
    endings: tuple[str, ...]
    load: Callable[..., Model]
    """``load(path)``."""
    save: Callable[[Model, Path], None]
    maps: bool = False
    """Whether ``load`` takes ``mmap`` as ``dataflow.load`` does."""
    shapes: bool = False
    """Whether ``load`` takes ``shapes`` and ``constants`` as ``dataflow.load`` does."""
    reads_back: bool = False
    """Whether ``save`` itself reads what it writes, and refuses what cannot be loaded."""

    def __post_init__(self) -> None:
        for ending in self.endings:
            if not ending.startswith(".") or ending != ending.lower():
                wanted = "an ending has a dot and small letters, as in '.mine'"
                raise PluginError(f"file format '{self.name}': {wanted}; '{ending}' found")


declare_kind("file format", FileFormat, lambda file_format: file_format.endings)
