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

import numpy as np
import onnx

from dataflow.errors import DataflowError
from dataflow_onnx.backend import DataflowBackend

PAGE = Path(__file__).parent.parent / "docs" / "onnx.md"
BEGIN, END = "<!-- skipped cases: tools/make_onnx_cases.py -->", "<!-- end of skipped cases -->"
PASSED, WRONG = "passed", "wrong"

REASONS = (
    (r"of the type (\w+) are not supported", "no array here has numbers of this type"),
    (r"(sequence|SequenceConstruct|SplitToSequence|Optional\w*)", "sequences and optional values are no arrays"),
    (r"(String\w+|RegexFullMatch|TfIdfVectorizer)", "texts, or what is made of them"),
    (r"(ImageDecoder)", "reads files of images"),
    (r"(ai\.onnx\.[\w.]+)\.\w+ \(", "ops of other domains than ONNX's own"),
    (r"(RandomUniformLike|Dropout) ", "draws random numbers, which no other program draws alike"),
    (r"(NonMaxSuppression|Unique|Compress|NonZero)", "how large the result is depends on the numbers in the input"),
    (r"(Scan) needs an input 1", "of an opset before 9, where it goes through batches"),
    (r"the (starts) is computed", "cuts an array where a loop computes it"),
    (r"(opset \d), which is too old", "of an opset before 7, where ops broadcast in other ways"),
    (r"not supported: (\w+)", "rare, and not translated"),
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
    rounding = 0.0
    if array.dtype.kind == "f":
        rounding = float(np.abs(array[np.isfinite(array)]).max(initial=0)) * float(np.finfo(array.dtype).eps)
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
    """The skipped cases by reason."""
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
    passed = sum(result == PASSED for result in outcomes.values())
    return f"Of the {len(outcomes):,} cases {passed:,} pass. The others are refused:\n\n" + "\n".join(lines)


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
