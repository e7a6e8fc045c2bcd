"""Run by ``engines``: what Graphviz' command does, with pygraphviz, in a process that can be stopped."""

from __future__ import annotations

import sys
import warnings


def main() -> None:
    """``-Kdot -Tsvg`` and the like: a DOT file from standard input, the picture to standard output."""
    import pygraphviz

    program, form = (word[2:] for word in sys.argv[1:])
    warnings.simplefilter("ignore")
    graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
    sys.stdout.buffer.write(graph.draw(format=form, prog=program))


if __name__ == "__main__":
    main()
