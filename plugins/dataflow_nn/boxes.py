"""Boxes in images: of those that cover the same, the best alone is kept."""

from __future__ import annotations

import numpy as np

from dataflow import Cost, ShapeError, element_count, format_shape, primitive, sample
from dataflow.shapes import TensorSpec, made_size
from dataflow_nn.pooling_windows import check_numbers
from dataflow_ops.shaping import check_whole

_INT = np.dtype("int64")


@primitive(hides_nan=True)
def non_max_suppression(
    boxes, scores, most, *, overlap: float = 0.0, least: float | None = None, centred: bool = False
):
    """Which boxes to keep, for each image and class: rows of image, class and number of the box, best first.

    boxes is (images, boxes, 4), each y and x of a corner and of the corner across from it, or, ``centred``, x and y of
    the middle, width and height; scores is (images, classes, boxes); most is a number, how many boxes are kept for a
    class. A box is left out where its score is not above ``least``, if that is given, or where it shares more than
    ``overlap`` of its area and a kept box's together with that. It has no derivative. How many are kept depends on
    values."""
    boxes, scores = (np.asarray(x, x.dtype if x.dtype.kind == "f" else np.float64) for x in (boxes, scores))
    most = int(np.asarray(most).reshape(()))
    kept = []
    for image, corners in enumerate(_corners(boxes, centred)):
        for class_, score in enumerate(scores[image]):
            order = np.argsort(-score, kind="stable")
            if least is not None:
                order = order[score[order] > least]
            kept += [(image, class_, box) for box in _kept(corners, order, most, overlap)]
    return np.array(kept, _INT).reshape(-1, 3)


@non_max_suppression.shape
def _(boxes, scores, most):
    check_numbers("non_max_suppression", boxes)
    check_numbers("non_max_suppression", scores)
    check_whole("non_max_suppression", "most", most)
    fit = len(boxes.shape) == 3 and len(scores.shape) == 3 and boxes.shape[2] == 4
    if not fit or boxes.shape[0] != scores.shape[0] or boxes.shape[1] != scores.shape[2]:
        raise ShapeError(
            f"non_max_suppression takes boxes of (images, boxes, 4) and scores of (images, classes, boxes), not "
            f"{format_shape(boxes.shape)} and {format_shape(scores.shape)}"
        )
    if any(size != 1 for size in most.shape):
        raise ShapeError(f"non_max_suppression takes a single number of boxes, not {format_shape(most.shape)}")
    return TensorSpec((made_size("kept_boxes"), 3), _INT)


@non_max_suppression.cost(exact=False)
def _(y, boxes, scores, most):
    return Cost(comparisons=element_count(scores.shape))


@non_max_suppression.samples
def _(rng):
    corners = np.array([[[0, 0, 1, 1], [0, 0.125, 1, 1.125], [0, 2, 1, 3]]])
    yield sample(corners, np.array([[[0.5, 0.75, 0.25]]]), np.array(3), overlap=0.5)
    yield sample(corners, rng.normal(size=(1, 2, 3)), np.array([1]), least=0.0, centred=True)


def _corners(boxes, centred):
    """Low and high y and x of each box: (images, 4, boxes)."""
    if centred:
        x, y, width, height = np.moveaxis(boxes, 2, 0)
        return np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=1)
    y1, x1, y2, x2 = np.moveaxis(boxes, 2, 0)
    return np.stack([np.minimum(y1, y2), np.minimum(x1, x2), np.maximum(y1, y2), np.maximum(x1, x2)], axis=1)


def _kept(corners, order, most, overlap):
    """The numbers of the boxes that are kept, of those in ``order``."""
    areas = (corners[2] - corners[0]) * (corners[3] - corners[1])
    kept = []
    while len(order) and len(kept) < most:
        best, order = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(corners[:2, order], corners[:2, best, None])
        high = np.minimum(corners[2:, order], corners[2:, best, None])
        shared = np.prod(np.maximum(high - low, 0), axis=0)
        order = order[~(shared > overlap * (areas[order] + areas[best] - shared))]
    return kept
