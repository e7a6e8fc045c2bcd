"""The numbers in lines of text, many at once: digits are read eight at a time, by arithmetic on whole arrays.

Each number is the float64 nearest to what its digits say, as Python reads it. What is written in another way than
``-12.5`` (an exponent, a space, more digits than 64 bits hold), and the few numbers that lie so near to the middle of
two floats that the arithmetic here does not decide, are left to whoever asks: they are marked as odd.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

_PAD = 24  # bytes before the text, so that the eight bytes before any cell are there
_WORD = np.uint64
_LARGEST = 1.8e19  # of the numbers that the digits write without their point; less than 2^64
_MOST_WHOLE, _MOST_FRACTION = 8, 22  # digits before and after the point
_POWERS = 10.0 ** np.arange(_MOST_FRACTION + 1)  # exact
_WHOLE_POWERS = np.array([10**i if i < 20 else 0 for i in range(_MOST_FRACTION + 1)], _WORD)
_KEPT = np.zeros(2 * _MOST_FRACTION + 1, _WORD)
"""By number of digits, the bits that the last of eight characters take up; a negative number counts from the end."""
_KEPT[1 : _MOST_FRACTION + 1] = [2**64 - 2 ** max(64 - 8 * i, 0) for i in range(1, _MOST_FRACTION + 1)]

_NONE = np.empty(0, np.intp)

Numbers = tuple[np.ndarray, np.ndarray | None, np.ndarray]
"""The numbers of a column, where there are none (0 stands there), and the rows whose cells are still to be read."""


class PlainCells:
    """The cells of lines of text without quotes, a row a line, found by their separators."""

    def __init__(self, block: bytes, separator: str, decimal: str, width: int) -> None:
        """``block`` holds whole lines, each with a line feed, and ``width`` cells; separator and decimal sign are one
        ASCII character."""
        self._raw = b"0" * _PAD + block
        self._text = np.frombuffer(self._raw, np.uint8)[_PAD:]
        self._words = np.ndarray((len(self._raw) - 7,), _WORD, self._raw, strides=(1,))  # one begins at each byte
        self._marks = np.flatnonzero((self._text - np.uint8(48)) > 9)
        self._kinds = self._text[self._marks]
        line_feeds = self._kinds == ord("\n")
        self._last = np.flatnonzero(line_feeds | (self._kinds == ord(separator)))  # the mark that ends each cell
        self._closes = line_feeds[self._last]
        self._decimal = ord(decimal)
        self._width = width
        self.rows = len(self._last) // width

    def is_table(self) -> bool:
        """Whether each line has as many cells as it should."""
        if len(self._last) % self._width:
            return False
        closes = self._closes.reshape(-1, self._width)
        return bool(closes[:, -1].all()) and not closes[:, :-1].any()

    def text(self, position: int, row: int) -> str:
        """What stands in a cell of the column at this position."""
        cell = row * self._width + position
        start = int(self._marks[self._last[cell - 1]]) + 1 if cell else 0
        return self._raw[_PAD + start : _PAD + int(self._marks[self._last[cell]])].decode()

    def texts(self, position: int) -> list[str]:
        """What stands in the cells of a column."""
        return [self.text(position, row) for row in range(self.rows)]

    def numbers(self, positions: Sequence[int]) -> list[Numbers]:
        """The numbers in the columns at these positions, where cells are empty, and the rows whose cells are odd: those
        have to be read in another way."""
        last = self._last.reshape(-1, self._width)
        before_first = np.concatenate([[-1], self._last[:-1]]).reshape(-1, self._width)
        if len(positions) < self._width:
            last, before_first = last[:, positions], before_first[:, positions]
        values, empty, odd = (
            part.reshape(last.shape).T for part in self._read(before_first.reshape(-1), last.reshape(-1))
        )
        with_gaps, with_odd = (set(np.flatnonzero(part.any(axis=1))) if part.any() else set() for part in (empty, odd))
        return [
            (values[i], empty[i] if i in with_gaps else None, np.flatnonzero(odd[i]) if i in with_odd else _NONE)
            for i in range(len(positions))
        ]

    def _read(self, outside: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The numbers of cells between two marks each, which are empty and which are odd."""
        if sys.byteorder != "little":  # where eight digits are not what they are here
            return np.zeros(len(last)), np.zeros(len(last), np.bool_), np.ones(len(last), np.bool_)
        starts, ends = self._marks[outside] + 1, self._marks[last]
        if len(outside) and outside[0] < 0:
            starts[0] = 0
        empty = starts == ends
        before = last - 1
        inner = before - outside  # how many marks there are within the cell: a sign, a point
        point = (inner > 0) & (self._kinds[before] == self._decimal)
        points = np.where(point, self._marks[before], ends)
        negative = self._text[starts] == ord("-")
        odd = inner != point.view(np.int8) + negative.view(np.int8)
        fraction = ends - points - point
        whole = points - starts - negative
        odd |= (fraction + whole <= 0) | (whole > _MOST_WHOLE) | (fraction > _MOST_FRACTION)
        np.minimum(fraction, _MOST_FRACTION, out=fraction)

        mantissa = self._digits(ends, fraction)
        if (longest := fraction.max(initial=0)) > 8:
            mantissa += self._digits(ends - 8, fraction - 8) * _WORD(10**8)
        if longest > 16:
            far = np.flatnonzero(fraction > 16)
            first = self._digits(ends[far] - 16, fraction[far] - 16)
            odd[far] |= first * 1e16 > _LARGEST / 2
            mantissa[far] += first * _WORD(10**16)
        if whole.max(initial=0) > 1:
            before_point = self._digits(points, np.minimum(whole, _MOST_WHOLE))
        else:
            before_point = np.where(whole > 0, self._text[points - 1] - np.uint8(48), 0).astype(_WORD)
        powers = _POWERS[fraction]
        odd |= before_point * powers + mantissa > _LARGEST
        mantissa += before_point * _WHOLE_POWERS[fraction]
        values, unsure = _divided(mantissa, powers)
        odd[unsure] = True
        values.view(_WORD)[...] |= negative.astype(_WORD) << _WORD(63)
        values[empty] = 0
        odd &= ~empty
        return values, empty, odd

    def _digits(self, ends: np.ndarray, count: np.ndarray) -> np.ndarray:
        """The numbers that the last ``count`` digits before ``ends`` write, of the last eight if there are more; 0 for
        none."""
        words: np.ndarray = self._words[ends + (_PAD - 8)]
        words &= _KEPT[count]
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
