"""Profiles: rows against counting runs of whole plans, by hand, and what is told of them."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import numpy as np
import pytest
from any_graph import graphs
from checkout import ROOT
from click.testing import CliRunner
from hypothesis import given, settings
from nets import classifier, xor

import dataflow
from dataflow import Backend, Graph, Model, Optimizer, RuleError, Runner, ops, primitive
from dataflow.analysis.counting import counted, counting_run
from dataflow.backends.numpy_backend import NumpyBackend
from dataflow.cli.group import main
from dataflow.errors import DataError, FileFormatError, GraphError
from dataflow.operations.operation_cost import Cost
from dataflow.plan import make_plan
from dataflow.profiling import profile
from dataflow.profiling.chart import flames
from dataflow.profiling.plan_listing import listing
from dataflow.profiling.text import count_text, passes_text, profile_text, seconds_text, size_text
from dataflow.profiling.update_cost import update_cost
from dataflow.profiling.work import work
from dataflow.registry import registry
from dataflow.shapes import TensorSpec

MODELS = sorted((ROOT / "models").glob("*.toml"))


def memory_of(array: np.ndarray) -> int:
    """Bytes that reading an array touches: an axis along which it repeats counts once."""
    sizes = [size for size, stride in zip(array.shape, array.strides, strict=True) if stride or size != 1]
    moving = [size for size, stride in zip(array.shape, array.strides, strict=True) if stride or not size]
    return int(np.prod(moving if sizes else [1], dtype=int)) * array.itemsize


def counting_run_of(plan, arguments):
    """Each instruction's cost and bytes, found by running it on numbers that count, and by looking at the arrays."""
    slots = dict(plan.constants) | dict(enumerate(arguments))
    cached = {slot for region in plan.regions for slot in region.registers}
    for one in plan.instructions:
        inputs = {slot: plan.read(slots, slot) for slot in one.inputs}
        result, cost = counting_run(one.op, list(map(inputs.get, one.inputs)), one.attributes, plan.spec(one.output))
        slots[one.output] = np.ascontiguousarray(result).reshape(result.shape)
        arrays = [x for slot, x in inputs.items() if isinstance(x, np.ndarray) and slot not in cached]
        written = 0 if one.output in cached else result.nbytes
        yield cost, sum(map(memory_of, arrays)), written


def compared(model, **more):
    found = profile(model, run=False, **more)
    plan = found.passes[-1].plan
    known, _ = model.feed(more.get("data"))
    batch = found.batch or 1
    arguments = []
    for slot, name in enumerate(plan.arguments):
        array = known[name]
        shape = plan.spec(slot).shape
        arguments.append(np.ascontiguousarray(array if array.shape == shape else array[:batch]).reshape(shape))
    counts = list(counting_run_of(plan, arguments))
    assert [(one.cost, one.read, one.written) for one in work(plan)] == counts
    steps = [row for row in found.rows if row.phase != "update" and row.op != "copy"]
    assert [(row.cost, row.read, row.written) for row in steps] == counts
    return found


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_costs_what_a_counting_run_counts(path) -> None:
    model = dataflow.load(path)
    found = compared(model, batch_size=3 if model.has_batch and model.data is not None else None)
    assert found.total.cost.operations > 0
    assert found.total.read > 0


@given(graphs())
@settings(max_examples=30)
def test_random_graphs_cost_what_a_counting_run_counts(model) -> None:
    data = {"x": np.random.default_rng(0).normal(size=(4, 3))}
    compared(model, data=data)
    last = model.graph.value(model.outputs[0])
    if last.dtype.kind == "f":
        name = next(f"loss{i}" for i in itertools.count() if f"loss{i}" not in model.graph)
        model.graph.node(name, ops.sum(last))
        compared(Model(model.graph, [], name), data=data)


def test_the_small_net_by_hand() -> None:
    found = profile(xor(), run=False)
    phases = {row.phase: row for row in found.by("phase")}
    # 4 examples: W1 x is 2·2 each, W2 h is 2, the loss squares 4 errors and halves their sum
    assert phases["forward"].cost.multiplications == 4 * 4 + 4 * 2 + 4 + 1
    # ∂h = g W2, ∂W2 = gᵀ h, ∂W1 = ∂zᵀ x: 4·2, 4·2, 4·4
    assert phases["backward"].cost.multiplications == 8 + 8 + 16
    assert phases["update"].cost == Cost(multiplications=9, additions=9)
    assert found.total.cost.comparisons == 8 + 8  # relu, and where it was positive
    assert found.memory["parameters"] == found.memory["gradients"] == 9 * 8
    assert found.memory["inputs"] == 4 * 3 * 8
    assert found.batch == 4


