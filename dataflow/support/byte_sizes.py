"""Parse and format amounts of memory, such as 64MB."""

from __future__ import annotations

import re
import sys

from dataflow.errors import MemoryLimitError

_UNITS = {"": 1, "b": 1, "bytes": 1} | {
    unit: base**power
    for power, letter in enumerate("kmgt", 1)
    for unit, base in ((letter, 1000), (f"{letter}b", 1000), (f"{letter}ib", 1024))
}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*")


def size_in(text: str) -> int | None:
    """Bytes from a text such as "64MB", "1.5 GB" or "512 KiB": k, M, G and T are powers of 1000, Ki, Mi, Gi and Ti of
    1024. ``None`` for any other text."""
    match = _SIZE.fullmatch(text)
    if match is None or match[2].lower() not in _UNITS:
        return None
    unit = _UNITS[match[2].lower()]
    exact = int(match[1]) * unit if match[1].isdigit() and len(match[1]) < 20 else float(match[1]) * unit
    return int(min(exact, sys.maxsize))  # more than that is no limit


def parse_bytes(amount: int | str) -> int:
    """Bytes from a whole number, or from text as ``size_in`` reads it. A ``MemoryLimitError`` for anything else."""
    if isinstance(amount, int) and not isinstance(amount, bool) and amount >= 0:
        return min(amount, sys.maxsize)
    size = size_in(amount) if isinstance(amount, str) else None
    if size is None:
        raise MemoryLimitError(
            f'a memory limit is a number of bytes, or text such as "64MB" or "1.5GiB", not {amount!r}'
        )
    return size


def format_bytes(count: int) -> str:
    """``1.5 MiB``; never less than there is, so that what an error asks for is enough."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= 1024**power:
            return f"{-(-count * 100 // 1024**power) / 100:g} {unit}"
    return f"{count} bytes"


def no_room(size: int) -> MemoryLimitError:
    """The error where the system has no memory for so many bytes."""
    return MemoryLimitError(f"there is not enough memory for {format_bytes(size)}; give less data, or use float32")
