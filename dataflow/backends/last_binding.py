"""A plan bound to the arrays of its last runs, for the next: binding takes longer than many a model takes to run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dataflow.backends.memory import empty
from dataflow.backends.unreadable_arrays import Step
from dataflow.plan import Plan

SMALL = 2**16
"""Arguments of at most this many bytes are copied to where the plan reads them. A larger one is read where it is, as
long as each run is given the same array."""
LARGE = 2**26
"""Larger arguments than this, in bytes, are never copied: for another array the plan is bound again. Outputs of more
bytes together are handed out, and their memory is not used again."""
HANDED_OUT = 2**20
"""Outputs of fewer bytes together are copied for the caller. Others are handed out, and their memory is used again when
nobody else has them: that of one run while the caller still has what came of the run before."""
KEPT = 2
"""The most bindings that hand out. Where the caller has the outputs of them all, those of one more are copied: to copy
takes less time than to bind anew."""

Bind = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], Step]


@dataclass(eq=False)
class _Binding:
    """A plan bound to arrays. ``own`` are the numbers of the arguments that are copied to where it reads them;
    ``copies`` says whether outputs are copied for the caller, ``is_kept`` whether the binding is used again."""

    places: list[np.ndarray]
    own: set[int]
    outputs: list[np.ndarray]
    step: Step
    copies: bool
    is_kept: bool
    references: list[int] = field(default_factory=list)
    """To each output while the caller has none; nothing where the outputs were never handed out."""

    def counted(self) -> list[int]:
        """References to each output."""
        return [sys.getrefcount(self.outputs[i]) for i in range(len(self.outputs))]

    def is_free(self) -> bool:
        """Whether nobody else has the outputs, or a view of one."""
        return not self.references or self.counted() == self.references

    def takes(self, arguments: Sequence[np.ndarray]) -> bool:
        """Whether it reads these arguments, which are copied to it where they have to be."""
        others = [i for i, place in enumerate(self.places) if arguments[i] is not place]
        if not self.own.issuperset(others):
            return False
        for i in others:
            self.places[i][...] = arguments[i]
        return True


class LastBinding:
    """Runs a plan on any arrays; ``bind`` gives the function that runs it on certain ones."""

    def __init__(self, plan: Plan, bind: Bind) -> None:
        self._plan, self._bind = plan, bind
        self._bindings: list[_Binding] = []
        self._changing: set[int] = set()
        """The arguments that were another array in one run than in a run before."""

    def run(self, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs, which belong to the caller."""
        binding = self._fitting(arguments)
        binding.step()
        if not binding.is_kept:
            return binding.outputs
        self._bindings.append(binding)
        if binding.copies:
            return [array.copy() for array in binding.outputs]
        binding.references = binding.references or binding.counted()
        return [array.view() for array in binding.outputs]  # of which the caller may change shape, dtype and flags

    def _fitting(self, arguments: Sequence[np.ndarray]) -> _Binding:
        """One of the last bindings, with the arguments in place, if it can be used again; else a new one. It is not
        kept until it has run: an interrupt leads to a new one."""
        binding = self._free()
        if binding is not None:
            if binding.takes(arguments):
                return binding
            self._changing |= {
                i
                for i, place in enumerate(binding.places)
                if arguments[i] is not place and i not in binding.own and arguments[i].nbytes <= LARGE
            }
        arrays = [*map(np.asarray, arguments)]
        own = {
            i
            for i, array in enumerate(arrays)
            if array.nbytes <= SMALL or i in self._changing or not array.flags.c_contiguous
        }
        places = [array.copy() if i in own else array for i, array in enumerate(arrays)]
        outputs = [empty(self._plan.spec(slot)) for slot in self._plan.output_slots]
        size = sum(array.nbytes for array in outputs)
        copies = size < HANDED_OUT or sum(not binding.copies for binding in self._bindings) >= KEPT
        return _Binding(places, own, outputs, self._bind(places, outputs), copies, is_kept=size <= LARGE)

    def _free(self) -> _Binding | None:
        """Take a binding whose outputs nobody has, rather one that hands out."""
        if len(self._bindings) == 1 and self._bindings[0].copies:
            return self._bindings.pop()
        by_use = sorted(self._bindings, key=lambda binding: binding.copies)
        binding = next((binding for binding in by_use if binding.is_free()), None)
        if binding is not None:
            self._bindings.remove(binding)
        return binding
