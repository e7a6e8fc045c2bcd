"""The numbers in lines of text, many at once: digits are read eight at a time, by arithmetic on whole arrays.

Each number is the float64 nearest to what its digits say, as Python reads it. What is written in another way than
``-12.5`` (an exponent, a space, more digits than 64 bits hold), and the few numbers that lie so near to the middle of
two floats that the arithmetic here does not decide, are left to whoever asks: they are marked as odd.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from dataflow.data.readers.cut_lines import CutLines, Scratch

_LEAST = 64  # bytes of a text, so that there are eight before and after each position that is counted from either end
_WORD = np.uint64
_LARGEST = 1.8e19  # of the numbers that the digits write without their point; less than 2^64
_MOST_WHOLE, _MOST_FRACTION = 8, 22  # digits before and after the point
_SURE_DIGITS = 19  # which never write more than that
_POWERS = 10.0 ** np.arange(_MOST_FRACTION + 1)  # exact
_WHOLE_POWERS = np.array([10**i if i < 20 else 0 for i in range(_MOST_FRACTION + 1)], _WORD)
_KEPT = np.zeros(2 * _MOST_FRACTION + 1, _WORD)
"""By number of digits, the bits that the last of eight characters take up; a negative number counts from the end."""
_KEPT[1 : _MOST_FRACTION + 1] = [2**64 - 2 ** max(64 - 8 * i, 0) for i in range(1, _MOST_FRACTION + 1)]

_NONE = np.empty(0, np.intp)

Numbers = tuple[np.ndarray, np.ndarray | None, np.ndarray]
"""The numbers of a column, where there are none (0 stands there), and the rows whose cells are still to be read."""


class PlainCells(CutLines):
    """The cells of lines of text without quotes, a row a line, found by their separators."""

    def __init__(self, block: bytes, separator: str, decimal: str, width: int, scratch: Scratch | None = None) -> None:
        """``block`` holds whole lines, each with a line feed, and ``width`` cells; separator and decimal sign are one
        ASCII character."""
        self._scratch = scratch = scratch or Scratch()
        self._text = text = np.frombuffer(block, np.uint8)
        words = block if len(block) >= _LEAST else block.ljust(_LEAST)
        self._words = np.ndarray((len(words) - 7,), _WORD, words, strides=(1,))  # one begins at each byte
        digits = np.subtract(text, ord("0"), out=scratch("digits", len(text), np.uint8))
        self._marks = np.flatnonzero(np.greater(digits, 9, out=scratch("marks", len(text), np.bool_)))
        self._kinds = text[self._marks]
        is_end = self._kinds == ord("\n")
        self._lines = int(np.count_nonzero(is_end))
        is_end |= self._kinds == ord(separator)
        self._last = np.flatnonzero(is_end)  # the mark that ends each cell
        super().__init__(block, self._marks[self._last], width)
        self._decimal = ord(decimal)

    def is_table(self) -> bool:
        """Whether each line has as many cells as it should."""
        return self._are_rows(self._lines)

    def numbers(self, positions: Sequence[int]) -> list[Numbers]:
        """The numbers in the columns at these positions, where cells are empty, and the rows whose cells are odd: those
        have to be read in another way."""
        scratch, count = self._scratch, len(self._last)
        before_first, starts = scratch("before_first", count), scratch("starts", count)
        before_first[:1], starts[:1] = -1, 0
        before_first[1:] = self._last[:-1]
        np.add(self._ends[:-1], 1, out=starts[1:])
        parts = [before_first, self._last, starts, self._ends]
        if len(positions) < self._width:
            parts = [part.reshape(-1, self._width)[:, positions].reshape(-1) for part in parts]
        values, empty, odd = (part.reshape(self.rows, len(positions)).T for part in self._read(*parts))
        with_gaps, with_odd = (set(np.flatnonzero(part.any(axis=1))) if part.any() else set() for part in (empty, odd))
        return [
            (
                values[i],
                np.array(empty[i]) if i in with_gaps else None,
                np.flatnonzero(odd[i]) if i in with_odd else _NONE,
            )
            for i in range(len(positions))
        ]

    def _read(
        self, before_first: np.ndarray, last: np.ndarray, starts: np.ndarray, ends: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The numbers of cells between two marks each, which are empty and which are odd."""
        count, scratch = len(last), self._scratch
        if sys.byteorder != "little":  # where eight digits are not what they are here
            return np.zeros(count), np.zeros(count, np.bool_), np.ones(count, np.bool_)
        before = np.subtract(last, 1, out=scratch("before", count))
        inner = np.subtract(before, before_first, out=scratch("inner", count))  # marks in the cell: a sign, a point
        kinds = np.take(self._kinds, before, out=scratch("kinds", count, np.uint8), mode="wrap")
        point = np.equal(kinds, self._decimal, out=scratch("point", count, np.bool_))
        some = scratch("some", count, np.bool_)
        point &= np.greater(inner, 0, out=some)
        points = np.take(self._marks, before, out=scratch("points", count), mode="wrap")
        np.copyto(points, ends, where=np.logical_not(point, out=some))
        kinds = np.take(self._text, starts, out=kinds, mode="clip")
        negative = np.equal(kinds, ord("-"), out=scratch("negative", count, np.bool_))
        inner -= point
        odd = np.not_equal(inner, negative, out=scratch("odd", count, np.bool_))
        fraction = np.subtract(ends, points, out=scratch("fraction", count))
        fraction -= point
        whole = np.subtract(points, starts, out=scratch("whole", count))
        whole -= negative
        digits = np.add(fraction, whole, out=inner)
        for wrong in (digits <= 0, whole > _MOST_WHOLE, fraction > _MOST_FRACTION):
            odd |= wrong
        odd[: np.searchsorted(starts, _MOST_FRACTION + 2)] = True  # there are not enough bytes before them
        np.minimum(fraction, _MOST_FRACTION, out=fraction)

        mantissa = self._digits(ends, fraction)
        if (longest := fraction.max(initial=0)) > 8:
            more = self._digits(np.subtract(ends, 8, out=before), np.subtract(fraction, 8, out=scratch("far", count)))
            more *= _WORD(10**8)
            mantissa += more
        if longest > 16:
            far = np.flatnonzero(np.greater(fraction, 16, out=some))
            first = self._digits(ends[far] - 16, fraction[far] - 16)
            odd[far] |= first * 1e16 > _LARGEST / 2
            mantissa[far] += first * _WORD(10**16)
        if whole.max(initial=0) > 1:
            before_point = self._digits(points, np.minimum(whole, _MOST_WHOLE, out=before))
        else:
            kinds = np.take(self._text, np.subtract(points, 1, out=before), out=kinds, mode="wrap")
            before_point = np.subtract(kinds, ord("0"), out=scratch("first", count, _WORD))
            before_point *= whole > 0
        powers = np.take(_POWERS, fraction, out=scratch("powers", count, np.float64), mode="clip")
        if digits.max(initial=0) > _SURE_DIGITS:
            odd |= before_point * powers + mantissa > _LARGEST
        before_point *= np.take(_WHOLE_POWERS, fraction, out=scratch("whole powers", count, _WORD), mode="clip")
        mantissa += before_point
        values, unsure = _divided(mantissa, powers)
        odd[unsure] = True
        sign = scratch("whole powers", count, _WORD)
        sign[...] = negative
        sign <<= _WORD(63)
        values.view(_WORD)[...] |= sign
        empty = np.equal(starts, ends, out=some)
        values[empty] = 0
        odd &= np.logical_not(empty, out=point)
        return values, empty, odd

    def _digits(self, ends: np.ndarray, count: np.ndarray) -> np.ndarray:
        """The numbers that the last ``count`` digits before ``ends`` write, of the last eight if there are more; 0 for
        none."""
        words: np.ndarray = self._words[ends - 8]
        words &= np.take(_KEPT, count, out=self._scratch("kept", len(count), _WORD), mode="wrap")
        # pairs of digits become numbers up to 99, pairs of these up to 9999, and so on
        words &= _WORD(0x0F0F0F0F0F0F0F0F)
        words *= _WORD(10 * 2**8 + 1)
        words >>= _WORD(8)
        words &= _WORD(0x00FF00FF00FF00FF)
        words *= _WORD(100 * 2**16 + 1)
        words >>= _WORD(16)
        words &= _WORD(0x0000FFFF0000FFFF)
        words *= _WORD(10000 * 2**32 + 1)
        words >>= _WORD(32)
        return words


