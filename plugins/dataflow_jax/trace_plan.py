"""A plan as a function of JAX arrays, to be traced: for ``jit``, and for whoever differentiates it with JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dataflow.errors import BackendError, DataflowError
from dataflow.plan import Instruction, Plan, concrete
from dataflow.plan.passes.placements import place_all
from dataflow.registry.registry import is_registered
from dataflow_jax.find_loops import find_loops
from dataflow_jax.sums_of_products import find_sums
from dataflow_jax.table.elementwise import computed_by_ufunc
from dataflow_jax.table.entries import Call, Kept, canonical, has_ufunc
from dataflow_jax.table.table import JOINING, TABLE
from dataflow_jax.trace_loops import TracedLoop
from dataflow_jax.views import is_across, lying, window

WRITTEN_OUT = 64
"""The most entries of a constant that is a part of the compiled code; larger ones are handed to it."""


class TracedPlan:
    """``run(arguments, constants)`` gives the outputs, and whether all values were such that ops take them, such as
    indices within their range: where they were not, the outputs mean nothing."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.calls_back = any(function_of(instruction) is None for instruction in plan.instructions)
        """Whether numpy computes some of it."""
        self._handed = [
            slot for slot, value in plan.constants.items() if isinstance(value, np.ndarray) and value.size > WRITTEN_OUT
        ]
        self.constants = [plan.constants[slot] for slot in self._handed]
        """What ``run`` is handed."""
        self._sums = find_sums(plan)
        summed = {position for one in self._sums for position in one.positions}
        self._loops = find_loops(plan, lambda at, one: at not in summed and function_of(one) is not None)

    def run(self, arguments: Sequence[Any], constants: Sequence[Any]) -> tuple[list[Any], Any]:
        plan = self.plan
        slots: list[Any] = [None] * len(plan.specs)
        slots[: len(arguments)] = arguments
        for slot, value in plan.constants.items():
            slots[slot] = value
        for slot, value in zip(self._handed, constants, strict=True):
            slots[slot] = value
        required: list[Any] = []
        seen: dict[int, Any] = {}
        stacks: dict[Any, Any] = {}

        def read(slot: int) -> Any:
            view, value = plan.views.get(slot), slots[slot]
            if view is None and not isinstance(value, Kept):
                return value
            if slot not in seen:
                seen[slot] = value.array() if view is None else window(read(view.base), view, plan.spec(slot))
            return seen[slot]

        def kept(slot: int) -> Any:
            """What ``read`` gives, but of what a loop kept, and of views of it, that of all steps."""
            value, view = slots[plan.root(slot)], plan.views.get(slot)
            if not isinstance(value, Kept) or view is None:
                return value if isinstance(value, Kept) else read(slot)
            return mapped(value, partial(window, view=view, spec=plan.spec(slot)), (view.offset, view.strides))

        def mapped(value: Kept, function: Callable[[Any], Any], key: Any) -> Kept:
            """A function of what a step kept, made for all steps at once; functions of one key are the same."""
            place = id(value.stack), key
            if place not in stacks:
                stacks[place] = jax.vmap(function)(value.stack)
            return value._replace(stack=stacks[place])

        def computed(instruction: Instruction, inputs: list[Any], required: list[Any]) -> Any:
            spec = plan.spec(instruction.output)
            if instruction.op.name == "matmul" and len(spec.shape) == 2:
                view = plan.views.get(instruction.inputs[0])
                inputs = [lying(inputs[0]), inputs[1]] if view is not None and is_across(view) else inputs
            return _computed(instruction, Call(concrete(spec), canonical(spec.dtype), required), inputs)

        def computed_of_one(instruction: Instruction, value: Any) -> Any:
            return computed(instruction, [value], required)

        sums = {one.output: one for one in self._sums}
        parts = {position for one in self._sums for position in one.positions}
        position = 0
        for loop in (*self._loops, None):
            for at in range(position, loop.start if loop else len(plan.instructions)):
                instruction = plan.instructions[at]
                if at in parts:
                    if instruction.output in sums:
                        slots[instruction.output] = sums[instruction.output].total(plan, slots, read)
                    continue
                joins = instruction.op.name in JOINING
                inputs = [kept(slot) if joins else read(slot) for slot in instruction.inputs]
                if joins and len(inputs) == 1 and isinstance(inputs[0], Kept):
                    key = instruction.op.name, repr(sorted(instruction.attributes.items()))
                    slots[instruction.output] = mapped(inputs[0], partial(computed_of_one, instruction), key)
                else:
                    slots[instruction.output] = computed(instruction, inputs, required)
            if loop:
                TracedLoop(plan, loop, slots, read).run(computed, required)
                position = loop.stop
        outputs = [jnp.asarray(read(slot), canonical(plan.spec(slot).dtype)) for slot in plan.output_slots]
        return outputs, jnp.all(jnp.stack(required)) if required else jnp.asarray(True)

    def outputs(self, *arguments: Any) -> list[Any]:
        """The outputs alone."""
        return self.run(arguments, self.constants)[0]


