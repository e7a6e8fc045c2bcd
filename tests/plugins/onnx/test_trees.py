"""Trees and categories of ``ai.onnx.ml``, made by chance, against onnxruntime; and files that are wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest

import dataflow
from dataflow.errors import DataflowError

onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ML = "ai.onnx.ml"
MODES = ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ")


def proto_of(node, x, outputs, version=3, kind=None):
    kind = helper.np_dtype_to_tensor_dtype(x.dtype) if kind is None else kind
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("X", kind, ["n", *x.shape[1:]])],
        [helper.make_tensor_value_info(name, type_, None) for name, type_ in outputs.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(ML, version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def both(proto, x, folder):
    """What onnxruntime gives, and what dataflow gives."""
    onnx.save(proto, folder / "m.onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    expected = runtime.InferenceSession(str(folder / "m.onnx"), options).run(None, {"X": x})
    model = dataflow.load(folder / "m.onnx")
    found = model.run(X=x)
    return expected, [found[name] for name in model.outputs]


def grown(rng, trees, depth, features):
    """Nodes of trees whose questions, depths and order are drawn."""
    rows = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
    rows["missing_value_tracks_true"] = []
    leaves = []
    for tree in range(trees):
        pending, count = [(0, 0)], 1
        while pending:
            node, level = pending.pop(int(rng.integers(len(pending))))
            leaf = level >= depth or (level > 0 and rng.random() < 0.2)
            after = (0, 0) if leaf else (count, count + 1)
            if leaf:
                leaves.append((tree, node))
            else:
                pending += [(number, level + 1) for number in after]
                count += 2
            mode = "LEAF" if leaf else f"BRANCH_{MODES[rng.integers(len(MODES))]}"
            numbers = (tree, node, rng.integers(features), rng.integers(-2, 3) / 2, mode, *after, rng.integers(2))
            for key, number in zip(rows, numbers, strict=True):
                rows[key].append(
                    number if isinstance(number, str) else number.item() if hasattr(number, "item") else number
                )
    return {f"nodes_{key}": numbers for key, numbers in rows.items()}, leaves


def entries(rng, size):
    """Halves, which often are thresholds, and NaN."""
    x = rng.integers(-4, 5, size=size) / 2
    return np.where(rng.random(size) < 0.1, np.nan, x)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_regression_by_trees_of_chance(seed, dtype, tmp_path):
    rng = np.random.default_rng(seed)
    nodes, leaves = grown(rng, trees=int(rng.integers(1, 5)), depth=4, features=3)
    chosen = [(tree, node, target) for tree, node in leaves for target in range(2) if rng.random() < 0.8]
    how = ("SUM", "AVERAGE", "MIN", "MAX")[seed % 4]
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["X"],
        ["Y"],
        domain=ML,
        **nodes,
        n_targets=2,
        aggregate_function=how,
        **({"base_values": [0.5, -1.0]} if seed < 4 else {}),
        target_treeids=[tree for tree, _, _ in chosen],
        target_nodeids=[node for _, node, _ in chosen],
        target_ids=[target for _, _, target in chosen],
        target_weights=rng.normal(size=len(chosen)).tolist(),
    )
    x = entries(rng, (40, 3)).astype(dtype)
    (expected,), (found,) = both(proto_of(node, x, {"Y": TensorProto.FLOAT}), x, tmp_path)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_classification_by_trees_of_chance(seed, tmp_path):
    """Three classes, of which leaves speak of some or all, with weights of both signs; or one score for two classes."""
    rng = np.random.default_rng(seed)
    nodes, leaves = grown(rng, trees=3, depth=3, features=2)
    two, signs = seed % 2 == 1, seed % 4 < 2
    chosen = [(*leaf, class_) for leaf in leaves for class_ in range(1 if two else 3) if two or rng.random() < 0.8]
    weights = rng.normal(size=len(chosen))
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["X"],
        ["L", "P"],
        domain=ML,
        **nodes,
        classlabels_int64s=[7, 3] if two else [7, 3, 5],
        post_transform=("LOGISTIC" if seed > 4 else "NONE") if two else ("SOFTMAX" if seed > 3 else "NONE"),
        class_treeids=[tree for tree, _, _ in chosen],
        class_nodeids=[node for _, node, _ in chosen],
        class_ids=[class_ for _, _, class_ in chosen],
        class_weights=(weights if signs else np.abs(weights)).tolist(),
    )
    x = entries(rng, (40, 2)).astype(np.float32)
    outputs = {"L": TensorProto.INT64, "P": TensorProto.FLOAT}
    (labels, scores), (our_labels, our_scores) = both(proto_of(node, x, outputs), x, tmp_path)
    np.testing.assert_allclose(our_scores, scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(our_labels, labels)


@pytest.mark.filterwarnings("ignore:node .* its domain")
@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"])
@pytest.mark.parametrize("scored", [(0, 1), (1,)])
@pytest.mark.parametrize("signs", [False, True])
def test_trees_that_score_the_second_of_two_classes_or_both(transform, scored, signs, tmp_path):
    """onnxruntime chooses the second where its score is above 0, or above ½ if it alone has scores, none negative. The
    classes are 0 and 1, as it gives these numbers whatever the file calls the classes."""
    rng = np.random.default_rng(len(scored))
    nodes, leaves = grown(rng, trees=3, depth=3, features=2)
    chosen = [(*leaf, class_) for leaf in leaves for class_ in scored]
    weights = rng.uniform(-1 if signs else 0, 1, size=len(chosen)) / 3
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["X"],
        ["L", "P"],
        domain=ML,
        **nodes,
        classlabels_int64s=[0, 1],
        post_transform=transform,
        class_treeids=[tree for tree, _, _ in chosen],
        class_nodeids=[node for _, node, _ in chosen],
        class_ids=[class_ for _, _, class_ in chosen],
        class_weights=weights.tolist(),
    )
    x = entries(rng, (40, 2)).astype(np.float32)
    expected, found = both(proto_of(node, x, {"L": TensorProto.INT64, "P": TensorProto.FLOAT}), x, tmp_path)
    assert found[0].tolist() == expected[0].tolist()
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-6)


TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


@pytest.mark.filterwarnings("ignore:node .* its domain")
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("bases", [0, 1, 2])
@pytest.mark.parametrize("scored", [(0,), (1,), (0, 1)])
def test_two_classes_with_base_values(transform, bases, scored, tmp_path):
    """Weights of one sign or both, some leaves without. Refused is what onnxruntime leaves open: it writes no second
    number then."""
    outcomes = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        nodes, leaves = grown(rng, trees=2, depth=3, features=2)
        share = 1.0 if seed % 2 else 0.8
        chosen = [(*leaf, class_) for leaf in leaves for class_ in scored if rng.random() < share]
        base = {"base_values": rng.uniform(-1 if seed // 4 else 0, 1, bases).tolist()} if bases else {}
        node = helper.make_node(
            "TreeEnsembleClassifier",
            ["X"],
            ["L", "P"],
            domain=ML,
            **nodes,
            **base,
            classlabels_int64s=[0, 1],
            post_transform=transform,
            class_treeids=[tree for tree, _, _ in chosen],
            class_nodeids=[node for _, node, _ in chosen],
            class_ids=[class_ for _, _, class_ in chosen],
            class_weights=rng.uniform(-1 if seed // 2 % 2 else 0, 1, len(chosen)).tolist(),
        )
        x = entries(rng, (40, 2)).astype(np.float32)
        proto = proto_of(node, x, {"L": TensorProto.INT64, "P": TensorProto.FLOAT})
        try:
            expected, found = both(proto, x, tmp_path)
        except DataflowError as error:
            assert "programs leave the other score open" in str(error)
            outcomes.append(None)
            continue
        assert found[0].tolist() == expected[0].tolist()
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-6)
        outcomes.append(seed)
    one_score = bases < 2 and scored != (0, 1)
    if bases == 2 or (transform != "PROBIT" and (one_score or not bases)):
        assert None not in outcomes
    elif scored == (0, 1):
        assert outcomes[1::2] == [1, 3, 5, 7]


@pytest.mark.filterwarnings("ignore:node .* its domain")
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_newest_op_for_trees_has_transforms(transform, tmp_path):
    """Two trees of one question each, and two results. Of two transforms programs take the numbers for one another."""
    node = helper.make_node(
        "TreeEnsemble",
        ["X"],
        ["Y"],
        domain=ML,
        n_targets=2,
        tree_roots=[0, 1],
        nodes_splits=numpy_helper.from_array(np.array([0.5, -0.5], np.float32)),
        nodes_featureids=[0, 1],
        nodes_modes=numpy_helper.from_array(np.array([0, 3], np.uint8)),
        nodes_truenodeids=[0, 2],
        nodes_falsenodeids=[1, 3],
        nodes_trueleafs=[1, 1],
        nodes_falseleafs=[1, 1],
        leaf_targetids=[0, 1, 1, 0],
        leaf_weights=numpy_helper.from_array(np.array([0.3, 0.6, 0.25, 0.125], np.float32)),
        post_transform=TRANSFORMS.index(transform),
    )
    x = entries(np.random.default_rng(3), (30, 2)).astype(np.float32)
    if transform in ("SOFTMAX", "LOGISTIC"):
        with pytest.raises(DataflowError, match="programs differ in it"):
            both(proto_of(node, x, {"Y": TensorProto.FLOAT}, version=5), x, tmp_path)
        return
    (expected,), (found,) = both(proto_of(node, x, {"Y": TensorProto.FLOAT}, version=5), x, tmp_path)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
def test_a_linear_classifier_with_one_score_for_two_classes(transform, tmp_path):
    node = helper.make_node(
        "LinearClassifier",
        ["X"],
        ["L", "P"],
        domain=ML,
        coefficients=[1.0, -2.0],
        intercepts=[0.25],
        classlabels_ints=[4, 9],
        post_transform=transform,
    )
    x = entries(np.random.default_rng(0), (20, 2)).astype(np.float32)
    x = np.nan_to_num(x)
    outputs = {"L": TensorProto.INT64, "P": TensorProto.FLOAT}
    (labels, scores), (our_labels, our_scores) = both(proto_of(node, x, outputs, version=1), x, tmp_path)
    np.testing.assert_allclose(our_scores, scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(our_labels, labels)


LABELS = {
    "floats to whole numbers": (
        {"keys_floats": [1.5, float("nan"), 0.0], "values_int64s": [3, 4, 5], "default_int64": 9},
        np.array([[1.5, np.nan], [0, 7]], np.float32),
        TensorProto.INT64,
    ),
    "one key twice": (
        {"keys_int64s": [1, 1, 2], "values_int64s": [5, 6, 7]},
        np.array([1, 2, 3]),
        TensorProto.INT64,
    ),
    "whole numbers to floats": (
        {"keys_int64s": [3, 1, 2], "values_floats": [0.5, 1.5, 2.5], "default_float": -2.0},
        np.array([[1, 2, 3], [4, 3, 1]]),
        TensorProto.FLOAT,
    ),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_encoded(name, tmp_path):
    attributes, x, kind = LABELS[name]
    node = helper.make_node("LabelEncoder", ["X"], ["Y"], domain=ML, **attributes)
    (expected,), (found,) = both(proto_of(node, x, {"Y": kind}, version=4), x, tmp_path)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_labels_become_texts(tmp_path):
    node = helper.make_node("LabelEncoder", ["X"], ["Y"], domain=ML, keys_int64s=[1, 2], values_strings=["a", "b"])
    onnx.save(proto_of(node, np.zeros((1, 2), int), {"Y": TensorProto.STRING}, version=2), tmp_path / "m.onnx")
    model = dataflow.load(tmp_path / "m.onnx")
    texts = model.graph.classes["Y"]
    found = model.run(X=[[2, 1], [5, 1]])["Y"]
    assert [[texts[i] for i in row] for row in found] == [["b", "a"], ["_Unused", "a"]]  # as the specification says


STUMP = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [1, 0, 0],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
    "target_treeids": [0, 0],
    "target_nodeids": [1, 2],
    "target_ids": [0, 0],
    "target_weights": [1.0, 2.0],
}
WRONG = {
    "lengths": ({"nodes_values": [0.5]}, "attributes are of several lengths"),
    "trees": ({"nodes_treeids": [0, 0]}, "attributes are of several lengths"),
    "weights": ({"target_weights": [1.0]}, "weights whose attributes are of several lengths"),
    "nowhere": ({"nodes_truenodeids": [7, 0, 0]}, "node 0 of tree 0 leads to a node that is not there"),
    "circle": (
        {
            "nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"],
            "nodes_truenodeids": [1, 0, 0],
            "nodes_falsenodeids": [2, 0, 0],
        },
        "has a tree that is none",
    ),
    "twice": ({"nodes_nodeids": [0, 1, 1]}, "two nodes of one number"),
    "mode": ({"nodes_modes": ["BRANCH_NO", "LEAF", "LEAF"]}, "mode 'BRANCH_NO'; BRANCH_LEQ"),
    "feature": ({"nodes_featureids": [5, 0, 0]}, "asks for feature 5 of 2"),
    "target": ({"target_ids": [0, 4]}, "a weight of result 4 in node 2"),
    "weight of an inner node": ({"target_nodeids": [0, 2]}, "a weight of result 0 in node 0"),
    "aggregate": ({"aggregate_function": "MEDIAN"}, "aggregates by 'MEDIAN'"),
    "transform of one": ({"post_transform": "LOGISTIC"}, "with one result and the transform LOGISTIC is not supported"),
    "transform": ({"post_transform": "CUBE"}, "the transform CUBE is not supported"),
}


MACHINE = {
    "kernel_type": "RBF",
    "kernel_params": [0.5, 0.0, 3.0],
    "vectors_per_class": [1, 2],
    "support_vectors": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
    "coefficients": [1.0, -0.5, -0.5],
    "rho": [0.25],
    "classlabels_ints": [4, 9],
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_scores_of_a_support_vector_machine_are_float32(dtype, tmp_path):
    node = helper.make_node("SVMClassifier", ["X"], ["L", "P"], domain=ML, **MACHINE)
    x = np.array([[0, 1], [2, 2], [5, 5]], dtype)
    proto = proto_of(node, x, {"L": TensorProto.INT64, "P": TensorProto.FLOAT}, version=1)
    (labels, scores), (our_labels, our_scores) = both(proto, x, tmp_path)
    assert our_scores.dtype == scores.dtype
    np.testing.assert_allclose(our_scores, scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(our_labels, labels)


@pytest.mark.parametrize(
    ("attribute", "expected"), [("kernel_params", 3), ("support_vectors", 6), ("coefficients", 3), ("rho", 1)]
)
@pytest.mark.parametrize("op", ["SVMClassifier", "SVMRegressor"])
def test_a_support_vector_machine_with_too_many_numbers_is_refused(op, attribute, expected, tmp_path):
    others = {} if op == "SVMClassifier" else {"n_supports": 3}
    attributes = MACHINE | {attribute: [*MACHINE[attribute], 1.0]} | others
    if op == "SVMRegressor":
        del attributes["vectors_per_class"], attributes["classlabels_ints"]
    node = helper.make_node(op, ["X"], ["Y"], name="machine", domain=ML, **attributes)
    onnx.save(proto_of(node, np.zeros((1, 2), np.float32), {"Y": TensorProto.FLOAT}), tmp_path / "m.onnx")
    message = f"node 'machine': {op} has {expected + 1} {attribute}; {expected} are expected"
    with pytest.raises(DataflowError, match=message):
        dataflow.load(tmp_path / "m.onnx")


@pytest.mark.parametrize("fault", WRONG)
def test_trees_that_are_wrong_are_refused_with_their_node(fault, tmp_path):
    changes, message = WRONG[fault]
    node = helper.make_node("TreeEnsembleRegressor", ["X"], ["Y"], name="trees", domain=ML, **(STUMP | changes))
    x = np.zeros((1, 2), np.float32)
    onnx.save(proto_of(node, x, {"Y": TensorProto.FLOAT}), tmp_path / "m.onnx")
    with pytest.raises(DataflowError, match=f"node 'trees': .*{re.escape(message)}") as caught:
        dataflow.load(tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)


def test_a_tree_that_is_too_deep_is_refused(tmp_path):
    count = 2 * 600 + 1  # node 2i leads to a leaf and to node 2i + 2
    inner = range(0, count - 1, 2)
    chain = {
        "nodes_treeids": [0] * count,
        "nodes_nodeids": list(range(count)),
        "nodes_featureids": [0] * count,
        "nodes_values": [0.0] * count,
        "nodes_modes": ["BRANCH_LEQ" if i in inner else "LEAF" for i in range(count)],
        "nodes_truenodeids": [i + 1 if i in inner else 0 for i in range(count)],
        "nodes_falsenodeids": [i + 2 if i in inner else 0 for i in range(count)],
    }
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["X"],
        ["Y"],
        name="trees",
        domain=ML,
        **(
            STUMP
            | chain
            | {
                "target_nodeids": [1, 3],
            }
        ),
    )
    onnx.save(proto_of(node, np.zeros((1, 2), np.float32), {"Y": TensorProto.FLOAT}), tmp_path / "m.onnx")
    with pytest.raises(DataflowError, match="a tree is more than 500 steps deep, or has a circle"):
        dataflow.load(tmp_path / "m.onnx")


def test_what_cannot_be_done_with_texts_is_refused(tmp_path):
    node = helper.make_node("ReduceMax", ["X"], ["Y"], name="largest")
    proto = proto_of(node, np.zeros((1, 2)), {"Y": TensorProto.STRING}, kind=TensorProto.STRING)
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(DataflowError, match=r"node 'largest': ReduceMax of texts \('X'\) is not supported"):
        dataflow.load(tmp_path / "m.onnx")
