"""Run by ``engines``: what Graphviz' command does, with pygraphviz, in a process that can be stopped."""

from __future__ import annotations

import os
import sys
import warnings


def main() -> None:
    """``-Kdot -Tsvg`` and the like: a DOT file from standard input, the picture to standard output."""
    import pygraphviz
    from pygraphviz import graphviz

    program, form = (word[2:].encode() for word in sys.argv[1:])
    warnings.simplefilter("ignore")
    graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
    context = graphviz.gvContextWithBuiltins()
    if graphviz.gvLayout(context, graph.handle, program):
        sys.exit("Graphviz found no layout")
    failed, picture = graphviz.gvRenderData(context, graph.handle, form)
    if failed:
        sys.exit("Graphviz drew nothing")
    sys.stdout.buffer.write(picture)
    sys.stdout.flush()
    os._exit(0)  # AGraph.draw frees the context, in which the wheel's Graphviz crashes once in twenty times


if __name__ == "__main__":
    main()