def function_of(instruction: Instruction) -> Any:
    """What computes an instruction from a ``Call``, inputs and attributes; ``None`` where numpy does."""
    op = instruction.op
    if has_ufunc(op.ufunc):
        return computed_by_ufunc
    return TABLE.get(op.name) if op is place_all or is_registered(op) else None


def _computed(instruction: Instruction, call: Call, inputs: list[Any]) -> Any:
    op, function = instruction.op, function_of(instruction)
    try:
        if function is computed_by_ufunc:
            result = computed_by_ufunc(call, op.ufunc, *inputs)
        elif function is not None:
            result = function(call, *inputs, **instruction.attributes)
        elif op.shape_only:
            result = op.function(*(_stand_in(value) for value in inputs), **instruction.attributes)
        else:
            result = _called_back(instruction, call, inputs)
        result = jnp.asarray(result, call.dtype)
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BackendError(f"the jax backend cannot run op '{op.name}': {reason}", node=instruction.node) from error
    if result.shape != call.shape:
        what = f"gives {result.shape} where the plan has {call.shape}"
        raise BackendError(f"the jax backend: op '{op.name}' {what}", node=instruction.node)
    return result


def _stand_in(value: Any) -> Any:
    """Zeros that take no memory, for an op that looks at shapes alone."""
    return np.broadcast_to(np.zeros((), value.dtype), value.shape) if hasattr(value, "shape") else value


def _words(array: Any) -> Any:
    """Numbers of 64 bits as pairs of words, with which they go to numpy and back: JAX may call back on a thread of its
    own, where 64 bits are not switched on, and would cut them to 32."""
    return array if array.dtype.itemsize < 8 else lax.bitcast_convert_type(array, np.uint32)


def _joined_words(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return array if dtype.itemsize < 8 else np.ascontiguousarray(array).view(dtype).reshape(array.shape[:-1])


def _called_back(instruction: Instruction, call: Call, inputs: Sequence[Any]) -> Any:
    """The op's own kernel, run by numpy on the host while the compiled code waits: as right as with numpy, and slow on
    a GPU. It is for ops of plugins, which JAX knows nothing of, and for those whose attributes are graphs."""
    places = [i for i, value in enumerate(inputs) if hasattr(value, "shape")]
    dtypes = {place: canonical(inputs[place].dtype) for place in places}

    def kernel(*arrays: Any) -> np.ndarray:
        arguments = list(inputs)
        for place, array in zip(places, arrays, strict=True):
            arguments[place] = _joined_words(np.asarray(array), dtypes[place])
        try:
            with np.errstate(all="ignore"):
                computed = instruction.op.function(*arguments, **instruction.attributes)
            result = np.array(instruction.op.checked(computed, call.shape, np.asarray(computed).dtype), call.dtype)
            return result if call.dtype.itemsize < 8 else result.reshape(*call.shape, 1).view(np.uint32)
        except DataflowError as error:
            raise error.at(node=instruction.node) from None

    @jax.custom_jvp
    def computed(*arrays: Any) -> Any:
        arrays = tuple(_words(jnp.asarray(array)) for array in arrays)
        if call.dtype.itemsize < 8:
            result = jax.ShapeDtypeStruct(call.shape, call.dtype)
            return jax.pure_callback(kernel, result, *arrays, vmap_method="sequential")
        words = jax.ShapeDtypeStruct((*call.shape, 2), np.uint32)
        found = jax.pure_callback(kernel, words, *arrays, vmap_method="sequential")
        return lax.bitcast_convert_type(found, call.dtype)

    @computed.defjvp
    def _(*_: Any) -> Any:
        raise BackendError(
            f"JAX has no derivative of op '{instruction.op.name}', which numpy computes for it; take the gradient with "
            "model.gradients, or write the op with others as a composite op",
            node=instruction.node,
        )

    return computed(*(inputs[place] for place in places))
