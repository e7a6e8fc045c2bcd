"""Where ``dataflow draw`` writes: a file, or one for each model in a folder, and which of them are out of date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from dataflow.cli import common
from dataflow.cli.command import refuse, together
from dataflow.cli.common import FILE
from dataflow.draw.drawing import FORMATS
from dataflow.errors import DataflowError, FileFormatError

ENDINGS = tuple(ending.removeprefix(".") for ending in FORMATS)


file_options = together(
    click.option(
        "-o",
        "--output",
        type=FILE,
        metavar="FILE",
        help="FILE.svg, .png, .pdf, .gif, .dot, .tex (TikZ) or .mmd.",
    ),
    click.option(
        "--output-dir",
        type=FILE,
        metavar="DIR",
        help="Write DIR/NAME.svg for each MODEL, which is called NAME. Folders that are missing are made.",
    ),
    click.option("--format", "ending", type=click.Choice(ENDINGS), help="What --output-dir writes; svg unless given."),
    click.option(
        "--check",
        is_flag=True,
        help="Write nothing; exit status 1 if a file differs from what would be written, and say which.",
    ),
)
"""``-o``, ``--output-dir``, ``--format`` and ``--check``."""


def find_targets(
    models: Sequence[Path],
    output: Path | None,
    output_dir: Path | None,
    ending: str | None,
    frames_to: Path | None,
    check: bool,
) -> dict[Path, Path | None]:
    """The file to write for each model; a ``UsageError`` for options that do not go with each other."""
    one = len(set(models)) == 1
    refuse(
        (
            output is None and output_dir is None and frames_to is None,
            "say where to write: -o FILE, --output-dir DIR or --frames-to DIR",
        ),
        (output is not None and output_dir is not None, "take either -o or --output-dir"),
        (output is not None and not one, "-o is for one model; for several give --output-dir DIR"),
        (frames_to is not None and not one, "--frames-to is for one model"),
        (frames_to is not None and output_dir is not None, "take either --frames-to or --output-dir"),
        (ending is not None and output_dir is None, "--format goes with --output-dir; -o has it in the file's name"),
        (check and frames_to is not None, "--check is for -o and --output-dir, not for --frames-to"),
    )
    if output_dir is None:
        return dict.fromkeys(models, output)
    targets: dict[Path, Path | None] = {model: output_dir / f"{model.stem}.{ending or 'svg'}" for model in models}
    owner: dict[Path | None, Path] = {}
    for model, target in targets.items():
        if owner.setdefault(target, model) != model:
            raise click.UsageError(f"{owner[target]} and {model} would both be drawn to {target}; draw one with -o")
    return targets


def make_folder(target: Path) -> None:
    """Make the folder of a file."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileFormatError(f"its folder cannot be made: {error.strerror or error}", file=target) from None


def check_targets(targets: Sequence[Path | None]) -> None:
    """Known before long work starts: whether files can be written where there is a folder."""
    common.check_outputs(*(target for target in targets if target is not None and target.parent.is_dir()))


def is_stale(target: Path, content: bytes) -> bool:
    """Whether a file has another content, or is not there."""
    return not target.is_file() or target.read_bytes() != content


def stale_error(stale: Sequence[Path]) -> DataflowError:
    """The error that says which pictures are out of date."""
    names, verb = ", ".join(map(str, stale)), "is" if len(stale) == 1 else "are"
    return DataflowError(f"{names} {verb} out of date; run the command without --check to draw again")
