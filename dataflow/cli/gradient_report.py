"""A check of gradients as text and as a JSON document."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from dataflow.analysis.gradient_check import Fault, GradientCheck, GradientReport
from dataflow.cli.terminal_text import table
from dataflow.data.write_results import plain_document
from dataflow.errors import listed
from dataflow.limits import VARIABLE
from dataflow.support.number_texts import number_text


def gradient_table(report: GradientReport) -> str:
    """A row for each wrt: how many entries were checked, and how well they agree."""
    rows = []
    for check in report.checks:
        notes = [f"{check.kinks} at a kink"] if check.kinks else []
        notes += [f"{check.undecided} undecided"] if check.undecided else []
        notes += ["WRONG"] if check.faults else []
        digits = "" if not check.is_compared else "all" if math.isinf(check.digits) else f"{check.digits:.1f}"
        error = f"{check.error:.1e}" if check.is_compared else ""
        exact = check.precise_digits
        precise = "" if exact is None else "all" if math.isinf(exact) else f"{exact:.1f}"
        count = f"{check.size:,} together" if check.together else f"{check.checked} of {check.size}"
        rows.append((check.wrt, count, digits, error, precise, ", ".join(notes)))
    when = " in training" if report.in_training else ""
    headers = (f"gradient of {report.of}{when} wrt", "checked", "digits", "largest error", "with 50 digits", "")
    if not any(row[4] for row in rows):  # mpmath is not installed, or there is no such number
        return table((*headers[:4], ""), [(*row[:4], row[5]) for row in rows])
    return table(headers, rows)


def agreement(reports: list[GradientReport]) -> str:
    """The sentence that all gradients agree, or how many could not be compared, and what to do; nothing where there
    are none."""
    checks = [check for report in reports for check in report.checks]
    undecided = sum(check.undecided for check in checks)
    kinks = not_compared(reports)
    if not any(check.is_compared for check in checks):
        if not kinks:
            return ""
        verdict = "No gradient could be compared"
    elif undecided or kinks:
        verdict = "All gradients agree, as far as they could be compared"
    else:
        return "\nAll gradients agree."
    parts = [f"no entry of {listed(kinks, 6)} could, being at a kink"] if kinks else []
    parts += [f"{undecided:,} undecided"] if undecided else []
    advice = " Check with other numbers: --parameters, --data or --set." if kinks else ""
    return f"\n{verdict}: {'; '.join(parts)}.{advice}"


def not_compared(reports: list[GradientReport]) -> list[str]:
    """With respect to what no entry of a gradient was compared, as each is at a kink, or else undecided."""
    checks = [check for report in reports for check in report.checks if check.kinks and not check.is_compared]
    return list(dict.fromkeys(check.wrt for check in checks))


def compared_together(report: GradientReport) -> str:
    """That gradients were compared together alone, and how to compare one by itself; nothing where none was."""
    together = [name for check in report.checks for name in check.together]
    if not together:
        return ""
    return (
        f"the model is large: the gradients of '{report.of}' with respect to {len(together):,} of "
        f"{len(together) + len(report.checks) - 1:,} arrays were compared together, along one direction; --wrt NAME "
        f"compares one by itself, a higher limit {VARIABLE}=work=... more of them"
    )


def fault_text(report: GradientReport) -> str:
    """The largest fault of a report, as an error."""
    check = next(check for check in report.checks if check.faults)
    fault = max(check.faults, key=lambda fault: (fault.place is not None, _size(fault)))
    if fault.place is None:
        place = " along a direction"
    else:
        place = f" at {list(fault.place)}" if fault.place else ""
    others = [other.wrt for other in report.checks if other.faults and other is not check]
    also = f"; wrong too: {listed(others)}" if others else ""
    blame = (
        f"; the derivative rule of op '{report.blamed[1]}' at node '{report.blamed[0]}' is wrong"
        if report.blamed
        else ""
    )
    when = " in training" if report.in_training else ""
    when += ", its entries weighted," if report.weighted else ""
    expected, found = number_text(fault.expected, 9), number_text(fault.found, 9)
    who = f"{check.wrt} together" if check.together else f"'{check.wrt}'"
    return (
        f"the gradient of '{report.of}'{when} with respect to {who} is wrong{place}: {expected} expected "
        f"(finite differences, give or take {fault.uncertainty:.0e}), {found} found{blame}{also}"
    )


def _size(fault: Fault) -> float:
    difference = abs(fault.expected - fault.found)
    return difference if math.isfinite(difference) else math.inf


def report_document(report: GradientReport) -> dict[str, Any]:
    """The checks of the gradients of a node for JSON."""
    document: dict[str, Any] = {"of": report.of, **({"in_training": True} if report.in_training else {})}
    document["wrt"] = {check.wrt: _check_document(check) for check in report.checks if not check.together}
    for check in report.checks:
        if check.together:
            document["together"] = {"wrt": list(check.together), **_check_document(check)}
    return document


def _check_document(check: GradientCheck) -> dict[str, Any]:
    document: dict[str, Any] = plain_document({**asdict(check), "faults": list(map(asdict, check.faults))})
    document.pop("wrt")
    document.pop("together")
    document["digits"] = None if math.isinf(check.digits) else check.digits
    return document
