"""Pipelines of scikit-learn, as skl2onnx writes them, give what onnxruntime gives."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from click.testing import CliRunner

import dataflow
from dataflow import ops
from dataflow.cli.group import main

onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")
from sklearn import (  # noqa: E402
    compose,
    ensemble,
    impute,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
)

pytestmark = pytest.mark.filterwarnings("ignore")
RNG = np.random.default_rng(0)
X = (3 * RNG.normal(size=(60, 4)) + 1).astype(np.float32)
CLASSES = X[:, :3].argmax(axis=1)
NAMES = np.array(["setosa", "versicolor", "virginica"])[CLASSES]
WORDS = np.array(list("abcdefgh"))[(X > 0)[:, :3] @ [4, 2, 1]]
NUMBERS = X @ [1.0, 2, 3, 4]
CASES = {
    "logistic": (pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()), CLASSES),
    "two": (pipeline.make_pipeline(preprocessing.Normalizer(), linear_model.LogisticRegression()), CLASSES == 0),
    "linear": (pipeline.make_pipeline(preprocessing.MinMaxScaler(), linear_model.Ridge()), NUMBERS),
    "mlp": (
        pipeline.make_pipeline(
            preprocessing.StandardScaler(), neural_network.MLPClassifier((8,), max_iter=50, random_state=0)
        ),
        CLASSES,
    ),
    "mlp of numbers": (
        neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=50, random_state=0),
        NUMBERS,
    ),
}

OTHERS = {
    "forest": (ensemble.RandomForestClassifier(10, random_state=0), CLASSES),
    "forest of two": (ensemble.RandomForestClassifier(10, random_state=0), CLASSES == 0),
    "forest of names": (ensemble.ExtraTreesClassifier(5, random_state=0), NAMES),
    "forest of numbers": (ensemble.RandomForestRegressor(10, random_state=0), X[:, :2]),
    "boosting": (ensemble.GradientBoostingClassifier(n_estimators=10, random_state=0), CLASSES),
    "boosting of two": (ensemble.GradientBoostingClassifier(n_estimators=10, random_state=0), CLASSES == 0),
    "boosting of numbers": (ensemble.GradientBoostingRegressor(n_estimators=10, random_state=0), NUMBERS),
    "adaboost": (ensemble.AdaBoostClassifier(n_estimators=3, random_state=0), CLASSES),
    "bagging": (ensemble.BaggingClassifier(n_estimators=3, random_state=0), CLASSES),
    "logistic of names": (linear_model.LogisticRegression(), NAMES),
    "logistic of two names": (linear_model.LogisticRegression(), np.where(CLASSES == 0, "yes", "no")),
    "linear SVM": (svm.LinearSVC(), CLASSES),
    "SVM": (svm.SVC(), CLASSES),
    "SVM of two": (svm.SVC(), CLASSES == 0),
    "SVM of names": (svm.SVC(kernel="poly"), NAMES),
    "SVM with probabilities": (svm.SVC(probability=True), CLASSES),
    "SVM of two with probabilities": (svm.SVC(probability=True), CLASSES == 0),
    "SVM of eight names with probabilities": (svm.NuSVC(nu=0.05, probability=True), WORDS),
    **{f"SVM of numbers, {kind}": (svm.SVR(kernel=kind), NUMBERS / 10) for kind in ("rbf", "linear", "poly")},
    "SVM of numbers, sigmoid": (
        pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVR(kernel="sigmoid")),
        X[:, 0],
    ),
    "imputed": (pipeline.make_pipeline(impute.SimpleImputer(), linear_model.Ridge()), NUMBERS),
    "neighbours": (neighbors.KNeighborsClassifier(), NAMES),
    "naive Bayes": (naive_bayes.GaussianNB(), NAMES),
    "mlp of names": (neural_network.MLPClassifier((8,), max_iter=50, random_state=0), NAMES),
}


def exported(folder, pipe, y, **options):
    proto = skl2onnx.to_onnx(pipe.fit(X, y.astype(int) if y.dtype == bool else y), X[:1], **options)
    onnx.save(proto, folder / "p.onnx")
    return folder / "p.onnx"


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_onnxruntime(name, tmp_path):
    pipe, y = CASES[name]
    classifier = hasattr(pipe, "predict_proba")
    path = exported(tmp_path, pipe, y, **({"options": {"zipmap": False}} if classifier else {}))
    expected = runtime.InferenceSession(str(path)).run(None, {"X": X})
    model = dataflow.load(path)
    found = model.run(X=X)
    assert len(expected) == len(model.outputs) == 1 + classifier
    for output, array in zip(model.outputs, expected, strict=True):
        assert (found[output].shape, found[output].dtype) == (array.shape, array.dtype)
        np.testing.assert_allclose(found[output], array, rtol=1e-4, atol=1e-6)
    slope = model.gradients(of=model.outputs[-1], wrt=["X"], X=X)["X"]
    assert slope.shape == X.shape
    assert np.isfinite(slope).all()


def test_the_probabilities_of_a_zip_map_are_one_array(tmp_path):
    path = exported(tmp_path, *CASES["logistic"])
    _, maps = runtime.InferenceSession(str(path)).run(None, {"X": X})
    model = dataflow.load(path)
    expected = [list(row.values()) for row in maps]
    np.testing.assert_allclose(model.run(X=X)[model.outputs[1]], expected, rtol=1e-4, atol=1e-6)


def as_theirs(model, found, output):
    """An output as onnxruntime gives it: texts in place of their numbers."""
    return model.graph.as_texts(output, found[output]) if model.graph.has_texts(output) else found[output]


def compiled(model, output, feed):
    """An output of the compiled backend, where there is one."""
    backend = "llvm" if importlib.util.find_spec("llvmlite") else "numpy"
    return model.compile(values=[output], backend=backend)(**feed)[0][output]


def check(path, feed, given=None):
    """All outputs of a file against onnxruntime's; ``given`` is the feed as dataflow takes it."""
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    expected = runtime.InferenceSession(str(path), options).run(None, feed)
    model = dataflow.load(path)
    found = model.run(data=given or feed)
    assert len(expected) == len(model.outputs)
    for output, array in zip(model.outputs, expected, strict=True):
        theirs = [list(row.values()) for row in array] if isinstance(array, list) else array
        np.testing.assert_allclose(compiled(model, output, given or feed), found[output], rtol=1e-4, atol=1e-6)
        ours = as_theirs(model, found, output)
        if ours.dtype.kind == "f":
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(ours, theirs)
    return model