def test_digits_by_hand() -> None:
    found = profile(dataflow.load(ROOT / "models" / "digits.toml"), run=False, batch_size=32)
    products = [row.cost.multiplications for row in found.rows if row.op == "matmul"]
    # 64-32-10: forward 32·64·32 and 32·32·10, and 32·10 for the loss's sum of labels times logarithms; backward ∂h and
    # ∂W2, and ∂W1 alone, since nobody asks for ∂x
    assert sorted(products) == sorted([32 * 64 * 32, 32 * 32 * 10, 32 * 10, 32 * 32 * 10, 32 * 32 * 10, 32 * 64 * 32])


def test_rows_add_up_however_they_are_grouped() -> None:
    found = profile(classifier(), rounds=3)
    for key in ("instruction", "phase", "node", "op"):
        rows = found.by(key)
        assert sum((row.cost for row in rows), Cost()) == found.total.cost
        assert sum(row.read + row.written for row in rows) == found.total.read + found.total.written
        assert sum(row.seconds for row in rows) == pytest.approx(found.total.seconds)
    assert [row.phase for row in found.by("phase")] == ["forward", "backward", "update"]
    assert {row.node for row in found.by("node")} >= {"logits", "loss", "W1", "b2", "parameters"}
    assert {row.op for row in found.by("op")} >= {"matmul", "exp", "sgd"}


def test_what_was_run_has_times_and_leaves_the_model_as_it_was() -> None:
    model = classifier()
    before = {name: array.tobytes() for name, array in model.parameters.items()}
    calls = []
    found = profile(model, rounds=3, progress=lambda done, total: calls.append((done, total)))
    assert {name: array.tobytes() for name, array in model.parameters.items()} == before
    assert calls == [(0, 3), (1, 3), (2, 3)]
    assert found.rounds == 3
    assert all(row.seconds is not None and row.seconds >= 0 for row in found.rows)
    assert found.total.seconds > 0
    assert found.seconds > found.step_seconds > 0


def test_before_running_nothing_runs() -> None:
    @primitive(elementwise=True, operation="functions")
    def fragile(x):
        """x, or an error where it has numbers."""
        if np.any(x != 1):  # the dtype is asked for with ones
            raise AssertionError("it was run")
        return np.asarray(x)

    graph = Graph("net")
    graph.node("y", graph.apply(fragile, [graph.input("x", (3,))]))
    found = profile(Model(graph, ["y"]), data={"x": np.zeros(3)}, run=False)
    assert found.total.cost == Cost(functions=3)
    assert (found.seconds, found.rounds) == (None, 0)


@primitive(elementwise=True)
def unpriced(x):
    """x, without a word about its cost."""
    return np.positive(x)


@unpriced.vjp
def _(g, y, x):
    return g


def with_unpriced() -> Model:
    graph = Graph("net")
    x = graph.input("x", ("n", 3))
    graph.node("h", graph.apply(unpriced, [x]) * 2)
    return Model(graph, ["h"])


def test_an_op_without_a_rule_is_named_with_its_node() -> None:
    with pytest.raises(RuleError, match="op 'unpriced' does not say what it costs") as caught:
        profile(with_unpriced(), data={"x": np.ones((2, 3))})
    assert caught.value.node == "h.unpriced"


# ------------------------------------------------------------------------------------------------ updates


def optimizers():
    for name, options in (
        ("sgd", {}),
        ("sgd", {"momentum": 0.9}),
        ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
        ("adam", {}),
        ("adam", {"weight_decay": 0.01}),
        ("adamw", {}),
        ("rmsprop", {"momentum": 0.9, "weight_decay": 0.01}),
        ("adagrad", {}),
        ("lion", {}),
    ):
        yield pytest.param(registry.optimizer(name).create(options), id=f"{name} {', '.join(options)}")


@pytest.mark.parametrize("optimizer", list(optimizers()))
def test_an_update_costs_what_a_counting_run_of_all_counts(optimizer) -> None:
    tally = Counter()
    vectors = [counted(np.full(7, 0.5), tally) for _ in range(2 + len(optimizer.state_names))]
    optimizer.update(vectors[0], vectors[1], dict(zip(optimizer.state_names, vectors[2:], strict=True)), 1)
    cost, read, written = update_cost(optimizer, 7, 8)
    assert cost == Cost(**tally)
    assert read >= written >= 7 * 8


