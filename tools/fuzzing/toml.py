"""Hostile TOML: bytes, tokens and lines changed, trees changed and written anew."""

from __future__ import annotations

import math
import re
import tomllib
from random import Random
from typing import Any

from fuzzing.expressions import expression, quoted
from fuzzing.values import FLOATS, INTEGERS, NAMES, TEXTS, Pairs, Raw, Tree, mangle, mutate, text

_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|'
    r"\d{4}-\d\d-\d\d|[A-Za-z_][\w-]*|[-+]?[\d_.]+(?:[eE][-+]?\d+)?|\s+|.",
    re.DOTALL,
)
_LITERALS = (
    *('"', "'", '"""', "'''"),
    *"[ ] [[ ]] { } , . = #".split(),
    *("\n", "\\", "\\u0000", "\\UFFFFFFFF", "\0", "\r"),
    *"true false nan -inf 1979-05-27 1979-05-27T07:32:00Z 07:32:00 0x7fffffffffffffff 0b1 0o7".split(),
    *("1e400", "-1e400", "1e999999999", "9" * 5000, "1" + "0" * 30),
    *"1_000 0.1e-400 +1 -0 0.0 [[]] [{}]".split(),
    *(f"[{name}]\n" for name in "inputs nodes model data train blocks.layer parameters constants".split()),
    *"shape init value dtype op attributes outputs loss optimizer epochs columns one_hot".split(),
    *"missing categories standardize learned".split(),
    *("[" * 70, "{a=" * 70, "a." * 70 + "a", "[" * 3000, "a." * 3000 + "a=1\n", "é", "\u202e", "\ufeff", "=" * 50),
)


def any_bytes(rng: Random, seeds: list[bytes]) -> bytes:
    """Any bytes of a file changed."""
    return mangle(rng, rng.choice(seeds), rng.choice(seeds))


def tokens(rng: Random, seeds: list[bytes]) -> bytes:
    """Tokens and lines doubled, swapped, taken out, put in, exchanged with those of another file."""
    words = _TOKEN.findall(rng.choice(seeds).decode())
    others = _TOKEN.findall(rng.choice(seeds).decode())
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        i = rng.randrange(len(words) + 1)
        kind = rng.randrange(9)
        if kind == 0:
            del words[i : i + rng.choice((1, 1, 3))]
        elif kind == 1 and i < len(words):
            words.insert(rng.randrange(len(words)), words[i])
        elif kind == 2:
            words[i : i + 1] = [rng.choice(others)]
        elif kind == 3:
            words[i:i] = [rng.choice(_LITERALS)]
        elif kind == 4:
            words[i : i + 1] = [rng.choice(_LITERALS)]
        elif kind == 5:
            words[i : i + 1] = [str(rng.choice((*INTEGERS, *FLOATS, *NAMES)))]
        elif kind == 6 and i < len(words):
            words[i] = text(rng, words[i])
        elif kind == 7:
            words = _TOKEN.findall(_lines(rng, "".join(words), "".join(others)))
        else:
            strings = [j for j, token in enumerate(words) if token.startswith('"') and not token.startswith('"""')]
            if strings:
                words[rng.choice(strings)] = quoted(expression(rng, _names_in(words)))
    return "".join(words).encode("utf-8", "replace")


def tree(rng: Random, seeds: list[bytes]) -> bytes:
    """What a file holds changed, and written as TOML again."""
    data = as_tree(tomllib.loads(rng.choice(seeds).decode()))
    other = as_tree(tomllib.loads(rng.choice(seeds).decode()))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mutate(rng, data, other)
    return written(data).encode("utf-8", "replace")


def _names_in(words: list[str]) -> list[str]:
    return [token for token in words if token.isidentifier() and len(token) < 4] or ["x"]


# ------------------------------------------------------------------------------------------------ writing


def as_tree(data: Any) -> Tree:
    """What tomllib read, with ``Pairs`` for its tables."""
    if isinstance(data, dict):
        return Pairs([(key, as_tree(item)) for key, item in data.items()])
    return [as_tree(item) for item in data] if isinstance(data, list) else data


def written(data: Tree) -> str:
    """A tree as TOML: its outermost tables with headers, the rest inline."""
    if not isinstance(data, Pairs):
        return inline(data)
    top = [f"{quoted(str(key))} = {inline(item)}\n" for key, item in data.items if not isinstance(item, Pairs)]
    for key, item in data.items:
        if isinstance(item, Pairs):
            top.append(f"[{quoted(str(key))}]\n")
            top += [f"{quoted(str(inner))} = {inline(part)}\n" for inner, part in item.items]
    return "".join(top)


def inline(item: Tree) -> str:
    """A value on one line; deep ones without recursion."""
    pieces: list[str] = []
    pending: list[Any] = [item]
    while pending:
        item = pending.pop()
        if isinstance(item, _Text):
            pieces.append(item.text)
        elif isinstance(item, Pairs):
            pending.append(_Text("}"))
            for i, (key, inner) in enumerate(reversed(item.items)):
                pending += [_Text(", " if i else ""), inner, _Text(f"{quoted(str(key))} = ")]
            pending.append(_Text("{ "))
        elif isinstance(item, list):
            pending.append(_Text("]"))
            for inner in reversed(item):
                pending += [_Text(","), inner]
            pending.append(_Text("["))
        elif isinstance(item, str):
            pieces.append(quoted(item))
        elif isinstance(item, bool) or item is None:
            pieces.append({True: "true", False: "false"}.get(item, '"none"'))
        elif isinstance(item, float) and not math.isfinite(item):
            pieces.append("nan" if math.isnan(item) else "inf" if item > 0 else "-inf")
        else:
            pieces.append(item.data.decode("latin-1") if isinstance(item, Raw) else str(item))
    return "".join(pieces)


class _Text:
    def __init__(self, text: str) -> None:
        self.text = text


def _lines(rng: Random, first: str, other: str) -> str:
    lines, others = first.splitlines(keepends=True), other.splitlines(keepends=True)
    if not lines:
        return rng.choice(TEXTS)
    i = rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        lines.insert(rng.randrange(len(lines) + 1), lines[i])
    elif kind == 1:
        lines.insert(rng.randrange(len(lines) + 1), lines.pop(i))
    elif kind == 2:
        del lines[i]
    elif others:
        j = rng.randrange(len(others))
        lines[i:i] = others[j : j + rng.choice((1, 3, 8))]
    return "".join(lines)