@pytest.mark.parametrize("name", OTHERS)
def test_other_pipelines_give_what_onnxruntime_gives(name, tmp_path):
    check(exported(tmp_path, *OTHERS[name]), {"X": X})


@pytest.mark.parametrize(
    "machine", [svm.SVC(), svm.SVR(gamma=0.1), svm.OneClassSVM()], ids=lambda kind: type(kind).__name__
)
def test_a_kernel_of_distances_takes_numbers_far_from_zero(machine, tmp_path):
    """In float32 the squares of numbers about 2000, such as years, leave no digits for differences of 1."""
    years = X + 2000
    onnx.save(skl2onnx.to_onnx(machine.fit(years, CLASSES), years[:1]), tmp_path / "p.onnx")
    check(tmp_path / "p.onnx", {"X": years})


def test_probabilities_of_a_support_vector_machine_are_differentiated(tmp_path):
    """By central differences of the same sweeps in float64, a row at a time: entries of one class's probability."""
    machine = svm.SVC(probability=True, random_state=0)
    model = dataflow.load(exported(tmp_path, machine, CLASSES, options={"zipmap": False}))
    graph = model.graph
    graph.node("second", ops.index(graph.value("probabilities"), key=":, 1"))
    slope = model.gradients(of="second", wrt=["X"], X=X)["X"]
    step = np.float32(1e-2)
    for column in range(4):
        moved = [X + sign * step * np.eye(4, dtype=np.float32)[column] for sign in (1, -1)]
        high, low = (model.run(X=x)["second"] for x in moved)
        np.testing.assert_allclose(slope[:, column], (high - low) / (2 * step), atol=2e-3)


