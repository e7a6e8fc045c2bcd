"""The graphs of onnx's own test suite, differentiated: nobody here chose them, and finite differences know no rule."""

import warnings

import numpy as np
import pytest

pytest.importorskip("onnx")

import make_onnx_cases as suite

from dataflow.analysis.finite_differences import central_difference
from dataflow.analysis.gradient_check import in_float64
from dataflow.autodiff.reverse import backward
from dataflow.errors import DataflowError, RuleError
from dataflow.execution.forward import Forward, made_sizes
from dataflow_onnx.backend import DataflowBackend

ENTRIES = 3
"""So many entries of each input are moved, one at a time."""
WITHOUT_LIMIT = "test_mod_float_edge_cases"
"""Cases that divide by 0: what is not finite is not counted, and 0 times the infinite derivative there is NaN."""
AGREED, KINK, UNDECIDED, NONE, OTHER = "agreed", "kink", "undecided", "no derivative", "nothing to differentiate"


def compared(case):
    """What came of each comparison for a case: of a random weighted sum of its float outputs, by some entries of its
    float inputs and by all entries of each at once."""
    try:
        model, data = DataflowBackend.prepare(case.model).with_inputs(case.data_sets[0][0])
    except DataflowError:
        return [OTHER]
    twin, rng = in_float64(model), np.random.default_rng(5)
    graph = twin.graph
    wrt, outputs = (
        [name for name in names if graph.node_of(name).dtype.kind == "f"]
        for names in (graph.names("input"), dict.fromkeys(twin.outputs))
    )
    rounds = any(node.op in ("bitcast", "round_to", "round_to_power") for _, node in graph.node_items())
    if not wrt or not outputs or rounds:  # to few bits, with the derivative of the number itself: differences see steps
        return [OTHER]
    known, sizes = twin.feed(data)
    order = graph.schedule(outputs)
    run = Forward(graph, order, sizes)
    values = run(known)
    counted = {name: np.isfinite(values[name]) for name in outputs}
    weights = {name: rng.uniform(0.5, 1.5, mask.shape) * mask for name, mask in counted.items()}
    try:
        gradients = backward(graph, order, values, weights, wrt, made_sizes(graph, values, sizes))
    except RuleError as error:
        assert "has no derivative" in str(error), f"{case.name}: {error}"
        return [NONE]
    found = []
    for name in wrt:
        base = known[name]
        gradient = gradients.get(name, np.zeros(base.shape))
        assert gradient.shape == base.shape, case.name
        usual = np.abs(base[np.isfinite(base)]).mean() if np.isfinite(base).any() else 1.0
        directions = [rng.choice([-1.0, 1.0], base.shape) * (usual or 1.0)]
        for place in rng.permutation(base.size)[:ENTRIES]:
            directions.append(np.zeros(base.shape))
            directions[-1].flat[place] = usual or 1.0

        for direction in directions:

            def moved(step, name=name, base=base, direction=direction):
                results = run({**known, name: base + step * direction})
                if any(results[output].shape != values[output].shape for output in outputs):
                    return np.full(1, np.nan)
                return np.concatenate([(weights[x] * results[x])[mask] for x, mask in counted.items()])

            slope = float(np.sum(gradient[direction != 0] * direction[direction != 0]))
            if not np.isfinite(slope) and case.name.startswith(WITHOUT_LIMIT):
                found.append(UNDECIDED)
                continue
            found.append(_compare(moved, slope, f"{case.name}: {name}"))
    return found


def _compare(moved, slope, what):
    for start in (1e-2, 1e-5):  # the second for a kink so near that larger steps cross it
        measured = central_difference(moved, start)
        size = max(abs(measured.value), abs(slope))
        if abs(measured.value - slope) <= 1e-6 * size + 10 * measured.uncertainty <= max(1e-3 * size, 1e-6):
            return AGREED
    gaps, middle = [], moved(0.0)
    for step in (1e-4, 1e-5):  # at a kink the two sides stay apart, elsewhere they approach each other with the step
        with np.errstate(all="ignore"):
            right, left = (moved(step) - middle) / step, (middle - moved(-step)) / step
        gaps.append(np.sum(np.abs(right - left)))
    low, high = np.minimum(left, right).sum(), np.maximum(left, right).sum()
    slack = 1e-3 * (high - low)
    if gaps[1] > max(1e-4 * size, 0.5 * gaps[0]) and low - slack <= slope <= high + slack:
        return KINK
    rough = not measured.uncertainty <= 1e-3 * size if np.isfinite(slope) else not np.isfinite(measured.value)
    assert rough, f"{what}: {slope}, by differences {measured}"
    return UNDECIDED


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("half", [0, 1])
def test_gradients_of_a_random_half_of_the_cases_are_those_of_finite_differences(half):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = suite.cases()
        chosen = np.random.default_rng(14).permutation(len(cases))[half::2]
        found = [
            outcome
            for i in chosen
            if not {node.domain for node in cases[i].model.graph.node} - {"", "ai.onnx", "ai.onnx.preview"}
            for outcome in compared(cases[i])
        ]
    counts = {outcome: found.count(outcome) for outcome in (AGREED, KINK, UNDECIDED, NONE, OTHER)}
    assert counts[AGREED] > 4000, counts
    assert counts[KINK] + counts[UNDECIDED] < 0.02 * counts[AGREED], counts
