"""onnx's own test suite of ops: whatever is not refused has to be right."""

import pytest

pytest.importorskip("onnx")

import make_onnx_cases as suite
import numpy as np
from onnx.reference import ReferenceEvaluator

from dataflow.errors import DataflowError
from dataflow_onnx.backend import DataflowBackend
from dataflow_onnx.saving.save import build_proto

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


def saved_again(case):
    """Who gives our numbers for what is saved of a case: onnx's evaluator, onnxruntime. Either may fail to run it; that
    onnxruntime gives other numbers is an error."""
    prepared = DataflowBackend.prepare(case.model)
    model, given = prepared.with_inputs(case.data_sets[0][0])
    values = model.run(data=given) if given else model.run()
    proto = build_proto(model)
    words = np.array(prepared._vocabulary, object)
    ours = [words[values[name]] if model.graph.has_texts(name) else values[name] for name in model.outputs]
    inputs = {entry.name: given[entry.name] for entry in proto.graph.input}
    inputs = {name: words[x] if model.graph.has_texts(name) else x for name, x in inputs.items()}
    agree = []
    for program in (_by_reference, _by_onnxruntime):
        try:
            theirs = [np.asarray(array) for array in program(proto, inputs)]
        except Exception:  # noqa: BLE001 (each has its own errors for what it cannot run)
            continue
        same = all(_same(a, b, case) for a, b in zip(ours, theirs, strict=True))
        assert same or program is _by_reference, case.name
        agree += [program] if same else []
    return agree


def _same(ours, theirs, case):
    if ours.dtype == object:
        return ours.astype(str).tolist() == theirs.astype(str).tolist()
    return suite._alike(theirs, ours, case)


def _by_reference(proto, inputs):
    return ReferenceEvaluator(proto).run(None, inputs)


def _by_onnxruntime(proto, inputs):
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    return runtime.InferenceSession(proto.SerializeToString(), options).run(None, inputs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("module", MODULES)
def test_a_case_of_each_op_is_saved_again(module, chosen):
    assert saved_again(chosen[module.replace("_", "")])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_every_case_that_loads_is_saved_again():
    """onnxruntime has no kernel for float4, nor for the largest of uint64; onnx's evaluator fails in a few others."""
    pytest.importorskip("onnxruntime")
    counts = {_by_reference: 0, _by_onnxruntime: 0}
    for case in suite.cases():
        try:
            DataflowBackend.prepare(case.model).with_inputs(case.data_sets[0][0])
        except DataflowError:
            continue
        agree = saved_again(case)
        assert agree, case.name
        for program in agree:
            counts[program] += 1
    assert counts[_by_onnxruntime] >= AT_LEAST - 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_case_passes_or_is_refused_for_a_reason_that_the_page_names():
    outcomes = suite.run_all()
    assert [name for name, result in outcomes.items() if result == suite.WRONG] == []
    assert sum(result == suite.PASSED for result in outcomes.values()) >= AT_LEAST
    table = suite.table(outcomes)
    assert "| other |" not in table
    assert suite.written() == table, "out of date: run tools/make_onnx_cases.py"
