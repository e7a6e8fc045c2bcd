"""``Storage``: an array whose entries cannot be read while a plan is bound, because they change before it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

Step: TypeAlias = Callable[[], object]

LAYOUT_FUNCTIONS = frozenset(
    {
        np.broadcast_to,
        np.empty_like,
        np.expand_dims,
        np.may_share_memory,
        np.moveaxis,
        np.ndim,
        np.result_type,
        np.shape,
        np.size,
        np.squeeze,
        np.swapaxes,
    }
)
"""What numpy can do with an array without reading its entries."""


class Storage:
    """Stands for an array that a plan reads or writes. It has the array's shape, dtype, strides and windows; to ask for
    an entry is a ``TypeError``.

    Only ``opened`` gives the array itself, to what runs later.
    """

    __slots__ = ("_array",)
    __array_ufunc__ = None

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __repr__(self) -> str:
        return f"<storage of {self.dtype} {self.shape}>"

    # -------------------------------------------------------------------------------------------- what is known

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        return self._array.dtype

    @property
    def strides(self) -> tuple[int, ...]:
        return self._array.strides

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def size(self) -> int:
        return self._array.size

    @property
    def itemsize(self) -> int:
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        return self._array.nbytes

    @property
    def flags(self) -> Any:
        return self._array.flags

    def __len__(self) -> int:
        return len(self._array)

    # -------------------------------------------------------------------------------------------- windows

    @property
    def T(self) -> Storage:
        return Storage(self._array.T)

    def __getitem__(self, key: Any) -> Storage:
        return self._window(self._array[key])

    def reshape(self, *shape: Any) -> Storage:
        made = self._array.reshape(*shape)
        return Storage(made) if self._array.flags.c_contiguous else self._window(made)

    def view(self, dtype: Any) -> Storage:
        return Storage(self._array.view(np.dtype(dtype)))

    def transpose(self, *axes: Any) -> Storage:
        return Storage(self._array.transpose(*axes))

    def swapaxes(self, axis: int, other_axis: int) -> Storage:
        return Storage(self._array.swapaxes(axis, other_axis))

    def _window(self, made: Any) -> Storage:
        """A view; a copy, or a single entry, would be what the memory holds now."""
        if not isinstance(made, np.ndarray) or (made.size and not np.may_share_memory(made, self._array)):
            raise _unreadable()
        return Storage(made)

    # -------------------------------------------------------------------------------------------- what is not known

    def _refuse(self, *_: object, **__: object) -> Any:
        raise _unreadable()

    __array__ = __bool__ = __float__ = __int__ = __index__ = __contains__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __eq__ = __ne__ = _refuse
    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{_unreadable()} ('{name}')")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in LAYOUT_FUNCTIONS:
            raise _unreadable()
        made = function(*opened(args), **opened(kwargs))
        return self._window(made) if isinstance(made, np.ndarray) and function is not np.empty_like else made


def opened(value: Any) -> Any:
    """The array of a ``Storage``, also of those within tuples, lists and mappings; anything else as it is."""
    kind = type(value)
    if kind is Storage:
        return value._array
    if kind is tuple or kind is list:
        return kind([item._array if type(item) is Storage else opened(item) for item in value])
    return {key: opened(item) for key, item in value.items()} if kind is dict else value


def step_of(calls: Any) -> Step:
    """What an ``into`` rule returns as a function without arguments: a ``functools.partial`` of a function and what it
    is called with, or several of these, which run one after the other."""
    if isinstance(calls, partial):
        keywords = opened(calls.keywords) if calls.keywords else {}
        arguments = opened(calls.args)
        if calls.func is np.dot and type(arguments[0]) is np.ndarray:
            # the method computes the same, and begins sooner: it asks no argument whether it does products itself
            return partial(arguments[0].dot, *arguments[1:], **keywords)
        return partial(calls.func, *arguments, **keywords)
    if isinstance(calls, (tuple, list)) and all(isinstance(call, partial) for call in calls):
        return partial(run_each, [step_of(call) for call in calls])
    raise TypeError(f"its into rule returns functools.partial(function, out, ...), or several of these, not {calls!r}")


def run_each(steps: Sequence[Step]) -> None:
    """Run steps one after the other."""
    for step in steps:
        step()


def single_steps(step: Step) -> Sequence[Step]:
    """The steps that a step is made of, which a runner calls itself."""
    if isinstance(step, partial) and step.func is run_each:
        return [each for part in step.args[0] for each in single_steps(part)]
    return [step]


def _unreadable() -> TypeError:
    return TypeError(
        "the entries of an array are not known while a plan is bound, as they change from run to run; "
        "read them in the function that runs"
    )
