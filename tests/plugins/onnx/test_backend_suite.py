"""onnx's own test suite of ops: whatever is not refused has to be right."""

import pytest

pytest.importorskip("onnx")

import make_onnx_cases as suite

AT_LEAST = 1831
"""How many of the cases of onnx 1.23 pass; the others are refused."""
MODULES = (
    *("add", "argmax", "batch_normalization", "bitcast", "cast", "clip", "concat", "constantofshape", "conv"),
    *("cumsum", "depthtospace", "dequantizelinear", "det", "div", "dft", "einsum", "expand", "gather", "gathernd"),
    *("gemm", "gru", "hardmax", "layernormalization", "logsoftmax", "lstm", "matmul", "globalmaxpool", "mod", "onehot"),
    *("pad", "pow", "quantizelinear", "reduce_log_sum_exp", "reducemean", "reshape", "reversesequence"),
    *("scatternd", "selu", "slice", "softplus", "split", "squeeze", "tensorscatter", "tile", "topk", "transpose"),
    *("trilu", "unsqueeze", "where"),
)
"""Their first case each runs by default, all others slowly."""


@pytest.fixture(scope="module")
def chosen():
    known = {}
    for case in suite.cases(MODULES):
        known.setdefault(case.model.graph.node[0].op_type.lower(), case)
    return known


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("module", MODULES)
def test_a_case_of_each_op(module, chosen):
    assert suite.outcome(chosen[module.replace("_", "")]) == suite.PASSED


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_case_passes_or_is_refused_for_a_reason_that_the_page_names():
    outcomes = suite.run_all()
    assert [name for name, result in outcomes.items() if result == suite.WRONG] == []
    assert sum(result == suite.PASSED for result in outcomes.values()) >= AT_LEAST
    table = suite.table(outcomes)
    assert "| other |" not in table
    assert suite.written() == table, "out of date: run tools/make_onnx_cases.py"
