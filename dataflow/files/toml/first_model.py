"""A model file to begin with, for a table and the column that shall be predicted. It trains as it is, and its comments
say what to change."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from dataflow.data.column_survey import Prediction, Survey, predicted_as, shown, survey_columns
from dataflow.data.dressed_numbers import read_dressed_numbers
from dataflow.data.preparation.numbers_and_names import as_name
from dataflow.data.raw_table import RawTable
from dataflow.errors import DataError, counted
from dataflow.files.plain_checks import MAX_TITLE
from dataflow.files.toml.toml_values import key, paragraph, string, value
from dataflow.support.text_tables import display_width, pad
from dataflow.support.texts import shorten

HIDDEN = 16
"""Units of the hidden layer."""
RARE = 10
"""A category of fewer rows than this may be missing among the training rows."""
FEW_ROWS = 50
"""With fewer rows than this none are held out: a fifth of them says little, and training would stop by chance."""
MANY_ROWS = 20_000
"""From so many rows on a minibatch is larger."""
LINED_UP = 70
"""Comments stand below each other up to this column."""
RUN = 5
"""So many columns of numbers beside each other, p0, p1, ..., are written as a range."""

Line = tuple[str, str]
"""A line of the file and its comment; both may be empty."""


@dataclass(frozen=True)
class FirstModel:
    """A model file as text, and what was decided for it."""

    text: str
    target: str
    prediction: Prediction
    inputs: tuple[str, ...]
    """The columns that are inputs."""
    left_out: dict[str, str]
    """The columns that are none, and why."""


def first_model(table: RawTable, target: str, *, name: str, file: str, root: str | None = None) -> FirstModel:
    """A model file that predicts ``target`` from the other columns of ``table``.

    ``file`` is where the table will be found, and ``root`` from where, as in ``[data]``. ``DataError`` if there is
    nothing to learn, or nothing to learn from.
    """
    table = read_dressed_numbers(table)
    surveys = survey_columns(table, target)
    inputs = tuple(name for name, survey in surveys.items() if name != target and not survey.left_out)
    left_out = {name: survey.left_out for name, survey in surveys.items() if name != target and survey.left_out}
    if not inputs:
        reasons = "; ".join(f"'{name}': {reason}" for name, reason in list(left_out.items())[:3])
        raise DataError(f"no column is left to predict '{target}' from" + (f" ({reasons})" if reasons else ""))
    prediction = predicted_as(surveys[target], table.rows)
    draft = _Draft(table, surveys, surveys[target], prediction)
    return FirstModel(draft.text(name, file, root), target, prediction, inputs, left_out)


class _Draft:
    def __init__(self, table: RawTable, surveys: dict[str, Survey], target: Survey, prediction: Prediction) -> None:
        self.rows, self.style = table.rows, table.style
        self.target = target
        self.prediction = prediction
        self.columns = [survey for survey in surveys.values() if survey is not target]
        self.inputs = [survey for survey in self.columns if not survey.left_out]

    def text(self, name: str, file: str, root: str | None) -> str:
        """The whole file."""
        parts = [
            self.head(name, file),
            _section("inputs", self.declared_inputs()),
            _section("parameters", self.parameters()),
            _section("nodes", self.nodes()),
            _section("model", self.model()),
            _section("data", self.data(file, root)),
            _section("data.columns", self.columns_by_input()),
            _section("data.one_hot", self.class_names()),
            _section("data.missing", self.fills()),
            _section("data.categories", self.categories()),
            _section("train", self.train()),
        ]
        return "\n".join(part for part in parts if part)

    @property
    def classes(self) -> int:
        return len(self.target.values)

    @property
    def width(self) -> int:
        """How many numbers are computed for a row."""
        return self.classes if self.prediction == "classes" else 1

    def head(self, name: str, file: str) -> str:
        what = {"number": "a number", "two classes": "one of two classes", "classes": f"one of {self.classes} classes"}
        doc = (
            f"Predicts {shown(self.target.name)}, {what[self.prediction]}, from the other columns of {file}.\n"
            "A draft by `dataflow new`: it trains as it is; the comments say what to change.\n"
        )
        return f"dataflow = 2\nname = {string(shorten(name, MAX_TITLE))}\ndoc = {paragraph(doc)}\n"

    def declared_inputs(self) -> Iterable[Line]:
        yield 'x = { shape = ["n", "features"] }', "as many features as the table gives, categories one-hot"
        yield f'y = {{ shape = ["n", {self.width}] }}', ""

    def parameters(self) -> Iterable[Line]:
        yield (
            f'W1 = {{ shape = [{HIDDEN}, "features"], init = "he_normal" }}',
            f"{HIDDEN} hidden units: for more or fewer, change the {HIDDEN} here,",
        )
        yield f'b1 = {{ shape = [{HIDDEN}], init = "zeros" }}', "here"
        yield f'W2 = {{ shape = [{self.width}, {HIDDEN}], init = "he_normal" }}', "and here"
        yield f'b2 = {{ shape = [{self.width}], init = "zeros" }}', ""

    def nodes(self) -> Iterable[Line]:
        yield 'h = "relu(linear(x, W1, b1))"', "or tanh; a second layer is a line like this, with parameters of its own"
        if self.prediction == "number":
            yield 'prediction = "linear(h, W2, b2)"', ""
            yield "loss = 'mse(prediction, y, reduction=\"mean\")'", "half the mean squared error"
        elif self.prediction == "two classes":
            yield 'logit = "linear(h, W2, b2)"', ""
            yield 'probability = "sigmoid(logit)"', f"of {shown(as_name(self.target.values[1]))}"
            yield "loss = 'sigmoid_cross_entropy(logit, y, reduction=\"mean\")'", ""
        else:
            yield 'logits = "linear(h, W2, b2)"', ""
            yield 'probabilities = "softmax(logits)"', "one for each class"
            yield "loss = 'softmax_cross_entropy(logits, y, reduction=\"mean\")'", ""

    def model(self) -> Iterable[Line]:
        output = {"number": "prediction", "two classes": "probability", "classes": "probabilities"}[self.prediction]
        yield f'outputs = ["{output}"]', ""
        yield 'loss = "loss"', ""
        yield f'targets = {{ {output} = "y" }}', "which output predicts which input"

    def data(self, file: str, root: str | None) -> Iterable[Line]:
        yield f"file = {string(file)}", ""
        if root is not None:
            yield f"root = {string(root)}", "outside this file's folder: --data-root must allow it"
        if self.style.thousands:
            yield f"thousands = {string(self.style.thousands)}", "what may stand between thousands"
        if self.style.percent:
            yield "percent = true", "12.5% is read as 12.5"
        if standardized := self.standardized():
            yield f"standardize = {value(standardized)}", "by mean and deviation; one-hot columns are left alone"
        if self.prediction == "classes" and not self.target.is_text:
            yield f"one_hot = {{ y = {len(self.target.values)} }}", "its numbers name classes, from 0"

    def standardized(self) -> list[str]:
        has_numbers = not all(survey.is_text for survey in self.inputs)
        return [*(["x"] if has_numbers else []), *(["y"] if self.prediction == "number" else [])]

    def columns_by_input(self) -> Iterable[Line]:
        yield "x = [", ""
        for series, neighbours in groupby(self.columns, key=_series):
            surveys = list(neighbours)
            if series and len(surveys) >= RUN:
                yield f"    {string(f'{surveys[0].name}:{surveys[-1].name}')},", f"{len(surveys)} columns"
            else:
                yield from map(_annotated, surveys)
        yield "]", ""
        yield f"y = {string(self.target.name)}", ""

    def class_names(self) -> Iterable[Line]:
        if self.prediction == "classes" and self.target.is_text:
            names = list(self.target.values)
            if len(line := f"y = {value(names)}") < LINED_UP:
                yield line, "the classes in order"
                return
            yield from [("y = [", "the classes in order"), *((f"    {value(name)},", "") for name in names), ("]", "")]

    def fills(self) -> Iterable[Line]:
        for survey in self.inputs:
            if survey.missing:
                fill = "most_frequent" if survey.is_text else "median"
                yield f"{key(survey.name)} = {string(fill)}", _share_missing(survey, self.rows)
        if self.target.missing:
            yield f'{key(self.target.name)} = "drop"', f"{_share_missing(self.target, self.rows)}: not trained on"

    def categories(self) -> Iterable[Line]:
        for survey in self.inputs:
            if not survey.is_text:
                continue
            if survey.rarest < RARE:
                ignored = '{ kind = "one_hot", unknown = "ignore" }'
                yield f"{key(survey.name)} = {ignored}", "some are rare: one not seen in training is all zeros"
            else:
                yield f'{key(survey.name)} = "one_hot"', ""
        if self.prediction == "two classes":
            names = value([as_name(name) for name in self.target.values])
            yield f'{key(self.target.name)} = {{ kind = "index", names = {names} }}', "0 and 1"

    def train(self) -> Iterable[Line]:
        yield 'optimizer = { name = "adam", learning_rate = 0.01 }', ""
        yield "epochs = 200", "at most" if self.rows >= FEW_ROWS else ""
        yield f"batch_size = {32 if self.rows < MANY_ROWS else 256}", ""
        yield "shuffle = true", ""
        if self.rows < FEW_ROWS:
            yield (
                "",
                f"with {counted(self.rows, 'row')} none are held out, so nothing says how it does on others",
            )
            return
        stratified = "" if self.prediction == "number" else f", stratify = {string(self.target.name)}"
        yield (
            f"validation = {{ share = 0.2, shuffle = true{stratified} }}",
            "held out, to see how it does on other rows",
        )
        yield 'early_stopping = { metric = "validation_loss", patience = 20 }', "epochs without a better one"


def _series(survey: Survey) -> str:
    """What columns of numbers that are named alike have before their number: ``p`` of p0, p1, ...; else ""."""
    match = re.fullmatch(r"([^:*]*?)\d+", survey.name)
    return "" if match is None or survey.left_out or survey.is_text else match[1]


def _may_name_kinds(survey: Survey) -> bool:
    return survey.is_whole and 2 < len(survey.values) <= 10


def _annotated(survey: Survey) -> Line:
    if survey.left_out:
        return f"    # {string(survey.name)},", f"left out: {survey.left_out}"
    line = f"    {string(survey.name)},"
    if survey.is_text:
        return line, f"{counted(len(survey.values), 'category')}"
    if _may_name_kinds(survey):
        first, last = shown(survey.values[0]), shown(survey.values[-1])
        return line, f"{first} to {last}; if they name kinds and are no amounts, put it under categories"
    return line, ""


def _share_missing(survey: Survey, rows: int) -> str:
    return f"missing in {survey.missing} of {counted(rows, 'row')}"


def _section(name: str, lines: Iterable[Line]) -> str:
    """A table of the file, with the comments below each other; "" where it would be empty."""
    listed = list(lines)
    if not listed:
        return ""
    widths = [display_width(text) for text, comment in listed if comment]
    start = max((width for width in widths if width <= LINED_UP), default=0)
    texts = [
        text if not comment else f"{pad(text, start)}  # {comment}" if text else f"# {comment}"
        for text, comment in listed
    ]
    return f"[{name}]\n" + "".join(f"{text}\n" for text in texts)
