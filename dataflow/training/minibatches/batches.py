"""Minibatches: an endless sequence with a position that can be saved and gone back to."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import numpy as np


class Minibatches(ABC):
    """The minibatches of one epoch after the other. ``epoch`` and ``batch``, both from 0, are the whole position: what
    comes next depends on nothing else, so that a run that goes on from a saved position sees what it would have
    seen."""

    epoch: int = 0
    batch: int = 0
    per_epoch: int
    """The number of minibatches in an epoch."""

    @abstractmethod
    def current(self) -> Mapping[str, np.ndarray]:
        """The minibatch at the position: an array for each input, in its declared dtype."""

    @abstractmethod
    def everything(self) -> Mapping[str, np.ndarray]:
        """All examples, in their order in the data, for what is measured after an epoch."""

    @abstractmethod
    def digest(self) -> str:
        """A checksum of all examples; two sets of minibatches with one checksum are the same."""

    @property
    def position(self) -> int:
        """The minibatches before the position."""
        return self.epoch * self.per_epoch + self.batch

    def advance(self, count: int = 1) -> None:
        """Go on by so many minibatches."""
        self.batch += count
        if self.batch >= self.per_epoch:
            epochs, self.batch = divmod(self.batch, self.per_epoch)
            self.epoch += epochs

    def seek(self, epoch: int, batch: int) -> None:
        """Go to a position."""
        self.epoch, self.batch = epoch, batch

    def __iter__(self) -> Iterator[Mapping[str, np.ndarray]]:
        while True:
            yield self.current()
            self.advance()


class ArrayMinibatches(Minibatches):
    """Minibatches of arrays in memory. ``split`` names the inputs that have a row for each example; the others go with
    every minibatch as they are. The last minibatch of an epoch is shorter where the examples do not divide evenly.

    With ``shuffle``, an epoch's order depends on the seed and the epoch alone: it is a permutation from NumPy's default
    generator for ``SeedSequence([seed, epoch])``. Without, minibatches are consecutive examples.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        split: Sequence[str],
        count: int,
        batch_size: int | None,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        self.arrays = dict(arrays)
        self.split = list(split)
        self.count = count
        self.batch_size = min(count, batch_size or count)
        self.per_epoch = -(-count // self.batch_size)
        self.shuffle, self._seed = shuffle, seed
        self._order: tuple[int, np.ndarray] | None = None

    def current(self) -> Mapping[str, np.ndarray]:
        if self.per_epoch == 1 and not self.shuffle:
            return self.arrays
        start = self.batch * self.batch_size
        part = slice(start, start + self.batch_size)
        batch = dict(self.arrays)
        if self.shuffle:
            rows = self.order(self.epoch)[part]
            for name in self.split:
                batch[name] = self.arrays[name].take(rows, axis=0)
        else:
            for name in self.split:
                batch[name] = self.arrays[name][part]
        return batch

    def everything(self) -> Mapping[str, np.ndarray]:
        return self.arrays

    def order(self, epoch: int) -> np.ndarray:
        """The order of the examples in an epoch, where they are shuffled."""
        if self._order is None or self._order[0] != epoch:
            rng = np.random.default_rng(np.random.SeedSequence([self._seed, epoch]))
            self._order = epoch, rng.permutation(self.count)
        return self._order[1]

    def digest(self) -> str:
        return digest_of(self.arrays)


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """A checksum of arrays with their names, shapes and dtypes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(repr((name, array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
