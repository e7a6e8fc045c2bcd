"""``dataflow check --against``: compare a learner's numbers with the right ones and with known mistakes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dataflow.cli.group import Session
from dataflow.cli.terminal_text import clean, table, width
from dataflow.data.write_results import plain_numbers
from dataflow.errors import counted
from dataflow.faults import Closest, Compared, Diagnosis, Explained, Marker, read_answer
from dataflow.faults.answers import EXACT
from dataflow.model.model import Model
from dataflow.support.number_texts import number_text


def compare(session: Session, marker: Marker, answer_file: Path, after: int | None) -> Diagnosis:
    """Compare an answer and print the result."""
    diagnosis = marker.diagnose(read_answer(answer_file, marker.model, after))
    if session.as_json:
        session.print_json({"model": marker.model.name, "against": str(answer_file), **document(diagnosis)})
    else:
        session.say(_text(marker.model, answer_file, diagnosis))
    return diagnosis


def _text(model: Model, answer_file: Path, diagnosis: Diagnosis) -> str:
    answer = diagnosis.answer
    parts = [f"{clean(answer_file)} against '{model.name}': {answer.what}{_precision(diagnosis)}"]
    if wrong := [comparison for comparison in diagnosis.compared if not comparison.ok]:
        rows = [
            (comparison.name, _place(comparison), *_numbers(comparison), _comment(comparison)) for comparison in wrong
        ]
        parts.append(table(("wrong", "at", "yours", "right", ""), rows))
    right = [comparison.name for comparison in diagnosis.compared if comparison.ok]
    missing = [name for name in model.parameters if name not in answer.arrays]
    named = [f"{word}: {', '.join(names)}." for word, names in (("Right", right), ("Not given", missing)) if names]
    parts.append(_wrap(" ".join(named)))
    if diagnosis.ok and diagnosis.shows_nothing:
        parts.append(_wrap(f"Mistakes that would not show in these numbers: {', '.join(diagnosis.shows_nothing)}."))
    parts += map(_explanation, diagnosis.explained)
    parts += [_wrap(f"{name}: {closest_text(diagnosis.closest[name])}.") for name in diagnosis.unexplained]
    if diagnosis.unexplained:
        parts.append("'dataflow explain' shows the right ones factor by factor.")
    return "\n\n".join(part for part in parts if part)


def _precision(diagnosis: Diagnosis) -> str:
    precision = diagnosis.answer.precision
    if precision is None:
        return ""
    fewest, most = precision
    if fewest == most:
        return f", to {counted(most, 'decimal')}, as they are given"
    return f", with {fewest} to {counted(most, 'decimal')}, each as it is given"


def closest_text(closest: Closest) -> str:
    """Say what comes closest to numbers that no mistake gives."""
    if closest.off == math.inf:
        return "no known mistake gives these numbers"
    at = f" at {list(closest.place)}" if closest.place else ""
    what = f"those of '{closest.fault}' ({closest.mistake})" if closest.fault else "the right ones"
    entries = f", {counted(closest.entries, 'entry')} differ" if closest.entries > 1 else ""
    return (
        f"no known mistake gives these numbers; closest are {what}, from which they are off by "
        f"{number_text(closest.off, 3)}{at}{entries}"
    )


def _place(comparison: Compared) -> str:
    return str(list(comparison.worst)) if comparison.worst else ""


def _numbers(comparison: Compared) -> tuple[str, str]:
    """Format the learner's number and the right one where they differ most."""
    if comparison.given.shape != comparison.right.shape:
        return "", ""
    return number_text(comparison.given[comparison.worst], 9), number_text(comparison.right[comparison.worst], 9)


def _comment(comparison: Compared) -> str:
    if comparison.given.shape != comparison.right.shape:
        return f"shape {list(comparison.given.shape)}, expected {list(comparison.right.shape)}: transposed"
    if comparison.factor is not None:
        return f"{number_text(comparison.factor)} times the right ones"
    return f"{int(comparison.wrong.sum())} of {counted(comparison.wrong.size, 'entry')}"


def _explanation(explained: Explained) -> str:
    lines = [("What happened: ", explained.mistake), ("Instead: ", explained.remedy)]
    if explained.also:
        lines.append(("The same numbers come from: ", ", ".join(explained.also)))
    return "\n".join(
        [
            f"{_names(explained.parameters)}: {explained.fault}",
            *(_wrap(f"{head}{text}.", "  ") for head, text in lines),
        ]
    )


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(text, width(), initial_indent=indent, subsequent_indent=indent)


def _names(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def verdict(diagnosis: Diagnosis) -> str:
    """Say on one line what is wrong."""
    parts = [
        f"{_names(explained.parameters)}: {explained.fault} ({explained.mistake})" for explained in diagnosis.explained
    ]
    if diagnosis.unexplained:
        parts.append(f"{_names(diagnosis.unexplained)}: wrong, and matches no known mistake")
    return "; ".join(parts)


def short_verdict(diagnosis: Diagnosis) -> str:
    """Say which mistakes there are, for a table."""
    parts = [
        " or ".join([f"{_names(explained.parameters)}: {explained.fault}", *explained.also])
        for explained in diagnosis.explained
    ]
    for name in diagnosis.unexplained:
        closest = diagnosis.closest[name]
        near = f"closest: {closest.fault or 'the right numbers'}, off by {number_text(closest.off, 3)}"
        parts.append(f"{name}: no known mistake" + (f" ({near})" if closest.off < math.inf else ""))
    return "; ".join(parts)


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis for JSON."""
    answer = diagnosis.answer
    precision = answer.precision
    return {
        "what": "gradients" if answer.epochs is None else "parameters",
        "epochs": answer.epochs,
        "decimals": None if precision is None or precision[0] != precision[1] else precision[0],
        "ok": diagnosis.ok,
        "compared": {
            comparison.name: {
                "ok": comparison.ok,
                "given": plain_numbers(comparison.given),
                "right": plain_numbers(comparison.right),
                "wrong": comparison.wrong.tolist(),
                "factor": comparison.factor,
                "decimals": _decimals(diagnosis, comparison.name),
            }
            for comparison in diagnosis.compared
        },
        "explained": list(map(asdict, diagnosis.explained)),
        "unexplained": list(diagnosis.unexplained),
        "closest": {
            name: {
                "fault": closest.fault or None,
                "mistake": closest.mistake or None,
                "off": plain_numbers(closest.off),
                "at": list(closest.place),
                "entries": closest.entries,
            }
            for name, closest in diagnosis.closest.items()
        },
        "shows_nothing": list(diagnosis.shows_nothing),
    }


def _decimals(diagnosis: Diagnosis, name: str) -> Any:
    """To how many decimals each number of an array was given; ``None`` where all are exact."""
    decimals = diagnosis.answer.decimals.get(name)
    return None if decimals is None or (decimals == EXACT).all() else decimals.tolist()
