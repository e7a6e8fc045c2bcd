"""``Trainer``: one minibatch after the other. The gradient of a minibatch and the update are two steps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dataflow.autodiff.training_graph import training_graph
from dataflow.autodiff.weighting import weighted_graph
from dataflow.backends.cluster import Workers
from dataflow.backends.optimizer import ACCUMULATED
from dataflow.errors import DataflowWarning, NonFiniteError, TrainingError, nearest
from dataflow.execution.forward import shape_warnings
from dataflow.execution.inputs import batch_symbol
from dataflow.execution.parameters import Parameters
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT
from dataflow.metrics.comparisons import chosen_metrics
from dataflow.metrics.measure import Measure
from dataflow.model.model import Model
from dataflow.model.units import Units
from dataflow.support.arguments import checked
from dataflow.support.arrays import frozen
from dataflow.support.conversion import whole
from dataflow.support.error_state import ERROR_STATE
from dataflow.training.history import History
from dataflow.training.minibatches.backend_loop import Inside
from dataflow.training.minibatches.batch_gradients import Gradients
from dataflow.training.minibatches.batches import ArrayMinibatches, Minibatches
from dataflow.training.minibatches.examples import checked_arrays, given_examples, split_inputs, weighed_minibatches
from dataflow.training.minibatches.local_rounds import LocalRounds
from dataflow.training.minibatches.part_work import drawn_nodes
from dataflow.training.minibatches.shared_gradients import SharedGradients
from dataflow.training.minibatches.streamed import given_stream
from dataflow.training.minibatches.updates import Updates
from dataflow.training.minibatches.vectors import Vectors
from dataflow.training.nonfinite_origin import non_finite_error, parameter_error
from dataflow.training.saving.interrupts import Interrupt, deferred
from dataflow.training.saving.optimizer_state import take_up_state
from dataflow.training.saving.provenance import manifest
from dataflow.training.settings import resolve, takes_options
from dataflow.training.trained_parameters import frozen_names, trained_parameters

START_LIMIT = 2**20
"""The most bytes of all parameters together for a record to keep what they were at the start."""


@dataclass(frozen=True)
class Best:
    """The state after the best epoch so far, counted from 1: the number of updates, and what ``Vectors`` keep."""

    epoch: int
    steps: int
    arrays: list[np.ndarray]


class Trainer:
    """Trains a model by minibatches; what is not given is what the model's file declares.

    With ``stream`` the data is read piece by piece: a file, a folder of files, or what an iterable or a function that
    makes an iterator gives; see ``docs/streams.md``.

    ``data`` is a file, a DataFrame, rows, a mapping of arrays by input, or ``Minibatches``; the model's own data
    unless given. ``optimizer`` is a name, a mapping with a ``name``, or an ``Optimizer``; a name alone keeps the
    declared attributes if it is the declared optimizer. ``validation`` is the share of the examples, from the end,
    in their order in the data, that is held out (rounded up to whole examples); with ``Minibatches`` nothing is
    held out.

    ``weights`` are numbers from 0 up, one for each example, held out or not: an example of weight 2 counts as two of
    the kind, in the loss and in what a mean divides by. What has no examples, such as a penalty on parameters, is not
    weighed.

    Where the model was trained before by the same optimizer, and its parameters were not changed since, the optimizer
    goes on with the state that ``model.training`` keeps, unless ``fresh_optimizer`` is true; ``optimizer_start`` tells.

    With a ``seed`` other than the one that the model's parameters were drawn from, they are drawn anew, apart from
    those with a literal value and those that were set or trained since. It decides the order of shuffled examples as
    well.

    ``memory_limit``, in bytes or as "64MB", bounds what a gradient takes besides parameters, gradients and data:
    results of the forward pass are forgotten and computed again where that helps, at the price of at most one more
    forward pass. The results are the same, bit for bit; a limit that cannot be met is a ``MemoryLimitError``.
    ``threads`` is an upper bound for the threads that a backend uses.

    All trained parameters of one dtype stand side by side in one vector, and ``model.parameters`` are views of it, so
    that training leaves its result there. Who reads ``model.parameters`` meanwhile gets copies. Parameters that the
    loss does not depend on, or only by what has no derivative, such as a comparison, are not trained, nor are those
    that ``frozen`` names.

    ``cluster`` are open workers (see ``train``), which compute the gradients of minibatches. With ``sync_every`` over
    1 they take that many steps by themselves: a step of the trainer is then a whole round of them.

    A schedule sets ``optimizer.learning_rate`` before each update, from the rate that the optimizer had at first.
    """

    @checked
    @takes_options(per_epoch=False)
    def __init__(
        self,
        model: Model,
        data: Any = None,
        *,
        weights: Any = None,
        cluster: Workers | None = None,
        **options: Any,
    ) -> None:
        self.model = model
        if model.loss is None:
            raise TrainingError('the model has no loss to make small; declare one, as loss = "NODE" under [model]')
        if not len(model.parameters):
            raise TrainingError("the model has no parameters, so there is nothing to train")
        self.settings = resolve(model.train_settings, options)
        self.steps = 0
        """Updates so far."""
        self._asked = 0
        """Gradients of minibatches of others so far: what is drawn is drawn anew for each."""
        streamed = held_out = None
        if self.settings.stream and not isinstance(data, Minibatches):
            streamed, held_out = given_stream(model, data, weights, self.settings, declared="validation" not in options)
            data = streamed
            examples = None
        elif self.settings.on_error != "error":
            raise TrainingError(
                'on_error = "skip" is for rows that are read during training; add stream = true (--stream)'
            )
        elif isinstance(data, Minibatches):
            examples = None
            if weights is not None:
                raise TrainingError("weights go with arrays, not with Minibatches, which may weigh their own examples")
        else:
            declared = "validation" not in options
            examples = given_examples(model, data, weights, self.settings, declared=declared)
        if examples is not None:
            model.decide_widths(examples.arrays, final=True)
        elif isinstance(data, Minibatches):
            model.decide_widths(data.everything(), final=True)
        self.graph, self._weights = model.graph, ""
        """What is measured: the model's graph, or where examples are weighed one that has the weights as an input."""
        kept = frozen_names(model.parameters, self.settings.frozen)
        training = training_graph(model.graph, model.loss, self.settings.seed, kept)
        if (examples is not None and examples.weights is not None) or (streamed is not None and streamed.is_weighed):
            self.graph, self._weights = weighted_graph(model.graph, model.loss)
            weighted, _ = weighted_graph(training.graph, model.loss, list(training.updates.values()))
            training = replace(training, graph=weighted)
        self._training = training
        """What is differentiated."""
        trained = trained_parameters(model, training, kept)
        for text in shape_warnings(model.graph, model.graph.schedule(), model.loss, batch_symbol(model.graph)):
            warnings.warn(text, DataflowWarning, stacklevel=2)
        self.inputs = [name for name in self.graph.names(INPUT) if name in trained.needed]
        """The inputs that a step needs."""
        self.held_out: Mapping[str, np.ndarray] | None = None
        """The examples for validation."""
        split = split_inputs(self.graph, self.inputs)
        if isinstance(data, Minibatches):
            self.batches: Minibatches = data
            self.held_out = held_out
            if streamed is not None and self._weights:
                streamed.weigh_by(self._weights, self.held_out)
        else:
            assert examples is not None
            self.batches, self.held_out = weighed_minibatches(examples, split, self.settings, self._weights)
        if options.get("seed") is not None:
            _reseed(model, self.settings.seed)
        self.start = _if_small(model.parameters)
        """The parameters before the first update, ``None`` where they are large."""
        state_names = (*self.settings.rule.state_names, *((ACCUMULATED,) if self.settings.accumulate > 1 else ()))
        self.vectors = Vectors(model.parameters, trained.names, state_names, trained.held, training.updates)
        self.optimizer_start = take_up_state(
            model,
            self.vectors.groups,
            self.settings.rule.name,
            self.settings.rule.state_names,
            fresh=self.settings.fresh_optimizer,
        )
        """Whether the optimizer goes on with its state from earlier training."""
        for name, view in self.vectors.read.items():
            if not np.isfinite(view).all():  # a comparison may hide it
                raise parameter_error("at the start", name, view)
        self._mark = (0, 0, 0, self.vectors.snapshot())
        self.best: Best | None = None
        """What early stopping keeps."""
        per_epoch = self.batches.per_epoch
        self._updates = Updates(self.vectors, self.settings, per_epoch, lambda: self.optimizer_start.updates)
        self.optimizer = self._updates.optimizer
        self._gradients = Gradients(trained.gradient, training, self.vectors, self.settings)
        self._source: Gradients | SharedGradients = self._gradients
        """Where gradients of minibatches are computed."""
        self._rounds: LocalRounds | None = None
        """Where workers train by themselves."""
        every = self.settings.sync_every
        if cluster is None and every > 1:
            raise TrainingError("sync_every is for the workers of a cluster; give one, or leave it out")
        if every > 1 and self.settings.accumulate > 1:
            raise TrainingError("accumulate and sync_every exclude each other; choose larger minibatches instead")
        if cluster is not None:
            shared = (cluster, model, self.batches, self.vectors, self.settings, sorted(kept))
            inputs, weighed = self._gradients.inputs, bool(self._weights)
            gradient = trained.gradient
            drawn_nodes(gradient.graph, gradient.graph.needed_for([gradient.of, *gradient.cotangents.values()]))
            if every > 1:
                self._rounds = LocalRounds(*shared, inputs, weighed, sync_every=every)
            else:
                self._source = SharedGradients(*shared, inputs, weighed)
            self._inside = None
        else:
            self._inside = Inside.of(self._gradients, self.batches, self.vectors, self._updates, self.settings)
        self._is_bound = self._source is self._gradients and not self._gradients.node_by_node
        self._is_bound = self._is_bound and type(self.batches) is ArrayMinibatches and self._rounds is None
        """Whether nothing but a bound plan and an update stand between two minibatches."""
        self._measure = Measure(
            self.graph,
            model.loss,
            model.parameters,
            split,
            chosen_metrics(model.comparisons, self.settings.metrics, ["training"]),
            self.settings.runs_on,
            threads=self.settings.threads,
            weights=self._weights,
            stated=model.graph,
            undo=Units(model.data).undo,
        )

    def _begin(self) -> None:
        """Open the workers of a cluster, which the first step does otherwise: so what is wrong without them is told
        before."""
        shared = self._rounds or self._source
        if isinstance(shared, SharedGradients):
            shared.begin()

    # -------------------------------------------------------------------------------------------- training

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The model's parameters by name, as they are now: read-only arrays, which no later step changes."""
        self.vectors.refresh()
        return dict(self.model.parameters)

    def step(self) -> float:
        """One minibatch: forward, backward, and the update, or a part of it where ``accumulate`` minibatches make one.
        Returns its loss, before the update.

        Where NaN or infinity appears in the loss, the gradient or the update, ``NonFiniteError`` names the first node
        that has it; the parameters and the optimizer's state are then those from before the minibatch.
        """
        if self._inside is not None or not self._is_bound:
            return self._some(1)[1]
        self.vectors.refresh()
        with self._gradients.scope():
            outside = ERROR_STATE.ignore()
            try:
                loss = self._one()
            finally:
                ERROR_STATE.restore(outside)
        if loss is None:
            raise self._failed_batch()
        return loss

    @checked
    def run(self, steps: int) -> float:
        """So many minibatches, on into further epochs. Returns the loss of the last; NaN for none. Ctrl-C raises
        ``KeyboardInterrupt`` after the current minibatch."""
        with deferred() as interrupt:
            return self.run_until(whole("steps", steps, 0), interrupt)[1]

    def run_until(self, steps: int, interrupt: Interrupt) -> tuple[int, float]:
        """So many minibatches, or fewer where it is asked to end. Returns how many they were, and the loss of the
        last."""
        done, loss = 0, math.nan
        while done < steps and not interrupt.requested:
            left = steps - done
            more, loss = self._some(left) if self._inside is not None else self._outside(left, interrupt)
            done += more
        return done, loss

    @checked
    def some(self, most: int) -> tuple[int, float]:
        """At least one minibatch, and at most so many: those that the backend runs by itself in a tenth of a second or
        so. Returns how many they were, and the loss of the last."""
        return self._some(most)

    def _some(self, most: int) -> tuple[int, float]:
        if self._inside is not None:
            self.vectors.refresh()
            several = self._updates.accumulate > 1
            position = self.batches.position if several else 0
            done, loss = self._inside.run(most, self.optimizer_start.updates + self.steps)
            self.steps += self._updates.made(position, done) if several else done
            if done:
                return done, loss
        return self._outside(1)

    @checked
    def gradient(self, batch: Mapping[str, Any]) -> float:
        """The loss of any examples; their gradient is then in ``vectors``, summed over them as the loss sums. Nothing
        is updated, so that a gradient can be added up from several sources first."""
        self.vectors.refresh()
        arrays = checked_arrays(self.graph, batch, self.inputs)
        with self._gradients.scope(), np.errstate(all="ignore"):
            self._asked += 1
            return self._gradients(arrays, self.batches.position + self._asked - 1)

    def update(self) -> None:
        """Change the parameters by the gradient that is in ``vectors``, and use the gradient up."""
        with np.errstate(all="ignore"):
            self._updates.prepare(self.steps)
            self._updates.apply(self.steps)
        self.vectors.take_state()
        self.steps += 1

    def lay_out(self, epochs: int) -> None:
        """Say how many epochs the run has, for schedules that depend on it; those of the model's file unless told."""
        self._updates.lay_out(epochs)

    def observe(self, history: History) -> None:
        """Let the schedule take in what was measured after each epoch so far."""
        if self._updates.rates is not None:
            self._updates.rates.observe(history.metrics.get("validation_loss", history.loss))

    def measure(self) -> dict[str, float]:
        """``loss`` over the whole training data with the parameters as they are, and the metrics that apply."""
        self.vectors.refresh()
        measured = self._measure(self.batches.everything())
        if self.held_out is not None:
            measured |= {f"validation_{name}": value for name, value in self._measure(self.held_out).items()}
        return {name: measured[name] for name in self.measured}

    @property
    def measured(self) -> list[str]:
        """The names of what ``measure`` gives, in its order."""
        names = self._measure.names
        return [
            f"{held}{name}" for name in names for held in ("", *(["validation_"] if self.held_out is not None else []))
        ]

    @checked
    def better(self, name: str) -> str:
        """``"lower"`` or ``"higher"``: which values of what is measured are better."""
        if name not in self.measured:
            raise TrainingError(f"'{name}' is not measured{nearest(name, self.measured)}")
        return self._measure.better(name.removeprefix("validation_"))

    @checked
    def record(self, history: History) -> dict[str, Any]:
        """What a trained file keeps of a run: plain data, where it comes from (``manifest``), and as arrays the
        optimizer's state and, where they take 1 MiB at most, the parameters that the run began with (``start``), from
        which it can be repeated."""
        state = {
            group.dtype.name: {
                "names": list(group.names),
                **{name: frozen(array) for name, array in group.state.items()},
            }
            for group in self.vectors.groups
        }
        return {
            "epochs": history.epochs,
            "batch": self.batches.batch,
            "steps": self.steps,
            **({"updates_before": self.optimizer_start.updates} if self.optimizer_start.updates else {}),
            "loss": list(history.loss),
            "metrics": {name: list(values) for name, values in history.metrics.items()},
            "interrupted": history.interrupted,
            **({} if self.best is None else {"best": {"epoch": self.best.epoch, "steps": self.best.steps}}),
            "backend": self.settings.backend,
            **self.settings.plain(),
            "manifest": manifest(self.model, self.batches, self.held_out, self.settings),
            "state": state,
            **({} if self.start is None else {"start": dict(self.start)}),
        }

    # -------------------------------------------------------------------------------------------- the last good state

    def mark(self) -> None:
        """Remember this state, for ``back_to_mark``."""
        self._mark = (self.batches.epoch, self.batches.batch, self.steps, self.vectors.snapshot())

    def keep_best(self) -> None:
        """Keep this state, at the end of an epoch, for ``back_to_best``."""
        self.best = Best(self.batches.epoch, self.steps, self.vectors.snapshot())

    def back_to_best(self) -> None:
        """Make the best state the result, where one was kept. The position and the number of updates stay."""
        if self.best is not None:
            self.vectors.restore(self.best.arrays)

    def back_to_mark(self) -> NonFiniteError:
        """Go back to the state that was marked, because the loss of the whole data is not finite; the error to
        raise."""
        epoch, batch, steps, snapshot = self._mark
        kept = (
            f"the parameters are those from {f'before its batch {batch + 1}' if batch else 'the start of that epoch'}"
        )
        where = f"epoch {epoch + 1}, over the whole data"
        error = self._failure(self.graph, self.batches.everything(), where, kept)
        self.vectors.restore(snapshot)
        self.steps = steps
        self.batches.seek(epoch, batch)
        return error

    # -------------------------------------------------------------------------------------------- internals

    def _outside(self, steps: int, interrupt: Interrupt | None = None) -> tuple[int, float]:
        """So many minibatches, or fewer where it is asked to end, each step of them taken here. Returns how many they
        were, and the loss of the last."""
        self.vectors.refresh()
        done, loss = 0, math.nan
        if self._rounds is not None:
            return self._whole_rounds(self._rounds, steps, interrupt)
        with self._gradients.scope(), np.errstate(all="ignore"):
            while done < steps and not (interrupt is not None and interrupt.requested):
                more = self._one()
                if more is None:
                    raise self._failed_batch()
                loss = more
                done += 1
        return done, loss

    def _whole_rounds(self, rounds: LocalRounds, steps: int, interrupt: Interrupt | None) -> tuple[int, float]:
        """At least so many minibatches: a round that has begun is ended."""
        done, loss = 0, math.nan
        while done < steps and not (interrupt is not None and interrupt.requested):
            count, loss = rounds.run(self._updates, self.steps, self.optimizer_start.updates)
            if count < 0:
                epoch, batch = self.batches.epoch, self.batches.batch
                self.batches.advance(-count - 1)
                error = self._failed_batch(f"the round of batch {batch + 1}")
                self.batches.seek(epoch, batch)
                raise error
            self.steps += count
            self.batches.advance(count)
            done += count
        return done, loss

    def _one(self) -> float | None:
        """One minibatch. Returns its loss; ``None`` where something is not finite, and nothing is changed then."""
        batches = self.batches
        loss = self._source.at(batches)
        made = self._updates.take(loss, batches.batch, self.steps)
        if made is None:
            return None
        if self.vectors.new_state:
            self.vectors.take_state()
        self.steps += made
        batches.advance()
        return loss

    def _failed_batch(self, before: str = "this batch") -> NonFiniteError:
        batch = self.batches.current()
        where = f"epoch {self.batches.epoch + 1}, batch {self.batches.batch + 1} of {self.batches.per_epoch}"
        if self._training.minibatch:
            batch = {**batch, self._training.minibatch: np.array(self.batches.position)}
        return self._failure(self._training.graph, batch, where, f"the parameters are those from before {before}")

    def _failure(self, graph: Graph, batch: Mapping[str, np.ndarray], where: str, kept: str) -> NonFiniteError:
        """The error for a minibatch of the model as that graph has it."""
        rate = getattr(self.optimizer, "learning_rate", None)
        model = self.model
        if graph is not model.graph:
            model = Model(graph, [], model.loss)
            model.parameters = self.model.parameters
        return non_finite_error(model, self.vectors.views, batch, where, kept, rate)


def _if_small(parameters: Parameters) -> dict[str, np.ndarray] | None:
    """All parameters, unless they are large."""
    if sum(parameters.current(name).nbytes for name in parameters) > START_LIMIT:
        return None
    return dict(parameters)


def _reseed(model: Model, seed: int) -> None:
    """Draw from another seed what still has the value that it was drawn with; keep the rest."""
    parameters = model.parameters
    if seed == parameters.seed:
        return
    fresh = Parameters(model.graph, parameters.seed)
    kept = {name: value for name, value in parameters.items() if value.tobytes() != fresh[name].tobytes()}
    parameters.redraw(seed)
    for name, value in kept.items():
        parameters.adopt(name, value)
