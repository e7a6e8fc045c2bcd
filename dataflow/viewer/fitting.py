"""How much fits into a page: the examples that it has, and what their matrices are cut down to."""

from __future__ import annotations

from collections.abc import Sequence

from dataflow.viewer.numbers import entries
from dataflow.viewer.pass_numbers import WHOLE_BATCH, Pass, Passes
from dataflow.viewer.steps import Walk

BUDGET = 150_000
"""The most numbers in a page: matrices are cut down, and then examples left out, until they fit."""
SIDES = (32, 24, 16)
"""The rows and columns that matrices are cut down to before examples are left out; afterwards ``SMALL_SIDES``."""
SMALL_SIDES = (12, 8, 4)


def cut_to_fit(passes: Sequence[Pass], names: Sequence[str], walk: Walk, asked: int | None) -> tuple[int, list[Pass]]:
    """The number of rows and columns that matrices are cut to, and the first passes, as many as there is room for.
    Examples that were not ``asked`` for are left out before matrices are cut down far."""
    counts = sorted({len(passes), *(count for count in (8, 4, 2, 1) if count < len(passes))}, reverse=True)
    choices = [(count, side) for count in counts for side in SIDES if count >= min(4, len(passes))]
    choices += [(count, side) for count in counts for side in SMALL_SIDES]
    if asked is not None:
        choices = [(len(passes), side) for side in (*SIDES, *SMALL_SIDES)] + choices
    for count, side in choices:
        if sum(_size(page_pass, names, walk, side) for page_pass in passes[:count]) <= BUDGET:
            return side, list(passes[:count])
    return SMALL_SIDES[-1], list(passes[:1])


def _size(page_pass: Pass, names: Sequence[str], walk: Walk, side: int) -> int:
    shapes = [page_pass.values[name].shape for name in names if name in page_pass.values]
    shapes += [array.shape for array in (*page_pass.cotangents.values(), *page_pass.terms.values())]
    shapes += [page_pass.factors[edge].shape for edge in walk.factors if edge in page_pass.factors]
    return sum(entries(shape, side) for shape in shapes)


def left_out(passes: Passes, kept: Sequence[Pass]) -> list[str]:
    """Say which examples are not in the page, and why."""
    if passes.examples is None:
        return []
    shown = sum(page_pass.example is not None for page_pass in kept)
    notes = []
    if shown < passes.examples:
        why = ", as more would make it too large" if len(kept) < len(passes.passes) else ""
        choose = "--example takes one of them" if why else "--examples takes more, --example one of them"
        notes.append(f"the page has {shown} of the batch's {passes.examples:,} examples{why}; {choose}")
    if passes.examples > 1 and all(page_pass.example is not None for page_pass in kept):
        why = (
            f"of more than {WHOLE_BATCH} examples" if passes.examples > WHOLE_BATCH else "which would make it too large"
        )
        notes.append(f"the batch as a whole, {why}, is not in the page, nor are its summed gradients")
    return notes
