"""``--parameters``: a file of weights for the model that a command loads."""

from __future__ import annotations

from pathlib import Path

import click

from dataflow.files.safetensors import take_parameters
from dataflow.model.model import Model

PARAMETERS = "dataflow.parameters"


def _keep(ctx: click.Context, option: click.Parameter, path: Path | None) -> None:
    ctx.meta[PARAMETERS] = path


parameters_option = click.option(
    "--parameters",
    type=click.Path(path_type=Path),
    metavar="FILE",
    expose_value=False,
    callback=_keep,
    help="Take the parameters from this .safetensors file, by their names.",
)
"""What ``take_given_parameters`` then reads."""


def take_given_parameters(model: Model) -> None:
    """Give the model the parameters of ``--parameters``, if that was given."""
    path = click.get_current_context().meta.get(PARAMETERS)
    if path is not None:
        take_parameters(model, path)
