"""What no font that an engine draws with has: it would draw boxes in its place, and say nothing."""

from __future__ import annotations

import shutil
import subprocess
import unicodedata
from contextlib import ExitStack
from functools import lru_cache

from dataflow.draw.layout.engines import Engine, environment_of

PURE_LACKS = set("∇⊙⊗")
"""Characters that graphviz-pure's own fonts lack, besides those of East Asia."""
USUAL = 0x250
"""Letters below this are in any font."""
MOST_ASKED = 40


def glyph_notes(engine: Engine, text: str) -> list[str]:
    """Warnings about characters of a picture that an engine cannot draw, with what to do."""
    special = sorted({character for character in text if ord(character) >= USUAL and character.isprintable()})
    if engine.png_font is not None:
        lacking = [c for c in special if c in PURE_LACKS or unicodedata.east_asian_width(c) in "WF"]
        return [_note(f"{engine.name} has no glyph for {_listed(lacking)}")] if lacking else []
    program = shutil.which("fc-list")
    if program is None:
        return []
    with ExitStack() as stack:
        environment = tuple(sorted(environment_of(engine, stack).items()))
        if not _fonts_with(":", program, environment):
            return [_note("no font is installed, so that there are boxes in the place of all letters")]
        asked = [f":charset={ord(character):x}" for character in special[:MOST_ASKED]]
        lacking = [c for c, what in zip(special, asked, strict=False) if not _fonts_with(what, program, environment)]
    return [_note(f"no installed font has {_listed(lacking)}, so that there are boxes instead")] if lacking else []


@lru_cache(256)
def _fonts_with(what: str, program: str, environment: tuple[tuple[str, str], ...]) -> bool:
    """Whether there is a font of this kind, as far as fontconfig says."""
    try:
        command = [program, what, "family"]
        done = subprocess.run(command, capture_output=True, timeout=20, env=dict(environment), check=False)
    except (OSError, subprocess.TimeoutExpired):
        return True
    return bool(done.stdout.strip()) or done.returncode != 0


def _listed(characters: list[str]) -> str:
    return " ".join(characters[:8]) + (" …" if len(characters) > 8 else "")


def _note(what: str) -> str:
    return f"{what}; write SVG, in which text stays text, or install a font that has it, such as Noto"
