"""Reading of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from dataflow.data.readers.opening import Origin, utf16
from dataflow.errors import DataError
from dataflow.limits import current, most_decoded
from dataflow.support.conversion import LARGE_NUMBER, TooLargeError, finite, misfit
from dataflow.support.texts import shorten

JSON_LIMIT = 32 * 2**20
"""The longest JSON file in bytes."""

DEEPEST = 1000
"""More brackets than this are never open at once, though some versions of Python read them."""

# What Python takes for what is behind each mark.
_JSON_COSTS = {b"[": 72, b"{": 72, b",": 8, b":": 100, b'"': 32, b".": 24, b"e": 24, b"E": 24}


def read_json(origin: Origin, number: Callable[[str], float] | None = None) -> Any:
    """What the file holds. Not more than ``JSON_LIMIT``, no key twice in one object. ``number`` makes a float of its
    text."""
    path = origin.name
    with origin.open() as file:
        data = file.read(JSON_LIMIT + 1)
    if len(data) > JSON_LIMIT:
        raise DataError(
            f"is longer than {JSON_LIMIT / 2**20:g} MiB, which is the most for JSON; use .npz or .csv", file=path
        )
    most = most_decoded(current().structure, len(data))
    if (cost := sum(each * data.count(mark) for mark, each in _JSON_COSTS.items())) > most:
        raise DataError(f"would take about {cost >> 20} MiB of memory; use .npz or .csv", file=path)
    if (found := utf16(data)) is not None:
        raise DataError(f"is {found} text; save it as UTF-8", file=path, line=1)
    try:
        return parse_json(data.decode("utf-8-sig"), number)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError("is not UTF-8 text; save it as UTF-8", file=path, line=line) from None
    except DataError as error:
        raise error.at(file=path) from None


def parse_json(text: str, number: Callable[[str], float] | None = None) -> Any:
    """What a JSON text says: no key twice in one object, no number that float64 does not hold."""
    # A number of Python's own reading that is too large is infinite; only such texts need the slower way.
    read = number or (finite if LARGE_NUMBER.search(text) else None)
    try:
        decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=read) if read else _DECODER
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        if _depth(text[: error.pos]) > DEEPEST:
            raise DataError("is nested too deep") from None
        raise DataError(f"is not JSON: {error.msg}", line=error.lineno, column=error.colno) from None
    except TooLargeError as error:
        offset = text.find(written := str(error))
        line, column = text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
        raise DataError(misfit(written, np.dtype(np.float64)), line=line, column=column) from None
    except RecursionError:
        raise DataError("is nested too deep") from None
    except ValueError:  # Python advises to change its own limit
        raise DataError("has a whole number of thousands of digits; write it as a float, 1e30") from None


# ------------------------------------------------------------------------------------------------ internals


def _depth(text: str) -> int:
    """How many brackets are open at the end of a text, give or take those in strings."""
    return text.count("[") + text.count("{") - text.count("]") - text.count("}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise DataError(f"the key '{shorten(twice)}' stands twice in one object")
    return result


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
"""For most texts: of JSON lines, to make one for each takes as long as to read it."""