def test_what_is_frozen_costs_no_update() -> None:
    rows = {
        tuple(frozen): dataflow.profile(classifier(train=dataflow.TrainSettings(frozen=frozen)), run=False).rows[-1]
        for frozen in ([], ["W1", "b*"])
    }
    assert [row.shape for row in rows.values()] == ["(67,)", "(24,)"]  # 8·4 + 8 + 3·8 + 3, and 3·8


def test_updates_by_hand() -> None:
    sgd, adam = registry.optimizer("sgd").create({}), registry.optimizer("adam").create({})
    # g ← ε g reads g and writes g; w ← w − g reads both and writes w
    assert update_cost(sgd, 10, 4) == (Cost(multiplications=10, additions=10), 3 * 40, 2 * 40)
    # mean: 2 products, 1 sum; square: 3 and 1; its root: a quotient, a function, a sum; the step: a product, a
    # quotient, a sum
    assert update_cost(adam, 10, 8)[0] == Cost(multiplications=60, divisions=20, additions=40, functions=10)
    assert update_cost(adam, 0, 8) == (Cost(), 0, 0)


def test_an_optimizer_that_cannot_be_counted_is_named() -> None:
    class Closed(Optimizer):
        name = "closed"

        def __init__(self, *, learning_rate: float = 0.1) -> None:
            self.learning_rate = learning_rate

        def update(self, parameters, gradients, state, step) -> None:
            parameters -= np.linalg.norm(gradients.astype(float).view(np.int64)) * gradients

    with pytest.raises(RuleError, match="what an update by 'closed' costs cannot be counted"):
        update_cost(Closed(), 3, 8)


# ------------------------------------------------------------------------------------------------ pieces


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [5, 40_000])
def test_the_pieces_do_what_the_whole_does(threads: int, rows: int) -> None:
    graph = Graph("net")
    x, w = graph.input("x", ("n", 8)), graph.parameter("w", (8, 8), init="he_normal")
    h = graph.node("h", ops.tanh(x @ w) * x + 0.5)
    graph.node("y", ops.sum(ops.exp(h) * 0.25 - h, axis=0))
    specs = {"x": TensorSpec((rows, 8), np.dtype(float)), "w": TensorSpec((8, 8), np.dtype(float))}
    plan = make_plan(graph, ["h", "y", "x"], specs)
    backend = NumpyBackend()
    runner = backend.prepare(plan, threads)
    rng = np.random.default_rng(0)
    arguments = [rng.normal(size=(rows, 8)), rng.normal(size=(8, 8))]
    first, second = ([np.zeros((rows, 8)), np.zeros(8), np.zeros((rows, 8))] for _ in range(2))
    with backend.scope():
        runner.bind(arguments, first)()
        pieces = runner.pieces(arguments, second)
        for _, _, piece in pieces:
            piece()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    covered = {i for start, stop, _ in pieces for i in range(start, stop)}
    assert covered == set(range(len(plan.instructions)))
    assert sum(start == stop for start, stop, _ in pieces) == 1  # x is copied to its output
    joined = any(stop - start > 1 for start, stop, _ in pieces)
    assert joined == (threads == 2 and rows == 40_000)


def test_a_region_that_runs_as_one_is_one_row(monkeypatch) -> None:
    monkeypatch.setenv("DATAFLOW_THREADS", "2")
    graph = Graph("net")
    x = graph.input("x", ("n",))
    graph.node("y", ops.tanh(ops.exp(x) * x + 0.5))
    model = Model(graph, ["y"])
    data = {"x": np.zeros(10**6)}
    found = profile(model, data=data, rounds=1)
    (row,) = found.rows
    assert (row.op, row.instructions) == ("exp, multiply, add, ...", 4)
    assert row.cost == profile(model, data=data, run=False).total.cost


class Whole(Backend):
    """Runs a plan and does not say what takes how long."""

    name = "whole"
    promises = "nothing"

    def prepare(self, plan, threads=None):
        return WholeRunner(NumpyBackend().prepare(plan, threads))


class WholeRunner(Runner):
    def __init__(self, runner) -> None:
        self.runner = runner

    def run(self, arguments):
        return self.runner.run(arguments)


