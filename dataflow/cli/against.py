"""``dataflow check --against``: a learner's numbers, held against the right ones, and against known mistakes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dataflow.cli import common
from dataflow.cli.group import Session
from dataflow.cli.text import table, width
from dataflow.faults import Compared, Diagnosis, Explained, diagnose, read_answer
from dataflow.model import Model
from dataflow.results import plain_numbers


def compare(
    session: Session,
    model: Model,
    answer_file: Path,
    after: int | None,
    given: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Print what came out; exit status 1 if a number is wrong."""
    answer = read_answer(answer_file, model, after)
    found = diagnose(model, answer, given)
    if as_json:
        common.print_json(_document(model, answer_file, found))
    else:
        session.say(_text(model, answer_file, found))
    if not found.ok:
        session.fail(f"{answer_file}: {_verdict(found)}")
        raise click.exceptions.Exit(1)


def _text(model: Model, answer_file: Path, found: Diagnosis) -> str:
    answer = found.answer
    precision = "" if answer.decimals is None else f", to {answer.decimals} decimals, as they are given"
    heading = f"{answer_file} against '{model.name}': {answer.what}{precision}"
    parts = [heading]
    if wrong := [one for one in found.compared if not one.ok]:
        rows = [(one.name, _place(one), *_numbers(one), _comment(one)) for one in wrong]
        parts.append(table(("wrong", "at", "yours", "right", ""), rows))
    right = [one.name for one in found.compared if one.ok]
    missing = [name for name in model.parameters if name not in answer.arrays]
    named = [f"{word}: {', '.join(names)}." for word, names in (("Right", right), ("Not given", missing)) if names]
    parts.append(_wrapped(" ".join(named)))
    if found.ok and found.shows_nothing:
        parts.append(_wrapped(f"Mistakes that would not show in these numbers: {', '.join(found.shows_nothing)}."))
    parts += map(_explanation, found.explained)
    if found.unexplained:
        parts.append(
            _wrapped(
                f"{_names(found.unexplained)}: no mistake of the catalogue gives these numbers. "
                "'dataflow explain' shows the right ones factor by factor."
            )
        )
    return "\n\n".join(parts)


def _place(one: Compared) -> str:
    return str(list(one.worst)) if one.worst else ""


def _numbers(one: Compared) -> tuple[str, str]:
    """The numbers where they differ most."""
    if one.given.shape != one.right.shape:
        return "", ""
    return f"{one.given[one.worst]:.9g}", f"{one.right[one.worst]:.9g}"


def _comment(one: Compared) -> str:
    if one.given.shape != one.right.shape:
        return f"shape {list(one.given.shape)}, expected {list(one.right.shape)}: transposed"
    if one.factor is not None:
        return f"{one.factor:.6g} times the right ones"
    return f"{int(one.wrong.sum())} of {one.wrong.size:,} {'entry' if one.wrong.size == 1 else 'entries'}"


def _explanation(one: Explained) -> str:
    told = (("What happened: ", one.mistake), ("Instead: ", one.remedy))
    return "\n".join(
        [f"{_names(one.parameters)}: {one.fault}", *(_wrapped(f"{head}{text}.", "  ") for head, text in told)]
    )


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, width(), initial_indent=indent, subsequent_indent=indent)


def _names(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _verdict(found: Diagnosis) -> str:
    """What is wrong, on one line."""
    parts = [f"{_names(one.parameters)}: {one.fault} ({one.mistake})" for one in found.explained]
    if found.unexplained:
        parts.append(f"{_names(found.unexplained)}: wrong, by no mistake of the catalogue")
    return "; ".join(parts)


def _document(model: Model, answer_file: Path, found: Diagnosis) -> dict[str, Any]:
    return {
        "model": model.name,
        "against": str(answer_file),
        "what": "gradients" if found.answer.epochs is None else "parameters",
        "epochs": found.answer.epochs,
        "decimals": found.answer.decimals,
        "ok": found.ok,
        "compared": {
            one.name: {
                "ok": one.ok,
                "given": plain_numbers(one.given),
                "right": plain_numbers(one.right),
                "wrong": one.wrong.tolist(),
                "factor": one.factor,
            }
            for one in found.compared
        },
        "explained": [
            {"fault": one.fault, "mistake": one.mistake, "remedy": one.remedy, "parameters": list(one.parameters)}
            for one in found.explained
        ],
        "unexplained": list(found.unexplained),
        "shows_nothing": list(found.shows_nothing),
    }
