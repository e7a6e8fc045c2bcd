"""``dataflow gradients``: the other modes of differentiation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from dataflow.cli import common
from dataflow.cli.common import about, example_text, gather, targets
from dataflow.cli.group import Session
from dataflow.cli.text import array_text, matrix_text, table
from dataflow.derivatives import MOST_ORDERS
from dataflow.errors import DataError
from dataflow.results import labels, plain_numbers
from dataflow.shapes import format_shape

MODES = ("vjp", "jvp", "hvp", "hessian", "per-example")


def _tangents(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for text in values:
        name, equals, value = text.partition("=")
        try:
            found[name.strip()] = json.loads(value)
        except (ValueError, RecursionError):
            equals = ""
        if not equals or not name.strip():
            raise click.BadParameter(f"'{text}' is not of the form NAME=JSON, such as 'b1=[1, 0]'.", ctx, option)
    return found


@click.command(
    "gradients",
    epilog=example_text(
        "dataflow gradients models/xor.toml --mode per-example --wrt b1",
        "dataflow gradients models/xor.toml --mode jvp --of yhat --wrt b1 --tangent 'b1=[1, 0]'",
        "dataflow gradients models/jacobian.toml --mode jvp --order 2 --of f --wrt x --tangent 'x=[0, 1]'",
        "dataflow gradients models/xor.toml --mode hessian --wrt b1,b2",
    ),
)
@common.model_argument
@click.option("--mode", type=click.Choice(MODES), default="vjp", help="The mode; vjp unless given.")
@click.option("--of", metavar="NODE", help="What is differentiated: any node; the loss unless given.")
@click.option(
    "--wrt",
    metavar="NAME,...",
    callback=common.split_names,
    help="With respect to these inputs, parameters or nodes; every parameter unless given.",
)
@click.option(
    "--tangent",
    "tangents",
    multiple=True,
    metavar="NAME=JSON",
    callback=_tangents,
    help="A direction: of a wrt for jvp and hvp, of --of for vjp (its cotangent). Ones unless given; where some are "
    "given, the others are 0.",
)
@click.option(
    "--order",
    type=click.IntRange(1, MOST_ORDERS),
    default=1,
    metavar="K",
    help="With jvp: the derivative of order K along the tangent; 1 unless given.",
)
@common.data_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    mode: str,
    of: str | None,
    wrt: list[str] | None,
    tangents: dict[str, Any],
    order: int,
    data_file: Path | None,
    settings: Mapping[str, Any],
    example: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Derivatives of a node of MODEL in any mode.

    vjp: cotangent · J for each wrt. jvp: J · tangent, in the shape of --of; with --order K the K-th derivative along
    the tangent. hvp: H · tangent, where H is the Hessian of the sum of --of. hessian: H itself. per-example: what each
    example adds to the gradient.
    """
    with about(model_file):
        model = common.load_model(model_file)
        given = gather(session, model, data_file, settings, example)
        target, names = targets(model, of, wrt)
        if target is None:
            raise DataError("the model has no loss and no parameters to differentiate; say --of and --wrt")
        if mode in ("hessian", "per-example") and tangents:
            raise DataError(f"--mode {mode} takes no --tangent; vjp, jvp and hvp do")
        if mode != "jvp" and order != 1:
            raise DataError(
                f"--order goes with --mode jvp, not with {mode}; second derivatives are --mode hessian or hvp"
            )
        evaluation = model.evaluate(of=target, wrt=names, data=given, kinks=True)
        session.warn(*evaluation.warnings)
        values = evaluation.values
        ones = {n: np.ones_like(values[n]) for n in ([target] if mode == "vjp" else names)}
        directions = tangents or ones
        found: dict[str, np.ndarray]
        if mode == "vjp":
            if unknown := set(directions) - {target}:
                raise DataError(f"a vjp takes the cotangent of '{target}', not of '{min(unknown)}'")
            found = model.vjp(of=target, wrt=names, cotangent=directions[target], data=given)
        elif mode == "jvp":
            found = {target: model.jvp(of=target, wrt=names, tangents=directions, order=order, data=given)}
        elif mode == "hvp":
            found = model.hvp(of=target, wrt=names, tangents=directions, data=given)
        elif mode == "per-example":
            found = model.per_example_gradients(of=target, wrt=names, data=given)
        else:
            found = {"hessian": model.hessian(of=target, wrt=names, data=given)}
    if as_json:
        document: dict[str, Any] = {"mode": mode, "of": target, "wrt": names}
        if mode == "hessian":
            document |= {"shape": list(found["hessian"].shape), "hessian": plain_numbers(found["hessian"])}
        elif mode == "jvp":
            document["order"] = order
            document["tangent"] = plain_numbers(found[target])
        else:
            document["gradients"] = {name: plain_numbers(array) for name, array in found.items()}
        common.print_json({**document, "warnings": session.take()})
        return
    title = _title(mode) if order == 1 else f"Derivative of order {order} along the tangent"
    session.say(f"{title} of {target} with respect to {', '.join(names)}\n")
    if mode == "hessian":
        across = [label for name in names for label in labels(name, values[name].shape)]
        if found["hessian"].size > 600:
            rows = len(found["hessian"])
            session.say(f"{rows} x {rows}: too large to print; --json prints it.")
        else:
            session.say(matrix_text(found["hessian"], across, across))
        return
    rows_of_text = [[name, format_shape(array.shape), array_text(array, 60)] for name, array in found.items()]
    session.say(table(["of" if mode == "jvp" else "wrt", "shape", "value"], rows_of_text))


def _title(mode: str) -> str:
    return {
        "vjp": "Vector-Jacobian product",
        "jvp": "Jacobian-vector product",
        "hvp": "Hessian-vector product",
        "hessian": "Hessian",
        "per-example": "Gradient by example",
    }[mode]
