"""``dataflow gradients``: the other modes of differentiation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from dataflow.autodiff.derivatives import MOST_ORDERS
from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import Given, gather, targets
from dataflow.cli.group import Session
from dataflow.cli.parameters_option import parameters_option
from dataflow.cli.terminal_text import array_text, matrix_text, room, table
from dataflow.data.write_results import labels, plain_numbers
from dataflow.errors import DataError
from dataflow.shapes import format_shape

TITLES = {
    "vjp": "Vector-Jacobian product",
    "jvp": "Jacobian-vector product",
    "hvp": "Hessian-vector product",
    "hessian": "Hessian",
    "per-example": "Gradient by example",
}
"""What each mode gives."""
DIRECTIONS = {"vjp": "cotangent", "jvp": "tangent", "hvp": "tangent"}
"""What a mode multiplies with."""


@click.command(
    "gradients",
    cls=Command,
    epilog=example_text(
        "dataflow gradients models/xor.toml --mode per-example --wrt b1",
        "dataflow gradients models/xor.toml --mode jvp --of yhat --wrt b1 --tangent 'b1=[1, 0]'",
        "dataflow gradients models/jacobian.toml --mode jvp --order 2 --of f --wrt x --tangent 'x=[0, 1]'",
        "dataflow gradients models/xor.toml --mode hessian --wrt b1,b2",
    ),
)
@common.model_argument
@click.option("--mode", type=click.Choice(list(TITLES)), default="vjp", help="The mode; vjp unless given.")
@common.of_any_option
@common.wrt_option("With respect to these inputs, parameters or nodes; every parameter unless given")
@common.settings_option(
    "--tangent",
    "tangents",
    "A direction: of a wrt for jvp and hvp, of --of for vjp (its cotangent). Ones unless given; where some are given, "
    "the others are 0.",
)
@click.option(
    "--order",
    type=click.IntRange(1, MOST_ORDERS),
    default=1,
    metavar="K",
    help="With jvp: the derivative of order K along the tangent; 1 unless given.",
)
@common.data_options
@parameters_option
@common.number_options
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
    given: Given,
) -> None:
    """Differentiate a node of MODEL in any mode.

    vjp: cotangent · J for each wrt. jvp: J · tangent, in the shape of --of; with --order K the K-th derivative along
    the tangent. hvp: H · tangent, where H is the Hessian of the sum of --of. hessian: H itself. per-example: what each
    example adds to the gradient.
    """
    with about(model_file):
        model = common.load_model(model_file)
        inputs = gather(session, model, given)
        target, names = targets(model, of, wrt)
        if target is None:
            raise DataError("the model has no loss and no parameters to differentiate; say --of and --wrt")
        if mode in ("hessian", "per-example") and tangents:
            raise DataError(f"--mode {mode} takes no --tangent; vjp, jvp and hvp do")
        if mode != "jvp" and order != 1:
            raise DataError(
                f"--order goes with --mode jvp, not with {mode}; second derivatives are --mode hessian or hvp"
            )
        evaluation = model.evaluate(of=target, wrt=names, data=inputs, kinks=True)
        session.warn(*evaluation.warnings)
        values = evaluation.values
        ones = {n: np.ones_like(values[n]) for n in ([target] if mode == "vjp" else names)}
        directions = tangents or ones
        derivatives: dict[str, np.ndarray]
        if mode == "vjp":
            if unknown := set(directions) - {target}:
                raise DataError(f"a vjp takes the cotangent of '{target}', not of '{min(unknown)}'")
            derivatives = model.vjp(of=target, wrt=names, cotangent=directions[target], data=inputs)
        elif mode == "jvp":
            derivatives = {target: model.jvp(of=target, wrt=names, tangents=directions, order=order, data=inputs)}
        elif mode == "hvp":
            derivatives = model.hvp(of=target, wrt=names, tangents=directions, data=inputs)
        elif mode == "per-example":
            derivatives = model.per_example_gradients(of=target, wrt=names, data=inputs)
        else:
            derivatives = {"hessian": model.hessian(of=target, wrt=names, data=inputs)}
    if session.as_json:
        document: dict[str, Any] = {"mode": mode, "of": target, "wrt": names}
        if mode == "hessian":
            document |= {"shape": list(derivatives["hessian"].shape), "hessian": plain_numbers(derivatives["hessian"])}
        elif mode == "jvp":
            document["order"] = order
            document["tangent"] = plain_numbers(derivatives[target])
        else:
            document["gradients"] = {name: plain_numbers(array) for name, array in derivatives.items()}
        session.print_json({**document, "warnings": session.take()})
        return
    title = TITLES[mode] if order == 1 else f"Derivative of order {order} along the tangent"
    assumed = "" if tangents or mode not in DIRECTIONS else f", with {_ones(DIRECTIONS[mode], list(ones.values()))}"
    session.say(f"{title} of {target} with respect to {', '.join(names)}{assumed}\n")
    if mode == "hessian":
        across = [label for name in names for label in labels(name, values[name].shape)]
        if derivatives["hessian"].size > 600:
            rows = len(derivatives["hessian"])
            session.say(f"{rows} x {rows}: too large to print; --json prints it.")
        else:
            session.say(matrix_text(derivatives["hessian"], across, across))
        return
    headers = ("of" if mode == "jvp" else "wrt", "shape", "value")
    columns = min(60, room(headers, [(name, format_shape(array.shape), "") for name, array in derivatives.items()]))
    texts = [(name, format_shape(array.shape), array_text(array, columns)) for name, array in derivatives.items()]
    session.say(table(headers, texts))


def _ones(what: str, directions: list[np.ndarray]) -> str:
    """What is taken where no direction is given."""
    if len(directions) > 1:
        return f"{what}s of ones"
    return f"a {what} of ones" if directions[0].ndim else f"the {what} 1"