def test_a_backend_that_cannot_be_taken_apart_is_timed_whole(monkeypatch) -> None:
    monkeypatch.setitem(registry.registry().backends, "whole", Whole())
    found = profile(xor(), backend="whole", rounds=2)
    assert found.seconds > 0
    assert found.total.seconds is None
    assert {row.seconds is None for row in found.rows if row.phase != "update"} == {True}
    assert "the backend whole does not tell what its ops take" in str(found)


# ------------------------------------------------------------------------------------------------ what is profiled


def test_the_forward_pass_alone() -> None:
    model = xor()
    found = profile(model, data={"x": [[0, 1]]}, forward=True, run=False)
    assert {row.phase for row in found.rows} == {"forward"}
    assert found.total.cost.multiplications == 6
    assert found.batch == 1
    assert "one step" not in str(found)


def test_the_gradient_of_a_node_with_respect_to_others() -> None:
    found = profile(xor(), of="yhat", wrt=["x", "W1"], rounds=1)
    assert [row.phase for row in found.by("phase")] == ["forward", "backward"]
    assert found.memory["gradients"] == (8 + 4) * 8
    assert found.memory["inputs"] == 8 * 8  # no labels
    backward = found.by("phase")[1].cost.multiplications
    assert backward == 8 + 16 + 16  # ∂h = 1 W2, ∂x = ∂z W1, ∂W1 = ∂zᵀ x
    assert "the forward pass and the backward pass" in str(found)
    assert profile(xor(), of="h", run=False).total.cost.multiplications == 16
    assert profile(xor(), wrt="x", run=False).by("phase")[1].cost.multiplications == 8 + 16


def test_batches_are_cut_from_the_data() -> None:
    model = classifier()
    assert profile(model, run=False).batch == 8  # the file's
    assert profile(model, run=False, batch_size=50).batch == 50
    assert profile(xor(), run=False, batch_size=2).batch == 2
    with pytest.raises(DataError, match="a batch of 51 is asked for, and there are 50 examples"):
        profile(model, run=False, batch_size=51)


def test_what_is_computed_again_has_rows_of_its_own() -> None:
    model = dataflow.load(ROOT / "models" / "deep.toml")
    free = profile(model, run=False)
    bound = profile(model, run=False, memory_limit="40KiB")
    rows = {row.phase: row for row in bound.by("phase")}
    assert list(rows) == ["forward", "backward", "recomputed", "update"]
    assert free.memory["intermediate results"] > 40 * 1024 >= bound.memory["intermediate results"]
    for row in free.by("phase"):
        assert rows[row.phase].cost == row.cost
    assert 0 < rows["recomputed"].cost.multiplications < rows["forward"].cost.multiplications
    assert bound.passes[-1].name == "recompute"
    with pytest.raises(dataflow.DataflowError, match="cannot be met"):
        profile(model, run=False, memory_limit=1000)


def test_without_data_examples_are_drawn() -> None:
    graph = Graph("net")
    x, k = graph.input("x", ("n", 3)), graph.input("k", ("n", 1), "int64")
    graph.node("y", x * k)
    model = Model(graph, ["y"])
    found = profile(model, batch_size=7, rounds=1)
    assert (found.batch, found.total.cost.multiplications) == (7, 21)
    with pytest.raises(DataError, match="no data for the input 'x'.*--batch-size"):
        profile(model)


def test_what_a_step_lacks_is_named() -> None:
    with pytest.raises(DataError, match="a step needs the input 'y', which the data lacks"):
        profile(xor(), data={"x": [[0, 1]]})
    graph = Graph("net")
    graph.node("y", 2 * graph.input("x", (3,)))
    with pytest.raises(GraphError, match="neither outputs nor a loss"):
        profile(Model(graph))


# ------------------------------------------------------------------------------------------------ passes and pictures


def test_passes_are_told() -> None:
    found = profile(xor(), run=False)
    names = [one.name for one in found.passes]
    assert names[0] == "lower"
    assert names[-1] == "arena"
    sizes = [one.plain() for one in found.passes]
    assert sizes[0]["instructions"] > sizes[-1]["instructions"] > 5
    assert sizes[-1]["bytes"] <= sizes[0]["bytes"]
    assert sizes[-1]["bytes"] == found.memory["intermediate results"]
    text = passes_text(found)
    assert "before the passes" in text
    lines = list(listing(found.passes[-1].plan))
    assert any("matmul(x, W1.T)" in line for line in lines)
    assert len(lines) == sizes[-1]["instructions"]


