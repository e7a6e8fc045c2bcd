"""Run the cases of onnx's own test suite, and write into ``docs/onnx.md`` which are skipped, and why.

``python tools/make_onnx_cases.py`` takes some minutes; ``tests/plugins/onnx/test_backend_suite.py`` compares, slowly.
"""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx

from dataflow.errors import DataflowError
from dataflow_onnx.backend import DataflowBackend

PAGE = Path(__file__).parent.parent / "docs" / "onnx.md"
BEGIN, END = "<!-- skipped cases: tools/make_onnx_cases.py -->", "<!-- end of skipped cases -->"
PASSED, WRONG = "passed", "wrong"

REASONS = (
    (r"(String\w+|RegexFullMatch)", "makes or reads texts; texts are numbers here, by a list that the file gives"),
    (r"(ImageDecoder)", "reads files of images"),
    (r"(RandomUniformLike|Dropout) ", "draws random numbers, which no other program draws alike"),
    (r"in graph '(loop)_body'.* do not broadcast", "adds what a loop cuts out, of a size that values alone tell"),
    (r"(opset \d), which is too old", "of an opset before 7, where ops broadcast in other ways"),
)
"""What in a refusal tells why, with the part that names the op or the type, and the reason in words."""


def outcome(case: Any) -> str:
    """What comes of a case: that it passed, that it is wrong, or why it is refused."""
    try:
        prepared = DataflowBackend.prepare(case.model)
        results = [prepared.run(inputs) for inputs, _ in case.data_sets]
    except DataflowError as error:
        return str(error)
    for ours, (_, expected) in zip(results, case.data_sets, strict=True):
        right = len(ours) == len(expected) and all(_alike(a, b, case) for a, b in zip(ours, expected, strict=True))
        if not right:
            return WRONG
    return PASSED


def _alike(ours: Any, theirs: Any, case: Any) -> bool:
    """Within the bounds of the case, or one rounding of the largest number; for a sequence each entry of it."""
    if isinstance(theirs, list):
        return (
            isinstance(ours, list)
            and len(ours) == len(theirs)
            and all(_alike(a, b, case) for a, b in zip(ours, theirs, strict=True))
        )
    array = onnx.numpy_helper.to_array(theirs) if isinstance(theirs, onnx.TensorProto) else np.asarray(theirs)
    if (ours.dtype, ours.shape) != (array.dtype, array.shape):
        return False
    if array.dtype.isbuiltin == 2:  # numbers of ml_dtypes; one rounding is that of their own mantissa
        is_float = "float" in array.dtype.name
        spacing = float(ml_dtypes.finfo(array.dtype).eps) if is_float else 0.0
        ours, array = (x.astype(np.float32) for x in (ours, array))
    else:
        spacing = float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else 0.0
    rounding = 0.0
    if array.dtype.kind == "f":
        rounding = float(np.abs(array[np.isfinite(array)]).max(initial=0)) * spacing
    return np.allclose(ours, array, rtol=case.rtol, atol=max(case.atol, rounding), equal_nan=True)


def cases(modules: Iterable[str] | None = None) -> list[Any]:
    """The node cases of onnx, of these modules alone if any are given: making them takes longer than running them."""
    from onnx.backend.test.case import node
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if modules is None:
            return list(load_model_tests(kind="node"))
        for module in modules:
            importlib.import_module(f"onnx.backend.test.case.node.{module}")
        return list(node._NodeTestCases)


def run_all() -> dict[str, str]:
    """The outcome of each case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {case.name: outcome(case) for case in cases()}


def table(outcomes: dict[str, str]) -> str:
    """How many pass, and the skipped cases by reason."""
    texts = {case.name for case in cases() if _has_texts(case.model.graph)}
    numbers = {name: result for name, result in outcomes.items() if name not in texts}
    counts: dict[str, int] = defaultdict(int)
    named: dict[str, set[str]] = defaultdict(set)
    for result in outcomes.values():
        if result in (PASSED, WRONG):
            continue
        found = next(((match, why) for pattern, why in REASONS if (match := re.search(pattern, result))), None)
        what, why = (found[0].group(1), found[1]) if found else (result.rpartition(": ")[2][:80], "other")
        counts[why] += 1
        named[why].add(what)
    lines = ["| Why | Cases | Which |", "|---|---|---|"]
    lines += [
        f"| {why} | {counts[why]} | {', '.join(f'`{name}`' for name in sorted(named[why]))} |"
        for why in sorted(counts, key=lambda why: -counts[why])
    ]
    passed, numeric = [sum(result == PASSED for result in part.values()) for part in (outcomes, numbers)]
    share = 100 * numeric / len(numbers)
    return (
        f"Of the {len(outcomes):,} cases {passed:,} pass; of the {len(numbers):,} over floats, whole numbers and "
        f"booleans of every width {numeric:,}, {share:.1f} %. The others are refused:\n\n" + "\n".join(lines)
    )


def _has_texts(graph: onnx.GraphProto) -> bool:
    return any(entry.type.tensor_type.elem_type == onnx.TensorProto.STRING for entry in (*graph.input, *graph.output))


def written() -> str:
    """What the page has between the marks."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def main() -> int:
    """Write the table; the exit status is 1 if a case is wrong."""
    outcomes = run_all()
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(outcomes)}\n{END}{after}", encoding="utf-8")
    wrong = [name for name, result in outcomes.items() if result == WRONG]
    print(f"wrong: {', '.join(wrong) or 'none'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