def _divided(mantissa: np.ndarray, powers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers over exact powers of ten, rounded to the nearest float64, and where that is not decided."""
    rounded = mantissa.astype(np.float64)
    values = rounded / powers
    large = np.flatnonzero(mantissa >= _WORD(2**53))  # the others are exact, so that one division rounds right
    if not len(large):
        return values, large
    numerator, divisor, quotient = rounded[large], powers[large], values[large]
    with np.errstate(invalid="ignore"):  # of numbers that are odd anyway, 2^64 is one
        rest = (mantissa[large] - numerator.astype(_WORD)).view(np.int64).astype(np.float64)
    # The product of quotient and divisor without its rounding: Dekker, A floating-point technique for extending the
    # available precision, 1971. What the numerator has beyond it gives the digits after those of the quotient.
    quotient_high, quotient_low = _halves(quotient)
    divisor_high, divisor_low = _halves(divisor)
    product = quotient * divisor
    lost = quotient_low * divisor_low - (
        ((product - quotient_high * divisor_high) - quotient_low * divisor_high) - quotient_high * divisor_low
    )
    more = (((numerator - product) - lost) + rest) / divisor
    values[large] = quotient + more
    unsure = quotient + more * (1 - 2.0**-40) != quotient + more * (1 + 2.0**-40)
    return values, large[unsure]


def _halves(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each number as a sum of two with half of the digits."""
    scaled = numbers * (2.0**27 + 1)
    high = scaled - (scaled - numbers)
    return high, numbers - high
