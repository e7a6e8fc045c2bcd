"""The chunks of a data set: what is read at once of its files, which are told apart by their endings.

A chunk is a row group of a Parquet file, some rows of a batch of an Arrow file, some lines of a CSV file or of JSON
lines, some rows of an ``.npy`` file, or a whole ``.npz`` or packed file.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dataflow.data.read_content import Content
from dataflow.errors import DataError, listed
from dataflow.support.texts import shorten

ENDINGS = (".parquet", ".arrow", ".csv", ".tsv", ".csv.gz", ".tsv.gz", ".jsonl", ".jsonl.gz", ".npy", ".npz")
"""Of the files that are read piece by piece."""

_ENDS = 2**16  # bytes at either end of a file that a digest is made from


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file that lie side by side. ``read(skip)`` reads them, without what is no row if ``skip`` is
    true."""

    file: str
    rows: int | None
    """How many there are, as the file says; ``None`` where it does not."""
    read: Callable[[bool], Content] = field(repr=False)


class Shards(ABC):
    """The chunks of a data set, counted from 0."""

    can_jump = True
    """Whether chunks can be read in any order."""

    count: int | None = None
    """How many chunks there are, where that is known."""

    @abstractmethod
    def sizes(self) -> list[int] | None:
        """The rows of each chunk, where that is known before all were read."""

    @abstractmethod
    def read(self, order: Iterable[int] | None, skip: bool = False) -> Iterator[tuple[int, Content]]:
        """The chunks of these numbers with their numbers; all of them where ``None`` is given."""

    @abstractmethod
    def digest(self) -> str | None:
        """A checksum of the data; ``None`` where it takes reading them."""


class FileShards(Shards):
    """The chunks of files."""

    def __init__(self, chunks: Sequence[Chunk], files: Sequence[Path]) -> None:
        self.chunks, self.files, self.count = chunks, files, len(chunks)

    def sizes(self) -> list[int] | None:
        sizes = [chunk.rows for chunk in self.chunks]
        return None if None in sizes else [size for size in sizes if size is not None]

    def read(self, order: Iterable[int] | None, skip: bool = False) -> Iterator[tuple[int, Content]]:
        for number in range(len(self.chunks)) if order is None else order:
            yield number, self.chunks[number].read(skip)

    def digest(self) -> str:
        return digest_of_files(self.files)


def files_of(place: Path) -> list[Path]:
    """The files of a data set, sorted by their paths: the file itself, or all in a folder and in those inside it that
    do not begin with a point or an underscore. A ``DataError`` where there is none, or they are of several kinds."""
    if not place.is_dir():
        if not place.exists():
            raise DataError("there is no such file or folder; check the name", file=place)
        if not place.name.lower().endswith(ENDINGS):
            raise DataError(f"is not read piece by piece: such files end in {listed(ENDINGS)}", file=place)
        return [place]
    found = []
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        found += [Path(folder, name) for name in names if not name.startswith((".", "_"))]
    files = sorted(path for path in found if path.name.lower().endswith(ENDINGS))
    if not files:
        raise DataError(f"has no data: no file in it ends in {listed(ENDINGS)}", file=place)
    kinds = dict.fromkeys(kind_of(path) for path in files)
    if len(kinds) > 1:
        raise DataError(f"has files of several kinds ({', '.join(kinds)}); keep those of one in it", file=place)
    return files


def kind_of(path: Path) -> str:
    """What a file is, by its ending: "csv" for all tables of text."""
    ending = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    return "csv" if ending == "tsv" else ending


def digest_of_files(files: Sequence[Path]) -> str:
    """A checksum of the files' names, lengths, and first and last 64 KiB: all of them would take as long as an
    epoch."""
    digest = hashlib.sha256()
    base = os.path.commonpath([path.parent for path in files])
    for path in files:
        try:
            with open(path, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                digest.update(repr((path.relative_to(base).as_posix(), size)).encode())
                file.seek(0)
                digest.update(file.read(_ENDS))
                file.seek(max(0, size - _ENDS))
                digest.update(file.read(_ENDS))
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or shorten(str(error))}", file=path) from None
    return digest.hexdigest()
