"""Graphviz by pygraphviz in a process that stays: what takes time is to start Python, and to load libraries and fonts.

Each picture is laid out in a fork of a process that has all that, so that none leaves a trace for the next. Run as a
script this is that process: it answers requests on standard input, one after another.
"""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
import warnings
from contextlib import ExitStack
from typing import IO

LENGTH = struct.Struct("!q")
FORMATS = ("svg", "json0", "png")
"""Not PDF: its bytes depend on what was drawn before."""
FAILED = -1
"""Stands for the length of an answer that there is not."""


class WarmGraphviz:
    """The process, started when it is first asked, with an environment that lasts as long as it."""

    def __init__(self, environment: dict[str, str], stack: ExitStack) -> None:
        self._stack = stack
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def ask(self, source: str, form: str, program: str, seconds: float) -> bytes | None:
        """What Graphviz makes of a DOT file; ``None`` where it fails, or takes too long."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            write(process.stdin, json.dumps([source, form, program]).encode())
            if not select.select([process.stdout], [], [], min(seconds, 600))[0]:
                process.kill()
                return None
            return read(process.stdout)
        except (BrokenPipeError, EOFError):
            return None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._stack.close()


def write(stream: IO[bytes], content: bytes | None) -> None:
    stream.write(LENGTH.pack(FAILED if content is None else len(content)) + (content or b""))
    stream.flush()


def read(stream: IO[bytes]) -> bytes | None:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    return None if length == FAILED else stream.read(length)


def main() -> None:
    import pygraphviz
    from pygraphviz import graphviz

    warnings.simplefilter("ignore")
    kept = []

    def made(source: str, form: str, program: str) -> bytes | None:
        graph = pygraphviz.AGraph(string=source)
        kept.append(graph)
        if graphviz.gvLayout(context, graph.handle, program.encode()):
            return None
        failed, picture = graphviz.gvRenderData(context, graph.handle, form.encode())
        return None if failed else bytes(picture)

    context = graphviz.gvContextWithBuiltins()
    for form in FORMATS:
        made('digraph { a [label="a", fontname="DejaVu Sans"] }', form, "dot")
    while (request := sys.stdin.buffer.read(LENGTH.size)) and len(request) == LENGTH.size:
        words = json.loads(sys.stdin.buffer.read(*LENGTH.unpack(request)))
        if (child := os.fork()) == 0:
            write(sys.stdout.buffer, made(*words))
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            write(sys.stdout.buffer, None)


if __name__ == "__main__":
    main()
