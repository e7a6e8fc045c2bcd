"""Place what stands below a picture: its title, and the legend's samples, each with its word beside it."""

from __future__ import annotations

from dataclasses import replace

from dataflow.draw.layout.layout import Layout, Place, Point
from dataflow.draw.layout.straight_lines import straight
from dataflow.draw.layout.text_metrics import formula_width
from dataflow.draw.picture.picture import Picture, Sample
from dataflow.draw.picture.styles import SMALL

SAMPLE = (24.0, 13.0)
"""The width and the height of a sample, in points."""
ROW = 17.0
"""From line to line; the height of an entry."""
TO_WORD, BETWEEN, ABOVE = 5.0, 16.0, 10.0
NARROWEST = 320.0
"""The width of the lines below a small picture."""


def entries(picture: Picture) -> tuple[Sample, ...]:
    """The title, then the legend."""
    return (Sample(picture.title), *picture.legend)


def place_entries(picture: Picture, width: float) -> list[Place]:
    """The places of the entries from (0, 0) to the right and down: the title on a line of its own, the others on lines
    of at most this width."""
    places: list[Place] = []
    x = middle = 0.0
    for number, entry in enumerate(entries(picture)):
        own = formula_width(entry.text, SMALL) + (0.0 if entry.like is None else SAMPLE[0] + TO_WORD)
        if number < 2 or x + own > width:
            x, middle = 0.0, -ROW * (0.5 + (round(0.5 - middle / ROW) if number else 0))
        places.append(Place(x + own / 2, middle, own, ROW))
        x += own + BETWEEN
    return places


def sample_and_word(entry: Sample, place: Place) -> tuple[Place, Point]:
    """Where the sample is, and where the word begins, in an entry of any size."""
    scale = place.height / ROW
    left = place.x - place.width / 2
    width, height = SAMPLE[0] * scale, SAMPLE[1] * scale
    word = left if entry.like is None else left + width + TO_WORD * scale
    return Place(left + width / 2, place.y, width, height), (word, place.y)


def arrow_in(sample: Place, head: float) -> tuple[list[Point], Point]:
    """The points of a sample of a line, and its tip; ``head`` is the length of the arrow's head."""
    start, end = sample.x - sample.width / 2, sample.x + sample.width / 2
    return straight((start, sample.y), (end - head, sample.y)), (end, sample.y)


def place_below(picture: Picture, layout: Layout) -> Layout:
    """The layout with its entries below everything else, in the middle."""
    points = [
        point for line in layout.edges.values() for point in (*line.points, *([line.label] if line.label else []))
    ]
    sides = [(place.x - place.width / 2, place.y - place.height / 2) for place in layout.nodes.values()]
    lowest = min([y for _, y in (*points, *sides)] + [box[1] for box in layout.boxes.values()], default=0.0)
    places = place_entries(picture, max(layout.width, NARROWEST))
    width = max(place.x + place.width / 2 for place in places)
    depth = ROW / 2 - min(place.y for place in places)
    aside = max(0.0, (width - layout.width) / 2)
    up = max(0.0, depth + ABOVE - lowest)
    left, top = max(0.0, (layout.width - width) / 2), lowest + up - ABOVE
    below = [replace(place, x=place.x + left, y=place.y + top) for place in places]
    return replace(
        layout.shifted(aside, up),
        width=max(layout.width, width),
        height=layout.height + up,
        bottom=top - depth,
        below=below,
    )
