"""Texts for messages."""

from __future__ import annotations

from dataflow.errors import cut


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


def shorten(text: str, limit: int = 40) -> str:
    """``text`` on one line, at most ``limit`` characters of it, for a message."""
    return "".join(character if character.isprintable() else "?" for character in cut(text, limit))
