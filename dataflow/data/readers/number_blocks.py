"""Blocks of lines that hold nothing but numbers, read by some threads at once.

Each thread reads a block, cuts it and writes its numbers where they belong before it reads the next: so its text and
its cells stay in the cache of one processor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from threading import Condition

import numpy as np

from dataflow.backends.threads import run_beside
from dataflow.data.readers.arrow_csv import ArrowNumbers, NotPlainError


@dataclass
class _Block:
    """A block that a thread has taken: which one it is, its text, and the row after its last, once it is written."""

    number: int
    text: bytes
    end: int | None = None


class NumberBlocks:
    """The blocks of a table, until one holds anything but numbers."""

    def __init__(
        self,
        read: Iterator[bytes],
        cut: Callable[[bytes], ArrowNumbers],
        places: Sequence[tuple[Sequence[int], np.ndarray]],
        row: int,
    ) -> None:
        """``cut`` cuts a block; ``places`` are the positions of columns, and the array of as many columns where their
        numbers belong, from this ``row`` on."""
        self.row = row
        """The first row that is not written."""
        self._read, self._cut, self._places = read, cut, places
        self._positions = sorted(position for positions, _ in places for position in positions)
        self._room = min(len(array) for _, array in places)
        self._taken: deque[_Block] = deque()  # with what was taken after it, until it is written
        self._changed = Condition()
        self._count = 0  # blocks that were taken
        self._counted, self._next = 0, row  # blocks whose rows are known, and the row after them
        self._stopped = False  # once a block cannot be written

    def write(self) -> Iterator[bytes]:
        """Write what can be written; return the blocks after it."""
        run_beside(self._work)
        return chain((block.text for block in self._taken), self._read)

    def _work(self) -> None:
        try:
            while (block := self._take()) is not None:
                block.end = self._written(block)
                self._put(block)
        except BaseException:
            self._stop()
            raise

    def _take(self) -> _Block | None:
        with self._changed:
            text = next(self._read, None) if not self._stopped else None
            if text is None:
                return None
            block = _Block(self._count, text)
            self._count += 1
            self._taken.append(block)
            return block

    def _written(self, block: _Block) -> int | None:
        try:
            cells = self._cut(block.text)
            row = self._first_row(block, cells.rows)
            if row is None or row + cells.rows > self._room:
                return None
            cells.numbers(self._positions)
        except NotPlainError:
            return None
        for positions, array in self._places:
            cells.write(positions, array[row : row + cells.rows])
        return row + cells.rows

    def _first_row(self, block: _Block, rows: int) -> int | None:
        """The row that a block of so many begins with, once those before it are cut; ``None`` where one cannot be."""
        with self._changed:
            self._changed.wait_for(lambda: self._counted == block.number or self._stopped)
            if self._counted != block.number:
                return None
            self._counted, row, self._next = self._counted + 1, self._next, self._next + rows
            self._changed.notify_all()
            return row

    def _put(self, block: _Block) -> None:
        if block.end is None:
            self._stop()
        with self._changed:
            while self._taken and (end := self._taken[0].end) is not None:
                self.row = end
                self._taken.popleft()

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
