"""Minibatches one after the other in compiled code, with all that changes as its state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dataflow.backends.interface import TrainingLoop, TrainingTask, VectorGroup
from dataflow.backends.optimizer import ACCUMULATED
from dataflow_jax.settings import computing, devices
from dataflow_jax.sharing import Sharing
from dataflow_jax.trace_plan import TracedPlan
from dataflow_jax.training_state import Carried, Changing, Piece, Read, Stretch, all_finite, norm_of, piece_of
from dataflow_jax.updates import updated, used_vectors
from dataflow_nn.optimizers import ALL

RATES = 2048
"""Learning rates are handed over in vectors of this length, or of a multiple, so that code for few lengths is made."""

CONVOLUTIONS = ("correlate", "correlate_kernel", "correlate_transpose")


def make_loop(task: TrainingTask, device: str | None) -> TrainingLoop | None:
    """``None`` for optimizers of others, whose rule may look at a whole vector, and where a parameter's gradient is
    elsewhere."""
    if type(task.optimizer) not in ALL:
        return None
    pieces = [piece_of(array, [group.gradients for group in task.groups]) for array in task.written]
    if None in pieces[: len(task.written) - len(task.state)]:
        return None
    return JaxLoop(task, [piece for piece in pieces if piece is not None], device)


class JaxLoop(TrainingLoop):
    """Minibatches of a task.

    A run first goes without a look at every number after every minibatch: one at the loss after each, and one at
    everything in the end, tell that something is wrong, since NaN and infinity stay where they are. Then the same
    minibatches run again, with a look at everything after each.
    """

    def __init__(self, task: TrainingTask, pieces: Sequence[Piece], device: str | None) -> None:
        self._task, self._pieces, self._device = task, pieces, device
        self._per_epoch = -(-task.count // task.batch_size)
        self._last = task.count % task.batch_size
        self._compiled: dict[Any, Any] = {}
        self._rate, self._used = task.optimizer.learning_rate, used_vectors(task.optimizer)
        self._plans = {rows: TracedPlan(task.plan(rows)) for rows in {task.batch_size, self._last} - {0}}
        self._single = devices(device)[0].platform == "cpu" and any(
            instruction.op.name in CONVOLUTIONS
            for plan in self._plans.values()
            for instruction in plan.plan.instructions
        )
        """Whether each minibatch is a call: on processors, XLA takes three times as long for convolutions in a loop."""
        self._roles = self._find_roles()
        self._sharing = Sharing([] if any(plan.calls_back for plan in self._plans.values()) else devices(device))
        with computing(device):
            self._data = self._copied()
            self._constants = {
                rows: self._sharing.everywhere([jnp.array(one) for one in plan.constants])
                for rows, plan in self._plans.items()
            }

    def run(self, batch: int, steps: int, order: np.ndarray | None, step: int) -> tuple[int, float]:
        with computing(self._device):
            if any(array.flags.writeable for array in self._task.data.values()):
                self._data = self._copied()  # a stream writes its next block to the same place
            try:
                for checked in (False, True):
                    values, done, loss, fine = self._run(batch, steps, order, step, checked)
                    if checked or (fine and all(np.isfinite(array).all() for array in values)):
                        break
            except jax.errors.JaxRuntimeError:
                return 0, math.nan  # a call back failed: run alone, the minibatch says why
        for array, value in zip(self._changing_arrays(), values, strict=True):
            array[...] = value
        if self._task.number is not None:
            self._task.number[...] += done
        return done, loss

    def _run(
        self, batch: int, steps: int, order: np.ndarray | None, step: int, checked: bool
    ) -> tuple[list[np.ndarray], int, float, bool]:
        task, self._used = self._task, used_vectors(self._task.optimizer)
        number = 0 if task.number is None else int(task.number)
        vectors = self._sharing.everywhere(jax.device_put(self._changing_arrays(), may_alias=False))
        held = [
            np.array(array) if role == "held" else 0 for array, (role, _) in zip(task.fixed, self._roles, strict=True)
        ]
        rates = self._rates(steps, step)
        rows = None if order is None else np.ascontiguousarray(order, np.int64)
        done, loss, now, fine = 0, math.nan, step, True
        while done < steps and fine:
            begin = (batch + done) % self._per_epoch
            is_last = bool(self._last) and begin == self._per_epoch - 1
            size = self._last if is_last else task.batch_size
            left = 1 if self._single else steps - done
            stop = begin + (1 if is_last else min(left, self._per_epoch - 1 - begin) if self._last else left)
            stretch = self._stretch(size, checked, 0 if rates is None else len(rates), rows is not None)
            vectors, now_, made, loss_, fine = stretch(
                vectors, held, self._data, self._constants[size], rows, rates, begin, stop, number + done, now, step
            )
            made, fine, now = int(made), bool(fine), int(now_)
            done += made
            loss = float(loss_) if made else loss
        return [np.asarray(vector) for vector in vectors], done, loss, fine

    def _copied(self) -> dict[str, Any]:
        return self._sharing.everywhere({name: jnp.array(array) for name, array in self._task.data.items()})

    def _rates(self, steps: int, step: int) -> np.ndarray | None:
        """The learning rates; ``None`` where each is the first, which is a constant of the code: as an argument, it
        would be written out to the size of each parameter and read with it."""
        if self._task.rates is not None:
            given = self._task.rates(step, step + steps)
        elif self._task.optimizer.learning_rate != self._rate:
            given = np.full(steps, self._task.optimizer.learning_rate)
        else:
            return None
        return np.pad(given, (0, -len(given) % RATES))

    def _stretch(self, size: int, checked: bool, rates: int, shuffled: bool) -> Any:
        """The compiled function: for attributes of the optimizer as they are, apart from the learning rate."""
        own = {name: value for name, value in vars(self._task.optimizer).items() if name != "learning_rate"}
        key = (size, checked, rates, shuffled, repr(sorted(own.items())))
        if key not in self._compiled:
            work = Stretch(self._plans[size], size, checked, self._single)
            self._compiled[key] = jax.jit(partial(self._minibatches, work), donate_argnums=0)
        return self._compiled[key]

    def _changing_arrays(self) -> list[np.ndarray]:
        arrays = []
        for group in self._task.groups:
            arrays += [group.parameters, *(group.state[name] for name in self._names(group))]
        return [*arrays, *(array for array, _ in self._task.state)]

    def _names(self, group: VectorGroup) -> list[str]:
        """The vectors of the optimizer that change; the others stay where they are."""
        return [name for name in group.state if name in (*self._used, ACCUMULATED)]

    def _minibatches(
        self,
        work: Stretch,
        vectors: list[Any],
        held: list[Any],
        data: dict[str, Any],
        constants: list[Any],
        order: Any,
        rates: Any,
        begin: Any,
        stop: Any,
        number: Any,
        step: Any,
        first: Any,
    ) -> Any:
        """Minibatches ``[begin, stop)``, of which those of further epochs have numbers beyond an epoch; as many as go
        well. ``step`` updates are behind, ``first`` were when the rates begin."""
        loss_spec = work.plan.plan.spec(work.plan.plan.output_slots[0])
        plain = self._task.accumulate == 1

        def goes_on(carried: Carried) -> Any:
            fine = carried.fine if work.checked else jnp.isfinite(carried.loss) & carried.fine
            return (carried.position < stop) & fine

        def one(carried: Carried) -> Carried:
            position, changing = carried.position, carried.changing
            batch = position % self._per_epoch
            updates = step + position - begin if plain else carried.updates
            read = Read(changing, held, number + position - begin)
            inputs = self._rows(work.rows, data, order, batch)
            (loss, *written), fine = work.plan.run([*inputs, *(read.of(role) for role in self._roles)], constants)
            gradients = written[: len(self._pieces)]
            if work.checked or "value" in (self._task.clip or {}):
                fine &= all_finite(gradients)
            rate = jnp.asarray(self._rate if rates is None else rates[updates - first], np.float64)
            parameters, optimizer, made = self._update(changing, gradients, batch, rate, updates + 1)
            after = Changing(parameters, optimizer, self._new_state(written))
            if work.checked:
                fine &= jnp.isfinite(loss) & all_finite(after)
                position, loss = position + fine, jnp.where(fine, loss, carried.loss)
            else:
                position = position + 1
            return Carried(position, loss, fine, updates + made if not plain else carried.updates, after)

        begin, stop, number, step, first = (jnp.asarray(one, np.int64) for one in (begin, stop, number, step, first))
        start = Carried(begin, jnp.zeros((), loss_spec.dtype), jnp.asarray(True), step, self._apart(vectors))
        end = one(start) if work.single else lax.while_loop(goes_on, one, start)
        made = end.position - begin
        fine = end.fine if work.checked else end.fine & jnp.isfinite(end.loss)
        return self._together(end.changing), step + made if plain else end.updates, made, end.loss, fine

    def _rows(self, rows: int, data: dict[str, Any], order: Any, batch: Any) -> list[Any]:
        """The inputs of a minibatch."""
        first, inputs = batch * self._task.batch_size, []
        chosen = None if order is None else lax.dynamic_slice_in_dim(order, first, rows)
        for name in self._task.inputs:
            array = data[name]
            if name in self._task.split and (chosen is not None or rows != len(array)):
                if chosen is None:
                    array = lax.dynamic_slice_in_dim(array, first, rows)
                else:
                    array = array.at[chosen].get(mode="promise_in_bounds", unique_indices=True)
                array = self._sharing.by_example(array)
            elif name in self._task.split:
                array = self._sharing.by_example(array)
            inputs.append(array)
        return inputs

    def _update(
        self, changing: Changing, gradients: list[Any], batch: Any, rate: Any, step: Any
    ) -> tuple[Any, Any, Any]:
        """Parameters, the optimizer's vectors, and how many updates were made: none where one is not due."""
        every, before = self._task.accumulate, changing.optimizer
        if every == 1:
            return *self._due(changing, gradients, rate, step), 1
        added = batch % every != 0
        gradients = [
            jnp.where(added, gradient + own[ACCUMULATED], gradient)
            for gradient, own in zip(gradients, before, strict=True)
        ]
        due = ((batch + 1) % every == 0) | (batch + 1 == self._per_epoch)
        kept = [{**own, ACCUMULATED: gradient} for own, gradient in zip(before, gradients, strict=True)]
        parameters, optimizer = lax.cond(
            due, lambda: self._due(changing, gradients, rate, step), lambda: (changing.parameters, kept)
        )
        return parameters, optimizer, due.astype(np.int64)

    def _due(
        self, changing: Changing, gradients: list[Any], rate: Any, step: Any
    ) -> tuple[list[Any], list[dict[str, Any]]]:
        clip = self._task.clip or {}
        if "value" in clip:
            gradients = [jnp.clip(gradient, -clip["value"], clip["value"]) for gradient in gradients]
        elif "norm" in clip:
            norm = norm_of(gradients)
            factor = jnp.where(norm > clip["norm"], clip["norm"] / norm, 1.0)
            gradients = [gradient * factor.astype(gradient.dtype) for gradient in gradients]
        parameters, optimizer, step = [], [], step.astype(np.float64)
        for own, gradient, vectors in zip(changing.parameters, gradients, changing.optimizer, strict=True):
            used = {name: vectors[name] for name in vectors if name != ACCUMULATED}
            new, state = updated(self._task.optimizer, own, gradient, used, step, rate)
            parameters.append(new)
            optimizer.append({**vectors, **state})
        return parameters, optimizer

    def _find_roles(self) -> list[tuple[str, int]]:
        """What each array of ``fixed`` is, and which of its kind."""
        task, roles = self._task, []
        places = [(piece.group, piece.entries) for piece in self._pieces]
        for array in task.fixed:
            state = next((i for i, (own, _) in enumerate(task.state) if own is array), None)
            piece = piece_of(array, [group.parameters for group in task.groups])
            if array is task.number:
                roles.append(("number", 0))
            elif state is not None:
                roles.append(("state", state))
            elif piece is not None:
                roles.append(("parameters", places.index((piece.group, piece.entries))))
            else:
                roles.append(("held", len(roles)))
        return roles

    def _new_state(self, written: list[Any]) -> list[Any]:
        places = [next(i for i, own in enumerate(self._task.written) if own is new) for _, new in self._task.state]
        return [written[place] for place in places]

    def _apart(self, vectors: list[Any]) -> Changing:
        """The vectors of the groups, taken apart."""
        left, by_group = iter(vectors), []
        by_group.extend((next(left), {name: next(left) for name in self._names(group)}) for group in self._task.groups)

        def part(vector: Any, piece: Piece) -> Any:
            return vector[piece.entries].reshape(piece.shape)

        parameters = [part(by_group[piece.group][0], piece) for piece in self._pieces]
        optimizer = [
            {name: part(vector, piece) for name, vector in by_group[piece.group][1].items()} for piece in self._pieces
        ]
        return Changing(parameters, optimizer, list(left))

    def _together(self, changing: Changing) -> list[Any]:
        vectors = []
        for number, group in enumerate(self._task.groups):
            own = sorted(
                (piece.entries.start, place) for place, piece in enumerate(self._pieces) if piece.group == number
            )
            for name in (None, *self._names(group)):
                parts = [
                    changing.parameters[place] if name is None else changing.optimizer[place][name] for _, place in own
                ]
                vectors.append(jnp.concatenate([part.reshape(-1) for part in parts]))
        return [*vectors, *changing.state]