def test_what_is_missing_is_put_in(tmp_path):
    path = exported(tmp_path, *OTHERS["imputed"])
    holes = X.copy()
    holes[::7, 1] = np.nan
    check(path, {"X": holes})


COLUMNS = {"size": X[:, :1], "kind": NAMES.astype(object)[:, None], "side": np.where(X[:, 3:] > 0, "left", "right")}


@pytest.mark.parametrize("encoder", ["one-hot", "ordinal"])
def test_columns_of_texts_are_numbers(encoder, tmp_path):
    """Each text is its place in the model's list; a number behind the last is a text that the model does not know."""
    pandas = pytest.importorskip("pandas")
    types = skl2onnx.common.data_types
    one_hot = encoder == "one-hot"
    encode = preprocessing.OneHotEncoder(handle_unknown="ignore") if one_hot else preprocessing.OrdinalEncoder()
    columns = compose.make_column_transformer(
        (encode, ["kind", "side"]), (preprocessing.StandardScaler(), ["size"]), verbose_feature_names_out=False
    )
    table = pandas.DataFrame({name: column[:, 0] for name, column in COLUMNS.items()})
    last = linear_model.LogisticRegression() if one_hot else ensemble.RandomForestClassifier(5, random_state=0)
    pipe = pipeline.make_pipeline(columns, last).fit(table, np.where(X[:, 1] > 0, "up", "down"))
    kinds = [types.FloatTensorType([None, 1])] + [types.StringTensorType([None, 1])] * 2
    proto = skl2onnx.to_onnx(pipe, initial_types=list(zip(COLUMNS, kinds, strict=True)), options={"zipmap": False})
    path = tmp_path / "p.onnx"
    onnx.save(proto, path)
    feed = {name: column.astype(object) if column.dtype.kind == "U" else column for name, column in COLUMNS.items()}
    if one_hot:
        feed["kind"] = feed["kind"].copy()
        feed["kind"][3] = "unheard of"
    texts = dataflow.load(path).graph.classes
    assert set(texts) == {"kind", "side", "label", "probabilities"}
    number = {text: i for i, text in enumerate(texts["kind"])}
    given = dict(feed)
    for name in ("kind", "side"):
        given[name] = np.array([[number.get(text, len(number))] for text in feed[name][:, 0]])
    check(path, feed, given)
    texts_are_given(path, tmp_path, table, feed)


def texts_are_given(path, folder, table, feed):
    """Python, a table and a saved ONNX file take the texts themselves; predict says whose probabilities they are."""
    label, shares = runtime.InferenceSession(str(path)).run(None, feed)
    model = dataflow.load(path)
    np.testing.assert_allclose(model.run(data=feed)[model.outputs[1]], shares, rtol=1e-4, atol=1e-6)
    table = table.assign(kind=feed["kind"][:, 0])
    table.to_csv(folder / "t.csv", index=False)
    dataflow.save(model, folder / "again.onnx")
    for file in (path, folder / "again.onnx"):
        ran = CliRunner().invoke(main, ["predict", str(file), "--data", str(folder / "t.csv"), "--json"])
        assert ran.exit_code == 0, ran.output
        rows = json.loads(ran.output)["rows"]
        assert [row["label"] for row in rows] == label.tolist()
        found = [[row["probabilities_down"], row["probabilities_up"]] for row in rows]
        np.testing.assert_allclose(found, shares, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        runtime.InferenceSession(str(folder / "again.onnx")).run(None, feed)[1], shares, rtol=1e-4, atol=1e-6
    )
    cells = [("kind", table.kind[0]), ("side", table.side[0])]
    ran = CliRunner().invoke(
        main, ["run", str(path), "--json", "--set", "size=[[1]]", *(f'--set={k}=[["{v}"]]' for k, v in cells)]
    )
    assert ran.exit_code == 0, ran.output
    document = json.loads(ran.output)
    assert {name: document["texts"][name] for name, _ in cells} == {name: [[text]] for name, text in cells}
    assert document["texts"]["label"][0] in ("up", "down")


