"""The options of training. Each is declared here, once: files, the command line, ``train`` and ``Trainer``, the JSON
schema, checkpoints and the documentation take them from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from dataflow.backends.optimizer import Optimizer
from dataflow.backends.schedule import Schedule
from dataflow.model.option_kinds import ByteSize, Flag, Names, Number, OneOf, OptionKind, Share, Text, Whole
from dataflow.model.table_kinds import Changes, Choice, Key, Table, TableKind, ValueOrTable
from dataflow.registry import registry


@dataclass(frozen=True)
class TrainOption:
    """What is declared of an option. A new one needs its line in ``TrainSettings`` or ``RunSettings``, and the code
    that does what it says."""

    name: str
    kind: OptionKind
    default: Any
    """``None`` where it may be left open; ``help`` says what holds then."""
    help: str
    """Sentences for readers of the command line, of the schema and of the documentation."""
    in_file: bool
    """Whether a model's file may declare it."""
    required: bool
    """Whether binary files always hold it, as they do since their first version. Others are there where they differ
    from the default, so that a file which does without them is read by earlier versions, and theirs by later ones."""
    decides: bool
    """Whether another value makes another run: checkpoints and trained files keep it."""
    per_epoch: bool
    """Whether it is about whole epochs, so that ``train`` takes it and a ``Trainer`` does not."""
    optional: bool
    """Whether a run may do without what a file declares: it gives ``None``, and the default holds."""

    def check(self, value: Any) -> Any:
        """The value in its canonical form; a ``TrainingError`` says what is expected."""
        return None if value is None and self.default is None else self.kind.check(self.name, value)

    def chosen(self, declared: Any, given: Any) -> Any:
        """What holds where a file declares one value and a run gives another: ``Changes`` are some keys of a table,
        ``None`` is as if the file declared nothing, or where that cannot be, what it declares."""
        if given is None:
            return self.default if self.optional else declared
        if isinstance(given, Changes) and isinstance(self.kind, TableKind):
            return self.kind.changed(declared, given)
        return given

    def accepts(self, value: Any) -> bool:
        """Whether plain data from a file may be its value."""
        return (value is None and self.default is None) or self.kind.accepts(value)

    def plain(self, value: Any) -> Any:
        """A checked value as plain data."""
        return None if value is None else self.kind.plain(value)


def option(
    kind: OptionKind,
    default: Any,
    help: str,  # noqa: A002
    *,
    in_file: bool = True,
    required: bool = False,
    decides: bool = True,
    per_epoch: bool = False,
    optional: bool = False,
) -> Any:
    """Declare an option as a field of ``TrainSettings`` or ``RunSettings`` (see ``TrainOption``)."""
    declared: dict[str, Any] = {"kind": kind, "help": help, "in_file": in_file, "required": required}
    declared |= {"default": default, "decides": decides, "per_epoch": per_epoch}
    declared["optional"] = optional or (in_file and default is None)
    if isinstance(default, dict | list):
        return field(default_factory=default.copy, metadata=declared)
    return field(default=default, metadata=declared)


