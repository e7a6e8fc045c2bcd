"""``dataflow check --against``: one answer, or those in a folder, and a report."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from dataflow.cli.against import compare, document, short_verdict, verdict
from dataflow.cli.group import Session
from dataflow.cli.terminal_text import clean, room, table
from dataflow.data.write_results import check_table_ending, write_table
from dataflow.errors import DataError, DataflowError, counted
from dataflow.faults import Diagnosis, Marker, read_answer
from dataflow.faults.diagnosis import MOST_EXAMPLES
from dataflow.faults.learner import Learner, Task
from dataflow.model.model import Model

MOST_ANSWERS = 10_000


@dataclass(frozen=True)
class Marked:
    """One answer: whose it is, and what came out, or why it could not be read."""

    who: str
    file: Path
    diagnosis: Diagnosis | None
    error: str = ""

    @property
    def ok(self) -> bool:
        return self.diagnosis is not None and self.diagnosis.ok

    def count(self, ok: bool) -> int | None:
        """How many parameters are right, or wrong."""
        if self.diagnosis is None:
            return None
        return sum(comparison.ok == ok for comparison in self.diagnosis.compared)

    @property
    def mistake(self) -> str:
        return f"not an answer: {self.error}" if self.diagnosis is None else short_verdict(self.diagnosis)


def check_report(report: Path, answers: Path) -> None:
    """Refuse a report that cannot be written, or that would be taken for an answer."""
    check_table_ending(report)
    if answers.is_dir() and report.resolve().parent == answers.resolve():
        raise DataError("a report would lie among the answers; write it to another folder", file=report)


def mark(
    session: Session,
    model: Model,
    answers: Path,
    after: int | None,
    inputs: Mapping[str, Any],
    example: int | None,
    report: Path | None,
) -> None:
    """Compare, print the result, and exit with status 1 if a number is wrong."""
    marker = _marker(model, inputs, example)
    if not answers.is_dir():
        diagnosis = compare(session, marker, answers, after)
        marked = [Marked(answers.stem, answers, diagnosis)]
        failure = f"{answers}: {verdict(diagnosis)}"
    else:
        marked = _mark_folder(marker, answers, after)
        wrong = sum(not each.ok for each in marked)
        failure = f"{answers}: {wrong} of {counted(len(marked), 'answer')} {'is' if wrong == 1 else 'are'} not right"
        if session.as_json:
            session.print_json(_document(model, answers, marked))
        else:
            session.say(_text(model, answers, marked))
    if report is not None:
        write_table(report, _columns(model, marked))
        session.say(f"\nWrote {counted(len(marked), 'row')} to {clean(report)}.")
    if not all(each.ok for each in marked):
        if session.quiet or session.as_json:  # else it is printed above
            session.end(failure)
        raise click.exceptions.Exit(1)


def _marker(model: Model, inputs: Mapping[str, Any], example: int | None) -> Marker:
    """With one example, the others are what may have been taken in its place."""
    if example is None:
        return Marker(model, inputs)
    chosen = model.one_example(inputs, example)
    count = Learner(Task(model, {}, Marker(model, chosen).settings.rule)).examples(inputs)[0]
    others = {k: model.one_example(inputs, k) for k in range(min(count, MOST_EXAMPLES)) if k != example}
    return Marker(model, chosen, others)


def _mark_folder(marker: Marker, folder: Path, after: int | None) -> list[Marked]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise DataError(
            "there is no answer in this folder; put a file for each learner there: NAME.json, .npz or .csv", file=folder
        )
    if len(files) > MOST_ANSWERS:
        raise DataError(f"{len(files):,} files are more than the {MOST_ANSWERS:,} that are marked at once", file=folder)
    stems = Counter(path.stem for path in files)
    marked = []
    for path in files:
        who = path.stem if stems[path.stem] == 1 else path.name
        try:
            marked.append(Marked(who, path, marker.diagnose(read_answer(path, marker.model, after))))
        except (DataflowError, OSError) as error:
            reason = str(error).removeprefix(f"{path}: ").removeprefix(f"{path}:")
            marked.append(Marked(who, path, None, reason))
    return marked


def _text(model: Model, folder: Path, marked: Sequence[Marked]) -> str:
    headers = ("who", "right", "wrong", "which mistake")
    cells = [(clean(each.who), _cell(each.count(True)), _cell(each.count(False)), "") for each in marked]
    columns = room(headers, cells)
    rows = [
        (*cell[:3], "\n".join(textwrap.wrap(clean(each.mistake), columns)))
        for cell, each in zip(cells, marked, strict=True)
    ]
    right = sum(each.ok for each in marked)
    unread = sum(each.diagnosis is None for each in marked)
    ending = f"{right} of {counted(len(marked), 'answer')} {'is' if right == 1 else 'are'} right"
    ending += f", {unread} could not be read." if unread else "."
    heading = f"{clean(folder)} against '{model.name}': {counted(len(marked), 'answer')}"
    return f"{heading}\n\n{table(headers, rows)}\n\n{ending}"


def _cell(count: int | None) -> str:
    return "" if count is None else str(count)


def _columns(model: Model, marked: Sequence[Marked]) -> dict[str, np.ndarray]:
    """The columns of the report."""

    def not_given(each: Marked) -> str | None:
        given = None if each.diagnosis is None else each.diagnosis.answer.arrays
        return None if given is None else " ".join(name for name in model.parameters if name not in given) or None

    columns: dict[str, list[Any]] = {
        "who": [each.who for each in marked],
        "right": [each.count(True) for each in marked],
        "wrong": [each.count(False) for each in marked],
        "not_given": [not_given(each) for each in marked],
        "mistake": [clean(each.mistake) or None for each in marked],
    }
    return {name: np.array(cells, dtype=object) for name, cells in columns.items()}


def _document(model: Model, folder: Path, marked: Sequence[Marked]) -> dict[str, Any]:
    return {
        "model": model.name,
        "against": str(folder),
        "ok": all(each.ok for each in marked),
        "answers": [
            {
                "who": each.who,
                "file": str(each.file),
                "error": each.error or None,
                **({} if each.diagnosis is None else document(each.diagnosis)),
            }
            for each in marked
        ],
    }
