"""Where data come from: a file or standard input, opened with limits, so that neither a huge file nor a small one that
unpacks to a huge one fills the memory."""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from dataflow.data.raw_table import Choose
from dataflow.errors import DataError, listed, plural
from dataflow.limits import advice, current, size_of
from dataflow.support.texts import shorten

UNPACKED_FREE = 16 * 2**20
"""So many bytes may come out of a packed file whatever its size."""
STANDARD_INPUT = "-"
INPUT_LIMIT = 2**30
"""The most bytes that are read from standard input."""

FORMATS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "csv",
    ".tsv.gz": "csv",
    ".npy": "npy",
    ".npz": "npz",
    ".json": "json",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
"""The formats of data by the endings of their files."""

_FOLDER = "is a folder; name a data file, or read all of them as a stream: --stream, stream=True"
_ROW_ENDS = re.compile(rb"\}[ \t\r]*\n[ \t\r]*\{")
_GZIP = b"\x1f\x8b"
_BEGINNINGS = {
    b"PK\x03\x04": "npz",
    b"\x93NUMPY": "npy",
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"\xff\xff\xff\xff": "arrow",
}


@dataclass(frozen=True, eq=False)
class Origin:
    """A file, or the bytes that came from standard input."""

    path: Path | None
    data: bytes = b""
    before: int = 0
    """The lines of the file before these bytes, where they are a piece of one."""

    @classmethod
    def at(cls, path: Path) -> Origin:
        """The origin that a user names: a path, or "-" for standard input, which is read now."""
        if str(path) != STANDARD_INPUT:
            return cls(path)
        data = sys.stdin.buffer.read(INPUT_LIMIT + 1)
        if len(data) > INPUT_LIMIT:
            limit = f"more than {INPUT_LIMIT >> 20} MiB, the most that is read from there"
            raise DataError(f"gives {limit}; write a file", file="standard input")
        return cls(None, data)

    @property
    def name(self) -> str:
        """What a message calls it."""
        return "standard input" if self.path is None else str(self.path)

    @property
    def size(self) -> int:
        """The bytes that there are, packed or not."""
        return len(self.data) if self.path is None else size_of(self.path)

    @property
    def packed(self) -> bool:
        """Whether it is unpacked while it is read."""
        return self.data.startswith(_GZIP) if self.path is None else self.path.name.lower().endswith(".gz")

    @property
    def format(self) -> str:
        """What its file's ending says that it is, or how what came from standard input begins."""
        if self.path is not None:
            name = self.path.name.lower()
            found = next((kind for ending, kind in FORMATS.items() if name.endswith(ending)), None)
            if found is None and self.path.is_dir():
                raise DataError(_FOLDER, file=self.path)
            if found is None:
                *endings, last = FORMATS
                raise DataError(f"data files end in {', '.join(endings)} or {last}", file=self.path)
            return found
        with self.open() as file:
            begin = file.read(2**16)
        for mark, kind in _BEGINNINGS.items():
            if begin.startswith(mark):
                return kind
        text = begin.lstrip(b"\xef\xbb\xbf \t\r\n")
        if not text.startswith((b"{", b"[")):
            return "csv"
        return "jsonl" if text.startswith(b"{") and _ROW_ENDS.search(text) else "json"

    def open(self) -> IO[bytes]:
        """The open file, unpacked on the fly."""
        if self.path is not None:
            return opened(self.path)
        file = io.BytesIO(self.data)
        return cast(IO[bytes], gzip.open(file)) if self.packed else file

    def check_unpacked(self, size: int) -> None:
        """A ``DataError`` if it unpacks to more than its own size allows."""
        times, own = current().unpacked, self.size
        if size > UNPACKED_FREE + times * own:
            message = f"unpacks to more than {UNPACKED_FREE >> 20} MiB and {times} times its own size"
            raise DataError(message + advice("unpacked", -(-(size - UNPACKED_FREE) // max(own, 1))), file=self.name)


@dataclass(frozen=True, eq=False)
class Piece(Origin):
    """Some lines of a text file, as bytes; of a CSV file, after its header."""

    whole: str = ""

    @property
    def name(self) -> str:
        return self.whole

    @property
    def format(self) -> str:
        return "csv"


def opened(path: Path) -> IO[bytes]:
    """The open file, unpacked on the fly if its name says so."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise DataError(
                _FOLDER if stat.S_ISDIR(mode) else "is no ordinary file; name a data file",
                file=path,
            )
        return cast(IO[bytes], gzip.open(path, "rb")) if path.name.lower().endswith(".gz") else open(path, "rb")
    except FileNotFoundError:
        raise DataError("there is no such file; check the name", file=path) from None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=path) from None


def utf16(data: bytes) -> str | None:
    """UTF-16 or UTF-32, where the bytes begin as such a text does, with a byte order mark or without."""
    begin = data[:64]
    if begin.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32"
    if begin.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    # without a mark: of most texts every second byte is zero, or three of four are
    shares = sorted(part.count(0) / len(part) for start in (0, 1) if (part := begin[start::2]))
    if len(shares) < 2 or shares[1] < 0.7 or shares[0] > 0.9:  # nothing but zeros is no text at all
        return None
    return "UTF-16" if shares[0] < 0.3 else "UTF-32"


def repeated(column: str, times: int) -> DataError:
    """The error for a column that is wanted and of which there are several."""
    if not column:
        return DataError(f"{times} columns have no name; give each one, or delete the separators after the last column")
    return DataError(f"column '{shorten(column)}' stands there {times} times; give each a name of its own")


def chosen_of(choose: Choose, labels: Sequence[str], source: str) -> set[str]:
    """The columns that ``choose`` picks; a ``DataError`` where one of them stands there several times."""
    try:
        chosen = set(choose(labels))
    except DataError as error:
        raise error.at(file=source) from None
    for label, times in Counter(labels).items():
        if times > 1 and label in chosen:
            raise repeated(label, times).at(file=source)
    return chosen


def nothing_for(names: Sequence[str], found: Sequence[str], what: str) -> DataError:
    """The error for a file in which no input was found."""
    return DataError(f"has nothing for the {plural('input', len(names))} {listed(names)}; {_held(found, what)}")


def none_of(columns: Sequence[str], found: Sequence[str]) -> DataError:
    """The error for a table in which there is none of the columns that a model reads."""
    read = listed([shorten(name) for name in columns], 12)
    return DataError(f"has none of the columns that the model reads, {read}; {_held(found, 'columns')}")


def _held(found: Sequence[str], what: str) -> str:
    return f"its {what} are {listed([shorten(name) for name in found], 12) or 'none'}"