def test_flames_fill_their_level() -> None:
    found = profile(classifier(), run=False)
    boxes = list(flames(found))
    whole = sum(row.cost.operations for row in found.rows)
    for level in range(4):
        place = 0
        for box in (box for box in boxes if box.level == level):
            assert box.start == pytest.approx(place)
            place += box.width
        assert place == pytest.approx(whole)
    assert [box.label for box in boxes if box.level == 1] == ["forward", "backward", "update"]
    assert "∂W1" in {box.label for box in boxes if box.level == 2}


@pytest.mark.parametrize("ending", ["svg", *(pytest.param(e, marks=pytest.mark.slow) for e in ("png", "pdf"))])
def test_pictures_are_written(tmp_path, ending) -> None:
    path = tmp_path / f"a.{ending}"
    profile(classifier(), run=False).plot(path)
    again = tmp_path / f"b.{ending}"
    profile(classifier(), run=False).plot(again)
    assert path.read_bytes() == again.read_bytes()
    assert len(path.read_bytes()) > 2000


def test_only_pictures_are_drawn(tmp_path) -> None:
    with pytest.raises(FileFormatError, match="pictures end in"):
        profile(xor(), run=False).plot(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (size_text(1023), "1023 B"),
        (size_text(1536), "1.5 KiB"),
        (size_text(3 * 2**30), "3.0 GiB"),
        (count_text(999_999), "999,999"),
        (count_text(12_345_678), "12.3M"),
        (seconds_text(None), "–"),
        (seconds_text(1.2e-7), "0.12 µs"),
        (seconds_text(0.0123), "12.3 ms"),
        (seconds_text(2.0), "2 s"),
    ],
)
def test_numbers_are_written_with_their_units(text, expected) -> None:
    assert text == expected


def test_of_many_rows_those_that_do_most_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflow.profiling.text.MOST_ROWS", 10)
    graph = Graph("chain")
    h = graph.input("x", ("n",))
    for i in range(100):
        h = graph.node(f"h{i}", ops.exp(h * 0.5))
    found = profile(Model(graph, ["h99"]), data={"x": np.zeros(4)}, run=False)
    text = profile_text(found)
    assert "the 10 of 200 rows that do most" in text
    assert len(text.splitlines()) < 40
    assert len(profile_text(found, by="op").splitlines()) < 25


# ------------------------------------------------------------------------------------------------ the command


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, ["profile", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


XOR = ROOT / "models" / "xor.toml"


def test_the_command_prints_a_table() -> None:
    text = invoke(XOR, "--rounds", "2").stdout
    assert "'xor', batch of 4, backend numpy: one step: forward, backward, update by sgd" in text
    for word in ("z.matmul", "multiplications", "memory", "parameters", "for the step, the median of 2 rounds"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 110


def test_the_command_gives_json() -> None:
    found = json.loads(invoke(XOR, "--json", "--no-run").stdout)
    assert found["totals"]["all"]["multiplications"] == 70
    assert found["totals"]["forward"]["multiplications"] == 29
    assert found["rows"][0] == {
        "phase": "forward",
        "node": "z.matmul",
        "op": "matmul",
        "shape": "(4, 2)",
        "dtype": "float64",
        **Cost(multiplications=16, additions=8).plain(),
        "bytes_read": 64 + 32,
        "bytes_written": 64,
        "instructions": 1,
        "seconds": None,
    }
    assert found["memory"]["parameters"] == 72
    assert found["passes"][0]["name"] == "lower"
    assert (found["rounds"], found["seconds"], found["warnings"]) == (0, None, [])
    assert json.loads(invoke(XOR, "--json", "--rounds", "1").stdout)["seconds"] > 0


def test_the_command_shows_passes_and_draws(tmp_path) -> None:
    text = invoke(XOR, "--no-run", "--passes", "--by", "op", "--plot", tmp_path / "a.svg").stdout
    assert "before the passes" in text
    assert f"Wrote {tmp_path / 'a.svg'}." in text
    assert "backward" in (tmp_path / "a.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "cuda"], "cuda"),
        (["--plot", "a.txt"], "pictures end in"),
        (["--batch-size", "5"], "a batch of 5 is asked for, and there are 4 examples"),
        (["--set", "x=[[0, 1]]"], "a step needs the input 'y', which the data lacks"),
        (["--memory-limit", "10"], "cannot be met: the intermediate values take"),
    ],
)
def test_faults_are_one_line(arguments, message) -> None:
    result = invoke(XOR, *arguments, code=1)
    *before, line = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert all(other.startswith("Warning: ") for other in before)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
