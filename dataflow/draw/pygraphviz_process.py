"""Run by ``engines``: lays out a DOT file from standard input with pygraphviz, in a process that can be stopped."""

from __future__ import annotations

import sys
import warnings


def main() -> None:
    """``-Tsvg`` and the like; the picture goes to standard output."""
    import pygraphviz

    warnings.simplefilter("ignore")
    graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
    sys.stdout.buffer.write(graph.draw(format=sys.argv[1].removeprefix("-T"), prog="dot"))


if __name__ == "__main__":
    main()