@dataclass(frozen=True)
class TrainSettings:
    """What a file declares of training; each can be overridden when training starts."""

    optimizer: Mapping[str, Any] = option(
        Choice("optimizer", registry.optimizer, Optimizer, {"name": "sgd", "learning_rate": 0.1}),
        {"name": "sgd"},
        "The update rule: an optimizer's name, or its name and attributes.",
        required=True,
    )
    epochs: int = option(
        Whole(0),
        1,
        "How many times training goes through the data.",
        required=True,
        decides=False,
        per_epoch=True,
    )
    batch_size: int | None = option(
        Whole(1),
        None,
        "How many examples each update is made from; all of them unless given. The last batch of an epoch may be "
        "smaller.",
        required=True,
    )
    shuffle: bool = option(Flag(), False, "Whether the examples are put in a new order for each epoch.", required=True)
    seed: int = option(
        Whole(0),
        0,
        "Where the random numbers start, for parameters and for shuffling: the same seed, the same run.",
        required=True,
    )
    validation: float | Mapping[str, Any] = option(
        ValueOrTable(
            Share(),
            Table(
                {"share": Key(Share()), "shuffle": Key(Flag()), "stratify": Key(Text()), "file": Key(Text())},
                one_of=("share", "file"),
                alone=("file",),
            ),
            "share",
        ),
        0.0,
        "This share of the examples, from the end in file order, is held out of training and only measured; or a share "
        "that is drawn by the seed (shuffle), the same of each class in a column (stratify), or a file of its own.",
        required=True,
        optional=True,
    )
    metrics: Sequence[str] | None = option(
        Names(registry.metric),
        None,
        "What is measured after each epoch beside the loss, by name; what fits the loss unless given.",
        decides=False,
    )
    early_stopping: Mapping[str, Any] | None = option(
        Table({"metric": Key(Text()), "patience": Key(Whole(1), 10), "min_delta": Key(Number(least=0), 0.0)}),
        None,
        "Training ends when the metric (validation_loss, or loss where nothing is held out, unless given) has not "
        "become better by more than min_delta for patience epochs, and the parameters of its best epoch are the "
        "result.",
        per_epoch=True,
    )
    schedule: Mapping[str, Any] | None = option(
        Choice("schedule", registry.schedule, Schedule, {"name": "cosine", "warmup": 100}),
        None,
        "How the learning rate changes from update to update: a schedule's name, or its name and attributes.",
    )
    accumulate: int = option(
        Whole(1),
        1,
        "Minibatches whose gradients are added for each update; what is left at an epoch's end is an update of its "
        "own.",
        optional=True,
    )
    clip: Mapping[str, float] | None = option(
        Table({"norm": Key(Number(above=0)), "value": Key(Number(above=0))}, one_of=("norm", "value")),
        None,
        "The largest gradient of an update: by its norm, over all parameters together, or entry by entry.",
    )
    frozen: Sequence[str] = option(
        Names(),
        [],
        "Parameters that are not trained; * stands for any part of a name, as in encoder.*.",
        optional=True,
    )
    stream: bool = option(
        Flag(),
        False,
        "Whether the data is read piece by piece during training, so that it need not fit into memory: a file, or a "
        "folder of files.",
    )
    shuffle_window: int | None = option(
        Whole(1),
        None,
        "Of a stream, how many rows are mixed with each other when the examples are put in a new order; as many as "
        "take 128 MiB unless given.",
    )
    chunk_rows: int = option(
        Whole(1),
        2**14,
        "Of a stream, how many rows are read at once where its files do not say it, as Parquet files do.",
    )
    on_error: str = option(
        OneOf("ACTION", ("error", "skip")),
        "error",
        "What is done with a row of a stream that cannot be used: it is an error, or it is left out and counted "
        "(skip).",
    )

    def __post_init__(self) -> None:
        for name, declared in options_of(type(self)).items():
            object.__setattr__(self, name, declared.check(getattr(self, name)))


@dataclass(frozen=True, kw_only=True)
class RunSettings(TrainSettings):
    """The same, with what only the one who starts a run says."""

    learning_rate: float | None = option(
        Number("RATE"), None, "The optimizer's learning rate.", in_file=False, decides=False
    )
    fresh_optimizer: bool = option(
        Flag(),
        False,
        "Whether the optimizer starts anew; else, where the model was trained before, it goes on with its saved state.",
        in_file=False,
        decides=False,
    )
    backend: str = option(Text(), "numpy", "What computes; numpy unless given.", in_file=False, decides=False)
    threads: int | None = option(
        Whole(1), None, "Threads at most; as many as pay unless given.", in_file=False, decides=False
    )
    memory_limit: int | None = option(
        ByteSize(),
        None,
        "What intermediate values may take, such as 64MB; what is needed late is computed twice where that helps.",
        in_file=False,
        decides=False,
    )
    sync_every: int = option(
        Whole(1),
        1,
        "Of a cluster, how many minibatches each worker trains on by itself, on its part of them, before all go on "
        "from the mean of what they learned: less to send, and another result. With 1, gradients are added in each "
        "step.",
        in_file=False,
    )


def options_of(settings: type[TrainSettings] = RunSettings) -> dict[str, TrainOption]:
    """The options that a class of settings declares, by name."""
    declared = (entry for entry in fields(settings) if entry.metadata)
    return {entry.name: TrainOption(entry.name, **entry.metadata) for entry in declared}


FILE_OPTIONS = {name: declared for name, declared in options_of().items() if declared.in_file}
"""What ``[train]`` may hold."""
DECIDING_OPTIONS = {name: declared for name, declared in options_of().items() if declared.decides}
"""What another run differs in."""