def test_coefficients_and_leaves_are_trained_further(tmp_path):
    """Their names are those of the nodes; what is saved runs in onnxruntime."""
    path = exported(tmp_path, linear_model.LogisticRegression(C=0.001), CLASSES, options={"zipmap": False})
    improved(path, tmp_path, ["LinearClassifier_coefficients", "LinearClassifier_intercepts"])
    forest = ensemble.RandomForestClassifier(3, max_depth=2, random_state=0)
    improved(
        exported(tmp_path, forest, CLASSES, options={"zipmap": False}), tmp_path, ["TreeEnsembleClassifier_weights"]
    )


def improved(path, folder, names):
    model = dataflow.load(path)
    assert list(model.parameters) == names
    graph = model.graph
    y = graph.input("y", ("n",), "int64")
    chances = ops.maximum(graph.value("probabilities"), 1e-6)
    graph.node("loss", ops.nll(ops.log(chances), y, reduction="mean"))
    model = dataflow.Model(graph, ["probabilities"], "loss")
    history = dataflow.train(
        model, data={"X": X, "y": CLASSES}, epochs=30, optimizer={"name": "adam", "learning_rate": 0.05}
    )
    assert history.loss[-1] < 0.9 * history.loss[0]
    dataflow.save(model, folder / "better.onnx")
    (theirs,) = runtime.InferenceSession(str(folder / "better.onnx")).run(["probabilities"], {"X": X})
    np.testing.assert_allclose(theirs, model.run(X=X)["probabilities"], rtol=1e-4, atol=1e-6)


def test_trees_say_that_they_have_no_derivative(tmp_path):
    model = dataflow.load(exported(tmp_path, *OTHERS["forest of numbers"]))
    with pytest.warns(dataflow.DataflowWarning, match=r"'variable.tree_leaves' \(tree_leaves\) has no derivative"):
        slope = model.gradients(of="variable", wrt=["X"], X=X)["X"]
    assert not slope.any()


@pytest.mark.parametrize("ending", [".toml", ".msgpack", ".onnx", "without metadata"])
def test_class_names_are_kept_shown_and_predicted(ending, tmp_path):
    """What scikit-learn predicts is in predict's table, and what is saved as ONNX gives it in onnxruntime."""
    pipe, y = OTHERS["logistic of names"]
    path = tmp_path / f"kept{ending if ending[0] == '.' else '.onnx'}"
    dataflow.save(dataflow.load(exported(tmp_path, pipe, y, options={"zipmap": False})), path)
    if path.suffix == ".onnx":
        told = runtime.InferenceSession(str(path)).run(["label"], {"X": X})[0]
        assert told.tolist() == pipe.predict(X).tolist()
    if ending == "without metadata":
        proto = onnx.load(path)
        del proto.metadata_props[:]
        onnx.save(proto, path)
    np.savez(tmp_path / "x.npz", X=X)
    ran = CliRunner().invoke(
        main, ["predict", str(path), "--data", str(tmp_path / "x.npz"), "-o", str(tmp_path / "y.csv")]
    )
    assert ran.exit_code == 0, ran.output
    lines = (tmp_path / "y.csv").read_text().splitlines()
    place = lines[0].split(",").index("label")
    assert [line.split(",")[place] for line in lines[1:]] == pipe.predict(X).tolist()
    ran = CliRunner().invoke(main, ["run", str(path), "--set", f"X={X[:2].tolist()}"])
    assert " ".join(f"'{name}'" for name in pipe.predict(X[:2])) in ran.output
