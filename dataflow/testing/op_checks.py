"""What is checked of every op, by name, and the run through it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from dataflow.errors import DataflowError, PluginError
from dataflow.operations.op import Op
from dataflow.support.arguments import checked
from dataflow.testing import (
    costs,
    kinks,
    precision,
    training_checks,
    values,
)
from dataflow.testing import (
    derivative_checks as derivatives,
)
from dataflow.testing import (
    nonfinite_checks as nonfinite,
)
from dataflow.testing.cases import Case, cases_of, outputs_of

Check = Callable[[Case, np.random.Generator], Iterator[str]]

CHECKS: Mapping[str, Check] = {
    "shape rule": values.shape_rule,
    "traced": values.traced,
    "body": values.body,
    "deterministic": values.deterministic,
    "bound once": values.bound,
    "inputs unchanged": values.inputs_unchanged,
    "broadcasting": values.broadcasting,
    "plain numbers": values.plain_numbers,
    "empty arrays": values.empty_arrays,
    "symbolic sizes": values.symbolic_sizes,
    "float32": values.float32,
    "batch rule": values.batch_rule,
    "vjp": derivatives.vjp,
    "jacobian": derivatives.jacobian,
    "gradient graph": derivatives.traced_gradient,
    "jvp": derivatives.jvp,
    "second derivative": derivatives.second,
    "broadcast gradients": derivatives.broadcasting,
    "structure": derivatives.structure,
    "symbolic rule": derivatives.symbolic,
    "50 digits": precision.fifty_digits,
    "kinks": kinks.undeclared,
    "training": training_checks.training,
    "NaN": nonfinite.nan,
    "infinity": nonfinite.infinity,
    "cost": costs.cost,
}
"""Each yields a line for each fault that it finds in one case. Some say nothing of ops that they do not concern."""


MEANT = ("vjp", "gradient graph")
"""Of a fault that many checks meet, these tell."""
FOLLOW = ("jvp", "second derivative", "50 digits")
"""These rest on the vjp, and say nothing more where it is wrong."""


@dataclass(frozen=True)
class Finding:
    """A fault of an op: which check found it, on which sample, and the numbers."""

    op: str
    check: str
    sample: str
    message: str

    def __str__(self) -> str:
        where = f" [{self.sample}]" if self.sample else ""
        return f"op '{self.op}': {self.check}: {self.message}{where}"


@checked
def check_op(op: Op, seed: int = 0) -> list[Finding]:
    """All faults of an op that the general checks find; none for an op that is what it says.

    ``seed`` draws the samples and the numbers of the checks, so that a run repeats. At most one finding comes from each
    check on each sample.
    """
    with np.errstate(all="ignore"):
        try:
            if op.has_outputs:
                return [finding for output in outputs_of(op, seed) for finding in check_op(output, seed)]
            cases = cases_of(op, seed)
        except Exception as error:  # noqa: BLE001 (a plugin's own code runs here, and may raise anything)
            return [Finding(op.name, "samples", "", _reason(error))]
        return _once(finding for number, case in enumerate(cases) for finding in _check_case(case, (seed, number)))


@checked
def assert_op(op: Op, seed: int = 0) -> None:
    """A ``PluginError`` with a line for each fault, unless ``check_op`` finds none."""
    findings = check_op(op, seed)
    if findings:
        raise PluginError("\n".join(map(str, findings)))


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """Each fault once: many checks, on many samples, may meet it, with other shapes. It is told by the check that is
    meant for it; what follows from a wrong derivative is left out."""
    by_message: dict[str, Finding] = {}
    for finding in findings:
        key = re.sub(r"^node '\w+': |\([^()]*\)", "", finding.message)
        if key not in by_message or (finding.check in MEANT and by_message[key].check not in MEANT):
            by_message[key] = finding
    wrong = any(finding.check == "vjp" for finding in by_message.values())
    return [finding for finding in by_message.values() if not (wrong and finding.check in FOLLOW)]


def _check_case(case: Case, seed: tuple[int, int]) -> Iterator[Finding]:
    try:
        case.run()
    except Exception as error:  # noqa: BLE001
        yield Finding(case.op.name, "run", case.label, _reason(error))
        return
    for name, check in CHECKS.items():
        rng = np.random.default_rng([*seed, zlib.crc32(name.encode())])
        try:
            message = next(check(case, rng), None)
        except Exception as error:  # noqa: BLE001
            message = _reason(error)
        if message is not None:
            yield Finding(case.op.name, name, case.label, " ".join(message.split()))


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, DataflowError) else f"{type(error).__name__}: {error}"
