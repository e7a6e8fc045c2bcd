"""Jacobians as operators that know their structure: what they would cost to store and to multiply, and no more.

Rows are the output's entries, columns the input's, both in row-major order. ``left(rows)`` is ``rows @ J``, which
is what back-propagation does with a Jacobian; ``dense()`` builds the matrix, which may take much memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataflow.errors import ShapeError
from dataflow.support.arrays import Kept

DENSE_LIMIT = 2**24
"""Bytes of the largest matrix that is built without an explicit request: 16 MiB."""


class Jacobian(Kept, ABC):
    """A linear map of ``shape`` (rows, columns)."""

    shape: tuple[int, int]

    @property
    @abstractmethod
    def structure(self) -> str:
        """Its structure in a word or two: identity, diagonal, selection, Kronecker, block by example, dense, ..."""

    @property
    @abstractmethod
    def multiplications(self) -> int:
        """The multiplications of one row vector by this Jacobian, with its structure used."""

    @abstractmethod
    def left(self, rows: np.ndarray) -> np.ndarray:
        """``rows @ self`` for a matrix of row vectors, (k, rows) to (k, columns)."""

    def dense(self) -> np.ndarray:
        """The matrix, rows × columns."""
        with np.errstate(all="ignore"):
            return self.left(np.eye(self.shape[0]))

    @property
    def dense_bytes(self) -> int:
        """The bytes of the matrix in float64."""
        return 8 * self.shape[0] * self.shape[1]

    def __matmul__(self, other: Jacobian) -> Jacobian:
        if self.shape[1] != other.shape[0]:
            raise product_error(self.shape, other.shape)
        return _product(self, other)

    def __add__(self, other: Jacobian) -> Jacobian:
        if isinstance(self, OnePerRow) and isinstance(other, OnePerRow) and np.array_equal(self.columns, other.columns):
            return OnePerRow(self.values + other.values, self.columns, self.shape[1], plain=False)
        if isinstance(self, OnePerColumn) and isinstance(other, OnePerColumn):
            transposed = self.transposed + other.transposed
            if isinstance(transposed, OnePerRow):
                return OnePerColumn(transposed)
        if isinstance(self, Dense) and isinstance(other, Dense):
            return Dense(self.matrix + other.matrix)
        return Sum(self, other)


def product_error(left: tuple[int, int], right: tuple[int, int]) -> ShapeError:
    """The error for factors whose widths do not agree."""
    return ShapeError(
        f"({left[0]}×{left[1]})({right[0]}×{right[1]}) is no product: {left[1]} columns meet {right[0]} rows; "
        f"the order of the factors matters, the outermost derivative stands left"
    )


@dataclass(frozen=True, eq=False)
class OnePerRow(Jacobian):
    """At most one entry in each row: an identity, a diagonal, a selection, a broadcast. A column of −1 is a row of
    zeros.

    ``plain`` says that all entries are 1, whatever the values of the graph are.
    """

    values: np.ndarray
    columns: np.ndarray
    width: int
    plain: bool = False

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return len(self.columns), self.width

    @property
    def is_square_diagonal(self) -> bool:
        return len(self.columns) == self.width and bool(np.array_equal(self.columns, np.arange(self.width)))

    @property
    def structure(self) -> str:
        if self.is_square_diagonal:
            return "identity" if self.plain else "diagonal"
        return "selection" if self.plain else "one entry in each row"

    @property
    def multiplications(self) -> int:
        return 0 if self.plain else int(np.count_nonzero(self.columns >= 0))

    def left(self, rows: np.ndarray) -> np.ndarray:
        scaled = rows if self.plain else rows * self.values
        if self.is_square_diagonal:
            return scaled
        used = self.columns >= 0
        result = np.zeros((self.width, len(rows)), np.result_type(scaled))
        np.add.at(result, self.columns[used], scaled.T[used])
        return result.T

    def dense(self) -> np.ndarray:
        """The matrix; where an entry is infinite the others of its row are 0 all the same, not 0 · ∞."""
        result = np.zeros(self.shape)
        used = np.flatnonzero(self.columns >= 0)
        result[used, self.columns[used]] = 1 if self.plain else np.asarray(self.values).reshape(-1)[used]
        return result


@dataclass(frozen=True, eq=False)
class OnePerColumn(Jacobian):
    """At most one entry in each column: a sum over axes, or a piece put in its place. The transpose of
    ``OnePerRow``."""

    transposed: OnePerRow

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        rows, columns = self.transposed.shape
        return columns, rows

    @property
    def structure(self) -> str:
        if self.shape[0] == 1:
            return "dense"
        return "sum" if self.transposed.plain else "weighted sum"

    @property
    def multiplications(self) -> int:
        return self.transposed.multiplications

    def left(self, rows: np.ndarray) -> np.ndarray:
        inner = self.transposed
        taken = np.where(inner.columns >= 0, rows[:, inner.columns], 0)
        return taken if inner.plain else taken * inner.values

    def dense(self) -> np.ndarray:
        """The matrix."""
        return self.transposed.dense().T


@dataclass(frozen=True, eq=False)
class Kronecker(Jacobian):
    """``matrix ⊗ I`` or ``I ⊗ matrix``, as for W x: the identity has ``size`` rows. ``identity_first`` says for
    the rows and for the columns whether the index of the identity runs slower."""

    matrix: np.ndarray
    size: int
    identity_first: tuple[bool, bool]

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.matrix.shape[0] * self.size, self.matrix.shape[1] * self.size

    @property
    def structure(self) -> str:
        if self.size == 1:
            return "dense"
        if self.identity_first == (True, True) or (self.identity_first == (False, True) and self.matrix.shape[0] == 1):
            return "Kronecker, I ⊗ A"
        if self.identity_first == (False, False) or (
            self.identity_first == (True, False) and self.matrix.shape[0] == 1
        ):
            return "Kronecker, A ⊗ I"
        return "Kronecker, A ⊗ I reordered"

    @property
    def multiplications(self) -> int:
        return self.matrix.size * self.size

    def left(self, rows: np.ndarray) -> np.ndarray:
        outer, inner = self.matrix.shape
        if self.identity_first[0]:
            product: np.ndarray = rows.reshape(len(rows), self.size, outer) @ self.matrix  # (k, size, inner)
        else:
            product = np.swapaxes(rows.reshape(len(rows), outer, self.size), 1, 2) @ self.matrix
        if not self.identity_first[1]:
            product = np.swapaxes(product, 1, 2)
        return product.reshape(len(rows), inner * self.size)

    def dense(self) -> np.ndarray:
        """The matrix, with the factor at each place where the identity has its ones."""
        outer, inner = self.matrix.shape
        result = np.zeros((self.size, outer, self.size, inner))
        each = np.arange(self.size)
        result[each, :, each, :] = self.matrix
        rows, columns = ((0, 1) if self.identity_first[0] else (1, 0)), ((2, 3) if self.identity_first[1] else (3, 2))
        return result.transpose(*rows, *columns).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class BlockByExample(Jacobian):
    """One block for each example on the diagonal, and zeros elsewhere; ``blocks`` is (n, rows, columns)."""

    blocks: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        count, rows, columns = self.blocks.shape
        return count * rows, count * columns

    @property
    def structure(self) -> str:
        return "block by example" if len(self.blocks) != 1 else "dense"

    @property
    def multiplications(self) -> int:
        return int(self.blocks.size)

    def left(self, rows: np.ndarray) -> np.ndarray:
        count, height, _ = self.blocks.shape
        pieces: np.ndarray = np.swapaxes(rows.reshape(len(rows), count, height), 0, 1) @ self.blocks
        return np.swapaxes(pieces, 0, 1).reshape(len(rows), -1)

    def dense(self) -> np.ndarray:
        """The matrix, blocks on its diagonal."""
        count, rows, columns = self.blocks.shape
        result = np.zeros((count, rows, count, columns))
        each = np.arange(count)
        result[each, :, each, :] = self.blocks
        return result.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Dense(Jacobian):
    """A matrix with no known structure."""

    matrix: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        rows, columns = self.matrix.shape
        return rows, columns

    @property
    def structure(self) -> str:
        return "dense"

    @property
    def multiplications(self) -> int:
        return int(self.matrix.size)

    def left(self, rows: np.ndarray) -> np.ndarray:
        product: np.ndarray = rows @ self.matrix
        return product

    def dense(self) -> np.ndarray:
        return self.matrix


@dataclass(frozen=True, eq=False)
class Implicit(Jacobian):
    """A dense Jacobian that is too large to store: ``rule`` multiplies a row vector by it."""

    size: tuple[int, int]
    rule: Callable[[np.ndarray], np.ndarray]

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.size

    @property
    def structure(self) -> str:
        return "dense"

    @property
    def multiplications(self) -> int:
        return self.size[0] * self.size[1]

    def left(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([self.rule(row) for row in rows]) if len(rows) else np.zeros((0, self.size[1]))


@dataclass(frozen=True, eq=False)
class Product(Jacobian):
    """Two factors kept apart, as their product would be larger than both."""

    first: Jacobian
    second: Jacobian

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.first.shape[0], self.second.shape[1]

    @property
    def structure(self) -> str:
        return f"{self.first.structure} · {self.second.structure}"

    @property
    def multiplications(self) -> int:
        return self.first.multiplications + self.second.multiplications

    def left(self, rows: np.ndarray) -> np.ndarray:
        return self.second.left(self.first.left(rows))


@dataclass(frozen=True, eq=False)
class Sum(Jacobian):
    """Two terms kept apart."""

    first: Jacobian
    second: Jacobian

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.first.shape

    @property
    def structure(self) -> str:
        terms = self.terms()
        if all(isinstance(term, OnePerRow) and not term.is_square_diagonal for term in terms):
            return f"at most {min(len(terms), self.shape[1])} entries in each row"
        return " + ".join(dict.fromkeys(term.structure for term in terms))

    def terms(self) -> list[Jacobian]:
        """Those of sums within it, too."""
        pending: list[Jacobian] = [self]
        terms = []
        while pending:
            term = pending.pop()
            if isinstance(term, Sum):
                pending += [term.second, term.first]
            else:
                terms.append(term)
        return terms

    @property
    def multiplications(self) -> int:
        return self.first.multiplications + self.second.multiplications

    def left(self, rows: np.ndarray) -> np.ndarray:
        total: np.ndarray = self.first.left(rows) + self.second.left(rows)
        return total


def identity(size: int) -> OnePerRow:
    """The identity matrix."""
    return OnePerRow(np.ones(size), np.arange(size), size, plain=True)


def is_identity(jacobian: Jacobian) -> bool:
    """Whether a Jacobian is the identity, whatever the values of the graph are."""
    return isinstance(jacobian, OnePerRow) and jacobian.plain and jacobian.is_square_diagonal


def _product(first: Jacobian, second: Jacobian) -> Jacobian:
    if is_identity(first):
        return second
    if is_identity(second):
        return first
    if isinstance(first, OnePerRow) and isinstance(second, OnePerRow):
        used = first.columns >= 0
        columns = np.where(used, second.columns[first.columns], -1)
        values = np.where(columns >= 0, first.values * second.values[first.columns], 0)
        return OnePerRow(values, columns, second.width, plain=first.plain and second.plain)
    if isinstance(first, OnePerColumn) and isinstance(second, OnePerColumn):
        transposed = _product(second.transposed, first.transposed)
        if isinstance(transposed, OnePerRow):
            return OnePerColumn(transposed)
    if isinstance(first, OnePerColumn) and isinstance(second, OnePerRow) and second.is_square_diagonal:
        inner = first.transposed
        return OnePerColumn(OnePerRow(inner.values * second.values, inner.columns, inner.width, plain=False))
    if isinstance(first, OnePerRow) and first.is_square_diagonal and isinstance(second, OnePerColumn):
        inner = second.transposed
        scale = np.where(inner.columns >= 0, first.values[inner.columns], 0)
        return OnePerColumn(OnePerRow(inner.values * scale, inner.columns, inner.width, plain=False))
    if isinstance(first, Kronecker) and isinstance(second, OnePerRow) and second.plain and _is_swap(first, second):
        return Kronecker(first.matrix, first.size, (first.identity_first[0], not first.identity_first[1]))
    result_bytes = 8 * first.shape[0] * second.shape[1]
    if first.shape[0] == 1 or (result_bytes <= DENSE_LIMIT and isinstance(first, Dense)):
        return Dense(second.left(first.dense()))
    return Product(first, second)


def _is_swap(kronecker: Kronecker, permutation: OnePerRow) -> bool:
    """Whether a permutation exchanges the two indices of a Kronecker product's columns."""
    inner, size = kronecker.matrix.shape[1], kronecker.size
    if permutation.width != inner * size or len(permutation.columns) != inner * size:
        return False
    order = np.arange(inner * size)
    swapped = order.reshape((inner, size) if kronecker.identity_first[1] else (size, inner)).T.reshape(-1)
    return bool(np.array_equal(permutation.columns, swapped))
