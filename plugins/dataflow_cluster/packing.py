"""Tasks as vectors of numbers, what stands before a result, and memory that two processes share."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence

import numpy as np

from dataflow.backends.cluster import Part, Task

HEAD = 64
"""Bytes before those of a result; the first says whether there is none because of an error."""


def packed(tasks: Sequence[Task]) -> tuple[np.ndarray, np.ndarray]:
    """Tasks as two vectors of int64: for each its number of parts, and for each of these the number of rows and what
    else a part has; and for each part the rows and their places."""
    numbers: list[int] = []
    for task in tasks:
        numbers.append(len(task))
        for part in task:
            numbers += [len(part.rows), part.size, part.number]
    rows = [np.asarray(one, np.int64) for task in tasks for part in task for one in (part.rows, part.places)]
    return np.array(numbers, np.int64), np.concatenate(rows)


def task_of(rank: int, tasks: int, numbers: np.ndarray, rows: np.ndarray) -> Task | None:
    """A rank's task of those that are packed; there may be fewer than ranks."""
    read, row = iter(numbers.tolist()), 0
    for number in range(tasks):
        parts = []
        for _ in range(next(read)):
            length, whole, position = (next(read) for _ in range(3))
            own, places = rows[row : row + 2 * length].reshape(2, length)
            parts.append(Part(own, places, whole, position))
            row += 2 * length
        if number == rank:
            return parts
    return None


def shared(path: str, size: int | None = None) -> np.ndarray:
    """The bytes of a file, which is made with so many zeros if a size is given: what one process writes, others see."""
    with open(path, "w+b" if size is not None else "r+b") as file:
        if size is not None:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)  # an error now, where the disk is full, not a signal later
            else:
                file.truncate(size)
        return np.frombuffer(mmap.mmap(file.fileno(), 0), np.uint8)
