"""Place the titles of frames: Graphviz puts each at the left, whatever line runs through it there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dataflow.draw.layout.boxes import Box
from dataflow.draw.layout.label_places import line_points
from dataflow.draw.layout.layout import Layout, Place

GAP = 4.0
"""Between a title and a line or a node, in points."""
STEP = 6.0
"""Between the places that are tried."""


def place_titles(layout: Layout) -> Layout:
    """The same layout with each title as far left in its frame as it lies on nothing; where there is no such place, it
    stays."""
    points = np.concatenate([np.zeros((0, 2)), *(line_points(line.points) for line in layout.edges.values())])
    nodes = [Box.around(place) for place in layout.nodes.values()]

    def is_free(title: Place) -> bool:
        box = Box.around(title, GAP)
        inside = (points > (box.left, box.low)).all(axis=1) & (points < (box.right, box.high)).all(axis=1)
        return not inside.any() and not any(box.overlap(node) for node in nodes)

    titles = dict(layout.titles)
    for key, title in layout.titles.items():
        last = layout.boxes[key][2] - title.width / 2 - GAP
        places = [replace(title, x=float(x)) for x in np.arange(title.x, max(last, title.x) + 1e-9, STEP)]
        titles[key] = next(filter(is_free, places), title)
    return replace(layout, titles=titles)
