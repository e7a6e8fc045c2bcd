"""Texts for messages."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from dataflow.errors import closest, cut


def no_such_file(path: str | PathLike[str], what: str = "file") -> str:
    """The message of an error for a file that is not there, with one beside it that may be meant: of a like name before
    the same ending, or with another ending. The folder is read for that, so that the path must be the user's own, and
    none that a file names."""
    path = Path(path)
    try:
        there = [path.with_name(entry.name) for entry in path.parent.iterdir()]
    except (OSError, ValueError):
        there = []
    stems = closest(path.stem, [other.stem for other in there if other.suffix == path.suffix])
    names = [f"{stem}{path.suffix}" for stem in stems]
    names += sorted(other.name for other in there if other.stem == path.stem and other.suffix)
    return f"there is no such {what}; " + (f"did you mean '{path.with_name(names[0])}'?" if names else "check the name")


def matches(pattern: str, text: str) -> bool:
    """Whether a text is what the pattern says, in which ``*`` stands for any part of it. In time that grows with the
    lengths alone."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    *inner, last = rest
    end = len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last) or end < len(first):
        return False
    start = len(first)
    for part in inner:
        place = text.find(part, start, end)
        if place < 0:
            return False
        start = place + len(part)
    return True


def shorten(text: str, limit: int = 40, *, end: int = 0) -> str:
    """``text`` on one line, at most ``limit`` characters of it, the last ``end`` among them, for a message."""
    return "".join(character if character.isprintable() else "?" for character in cut(text, limit, end=end))


def quoted(value: object) -> str:
    """A value as Python writes it, as a message quotes it: on one line, not too long."""
    return shorten(repr(value), 60, end=1)
