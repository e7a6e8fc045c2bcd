"""Decoding of msgpack from strangers: a scan that builds nothing, and only then msgpack's own decoder.

msgpack's limits bound single containers, not memory: two megabytes of empty containers take 141 MB when decoded, and
nested array heads allocate what they declare before a single item was seen. The scan walks over the bytes first,
without recursion, and adds up what the objects *would* take, so that a hostile structure is refused while it is still
bytes. What passes holds maps with text keys, arrays, text, numbers, booleans and nil, nested at most 64 deep.
"""

from __future__ import annotations

import re
import sys
from typing import Any, cast

import msgpack

from dataflow.errors import FileFormatError
from dataflow.limits import advice, current
from dataflow.support.gc_pause import collector_paused
from dataflow.support.texts import quoted

NESTING = 64
"""How deep maps and arrays may be nested, the outermost counted."""

# What CPython (3.11 to 3.13, 64 bits) takes for an object, rounded up; a place in an array or map is charged with its
# container. The pairs of a map that is still open exist as tuples, too, which matters if there are many. A key is
# charged once however often it stands in the file: keys are interned, and the interpreter's table of those grows, too.
_NUMBER = 48
_TEXT = 64
_KEY = 192
_ARRAY, _PLACE = 64, 8
_MAP, _PAIR, _TUPLE, _MANY = 144, 48, 88, 16

_ONE_BYTE = re.compile(rb"[\x00-\x7f\xc0\xc2\xc3\xe0-\xff]+")
_NUMBERS = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_SIZED = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_REFUSED = {
    **dict.fromkeys((0xC4, 0xC5, 0xC6), "binary data (bin), which only tensors are"),
    **dict.fromkeys((0xC7, 0xC8, 0xC9, *range(0xD4, 0xD9)), "an extension type or timestamp"),
    0xC1: "the byte 0xc1, which msgpack never uses",
}


def decode(data: bytes, *, memory: int) -> dict[str, Any]:
    """The map that ``data`` encodes, which must be one msgpack object and nothing after it.

    ``memory`` bounds, in bytes, what the decoded objects may take. Raises ``FileFormatError`` for anything else than a
    map of text keys to values that the module allows, a key that stands twice, or text that is not UTF-8.
    """
    if not data or not (0x80 <= data[0] <= 0x8F or data[0] in (0xDE, 0xDF)):
        raise FileFormatError("expected the header to be a map, found something else; the file is damaged or hostile")
    scan(data, memory=memory)
    try:
        with collector_paused():
            result = msgpack.unpackb(data, raw=False, strict_map_key=True, object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise FileFormatError(f"expected text in UTF-8, found {error.reason} in the header; save it again") from None
    return cast(dict[str, Any], result)


def scan(data: bytes, *, memory: int) -> None:
    """Check that ``data`` is exactly one allowed object, without building it.

    Raises ``FileFormatError`` where the object is cut off, is followed by something, is nested too deep, holds a type
    that is not allowed or a key that is not text, or would take more than ``memory`` bytes when decoded.
    """
    position, end, cost = 0, len(data), 0
    left, is_map = 1, False  # what the innermost open container still lacks; a map lacks two objects for a pair
    outer: list[tuple[int, bool]] = []
    keys: set[bytes] = set()
    while left or outer:
        if not left:
            left, is_map = outer.pop()
            continue
        if position >= end:
            raise _cut_off(position)
        code = data[position]
        is_key = is_map and not left & 1
        if is_key and not (0xA0 <= code <= 0xBF or 0xD9 <= code <= 0xDB):
            raise FileFormatError(f"expected a map's key to be text, found something else at {_place(position)}")
        left -= 1

        if 0xA0 <= code <= 0xBF:
            start, position = position, position + 1 + (code & 0x1F)
            if not is_key:
                cost += _TEXT + 4 * (code & 0x1F)
            elif (key := data[start:position]) not in keys:
                keys.add(key)
                cost += _KEY + 4 * (code & 0x1F)
        elif code <= 0x7F or code >= 0xE0 or code in (0xC0, 0xC2, 0xC3):
            position += 1
            if left and not is_map and (run := _ONE_BYTE.match(data, position, position + left)):
                left -= run.end() - position
                position = run.end()
        elif code in _NUMBERS:
            position += 1 + _NUMBERS[code]
            cost += _NUMBER
        elif code in _REFUSED:
            raise FileFormatError(f"found {_REFUSED[code]}, at {_place(position)}; the format has no such thing")
        else:
            start = position + 1 + _SIZED.get(code, 0)
            count = int.from_bytes(data[position + 1 : start], "big") if code > 0x9F else code & 0x0F
            if start > end:
                raise _cut_off(position)
            if code in (0xD9, 0xDA, 0xDB):
                position = start + count
                if position > end:
                    raise _cut_off(end)
                # A single character beyond the basic plane widens all others to four bytes, and a copy is made.
                cost += (_KEY if is_key else _TEXT) + count * (1 if data[start:position].isascii() else 5)
            else:
                outer.append((left, is_map))
                is_map = code <= 0x8F or code >= 0xDE
                left = 2 * count if is_map else count
                pair = _PAIR + _TUPLE if count > _MANY else _PAIR
                cost += _MAP + pair * count if is_map else _ARRAY + _PLACE * count
                if left > end - start:
                    raise FileFormatError(
                        f"expected {left} objects at {_place(position)}, found {end - start} bytes; "
                        "the file is damaged or hostile"
                    )
                if len(outer) > NESTING:
                    raise FileFormatError(f"expected at most {NESTING} levels of nesting, found more; nest less deeply")
                position = start
        if cost > memory:
            raise FileFormatError(
                f"expected a structure that takes at most {memory / 2**20:.0f} MiB of memory, found a larger one"
                + advice("structure", 2 * current().structure)
            )
    if position > end:
        raise _cut_off(end)
    if position < end:
        raise FileFormatError(f"expected the header to end at {_place(position)}, found {end - position} bytes more")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = {sys.intern(key): value for key, value in pairs}
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise FileFormatError(f"expected every key of a map once, found {quoted(key)} twice; remove one")
            seen.add(key)
    return result


def _place(position: int) -> str:
    return f"byte {position} of the header"


def _cut_off(position: int) -> FileFormatError:
    return FileFormatError(f"expected an object at {_place(position)}, found its end; the file is damaged or hostile")
