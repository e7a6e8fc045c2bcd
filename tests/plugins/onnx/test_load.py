"""Loading ``.onnx``: small models built with onnx's own helpers, their results computed with numpy."""

import numpy as np
import pytest
from checkout import ROOT
from click.testing import CliRunner

import dataflow
from dataflow.cli import main
from dataflow.errors import DataflowError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from dataflow_onnx.load import build_model  # noqa: E402
from dataflow_onnx.saving.save import build_proto  # noqa: E402


def _saved(path, nodes, inputs, outputs, initializers=None, opset=17, **more):
    tensors = [numpy_helper.from_array(array, name) for name, array in (initializers or {}).items()]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "net", values, results, tensors)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=imports, **more).SerializeToString())
    return path


def _array(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def test_mlp(tmp_path):
    rng = np.random.default_rng(0)
    W, b, V = _array(rng, 4, 3), _array(rng, 4), _array(rng, 4, 2)
    nodes = [
        helper.make_node("Gemm", ["x", "fc.0.weight", "fc.0.bias"], ["/fc/h"], transB=1),
        helper.make_node("Relu", ["/fc/h"], ["/fc/r"]),
        helper.make_node("MatMul", ["/fc/r", "V"], ["y"]),
    ]
    weights = {"fc.0.weight": W, "fc.0.bias": b, "V": V}
    model = dataflow.load(_saved(tmp_path / "mlp.onnx", nodes, {"x": ("batch", 3)}, ["y"], weights))
    assert list(model.parameters) == ["fc_0_weight", "fc_0_bias", "V"]
    x = _array(rng, 5, 3)
    np.testing.assert_allclose(model.run(x=x)["y"], np.maximum(x @ W.T + b, 0) @ V, rtol=1e-5)
    assert model.graph.graph["onnx_names"]["fc_h"] == "/fc/h"


def test_convolutional_net(tmp_path):
    rng = np.random.default_rng(1)
    W, V = _array(rng, 2, 1, 3, 3), _array(rng, 8, 3)
    nodes = [
        helper.make_node("Conv", ["x", "W"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Shape", ["p"], ["shape"]),
        helper.make_node("Constant", [], ["zero"], value_int=0),
        helper.make_node("Constant", [], ["rest"], value_ints=[-1]),
        helper.make_node("Gather", ["shape", "zero"], ["n"]),
        helper.make_node("Constant", [], ["axes"], value_ints=[0]),
        helper.make_node("Unsqueeze", ["n", "axes"], ["ns"]),
        helper.make_node("Concat", ["ns", "rest"], ["flat"], axis=0),
        helper.make_node("Reshape", ["p", "flat"], ["f"]),
        helper.make_node("MatMul", ["f", "V"], ["y"]),
    ]
    model = dataflow.load(_saved(tmp_path / "c.onnx", nodes, {"x": ("n", 1, 4, 4)}, ["y"], {"W": W, "V": V}))
    x = _array(rng, 2, 1, 4, 4)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    convolved = np.einsum("ncijkl,ockl->noij", windows, W)
    pooled = convolved.reshape(2, 2, 2, 2, 2, 2).max(axis=(3, 5))
    np.testing.assert_allclose(model.run(x=x)["y"], pooled.reshape(2, 8) @ V, rtol=1e-4, atol=1e-5)
    assert "shape" not in model.graph


def test_function_of_the_model(tmp_path):
    twice = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    nodes = [
        helper.make_node("Twice", ["x"], ["h"], domain="own"),
        helper.make_node("Twice", ["h"], ["y"], domain="own"),
    ]
    model = dataflow.load(_saved(tmp_path / "f.onnx", nodes, {"x": (2,)}, ["y"], functions=[twice]))
    np.testing.assert_array_equal(model.run(x=np.float32([1, 2]))["y"], [4, 8])


def test_calls_of_a_function_in_a_function_have_names_of_their_own(tmp_path):
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    twice = helper.make_function("own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], imports)
    calls = [helper.make_node("Twice", [a], [b], domain="own") for a, b in (("a", "c"), ("c", "d"), ("d", "b"))]
    eight = helper.make_function("own", "Eight", ["a"], ["b"], calls, imports)
    nodes = [helper.make_node("Eight", [a], [b], domain="own", name="same") for a, b in (("x", "h"), ("h", "y"))]
    model = dataflow.load(_saved(tmp_path / "f.onnx", nodes, {"x": (2,)}, ["y"], functions=[twice, eight]))
    np.testing.assert_array_equal(model.run(x=np.float32([1, 2]))["y"], [64, 128])


def test_a_graph_of_many_nodes_is_refused_before_it_is_read(tmp_path):
    nodes = [helper.make_node("Neg", ["x"], [f"y{i}"]) for i in range(50)]
    path = _saved(tmp_path / "many.onnx", nodes, {"x": (2,)}, ["y0"])
    with dataflow.Limits(nodes=10), pytest.raises(DataflowError, match="more than 40 nodes, attributes and tensors"):
        dataflow.load(path)
    with dataflow.Limits(nodes=20), pytest.raises(DataflowError, match="the model has 50 nodes, more than 20"):
        dataflow.load(path)


def _recursive(path):
    again = helper.make_function(
        "own", "F", ["a"], ["b"], [helper.make_node("F", ["a"], ["b"], domain="own")], [helper.make_opsetid("own", 1)]
    )
    return _saved(path, [helper.make_node("F", ["x"], ["y"], domain="own")], {"x": (2,)}, ["y"], functions=[again])


def _external(location):
    def write(path):
        W = numpy_helper.from_array(np.zeros(2, np.float32), "W")
        W.ClearField("raw_data")
        W.data_location = TensorProto.EXTERNAL
        W.external_data.add(key="location", value=location)
        _saved(path, [helper.make_node("Add", ["x", "W"], ["y"])], {"x": (2,)}, ["y"])
        proto = onnx.load(path)
        proto.graph.initializer.append(W)
        path.write_bytes(proto.SerializeToString())
        return path

    return write


def _wrong_size(path):
    _saved(path, [helper.make_node("Add", ["x", "W"], ["y"])], {"x": (2,)}, ["y"], {"W": np.zeros(2, np.float32)})
    proto = onnx.load(path)
    proto.graph.initializer[0].dims[0] = 10**9
    path.write_bytes(proto.SerializeToString())
    return path


def _add(opset):
    return lambda path: _saved(path, [helper.make_node("Add", ["x", "x"], ["y"])], {"x": (2,)}, ["y"], opset=opset)


def _cut(path):
    data = _add(17)(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def _text(path):
    path.write_text("no model")
    return path


def _missing(path):
    nodes = [
        helper.make_node("Foo", ["x"], ["h"]),
        helper.make_node("Foo", ["h"], ["i"]),
        helper.make_node("Bar", ["i"], ["y"]),
    ]
    return _saved(path, nodes, {"x": (2,)}, ["y"])


def _misshapen(path):
    nodes = [helper.make_node("MatMul", ["x", "W"], ["y"], name="/fc/MatMul")]
    return _saved(path, nodes, {"x": ("n", 3)}, ["y"], {"W": np.zeros((4, 2), np.float32)})


def _huge(path):
    nodes = [
        helper.make_node("Constant", [], ["s"], value_ints=[2**40]),
        helper.make_node("ConstantOfShape", ["s"], ["c"], name="many"),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    return _saved(path, nodes, {"x": (1,)}, ["y"])


FAULTS = {
    "recursion": (_recursive, "'F' calls itself"),
    "outside": (_external("../W.bin"), "only files of the model's folder"),
    "absolute": (_external("/etc/passwd"), "only files of the model's folder"),
    "gone": (_external("W.bin"), "which is not there"),
    "too large": (_wrong_size, "takes 4000000000 bytes, the file has 8"),
    "old": (_add(6), "opset 6, which is too old"),
    "new": (_add(999), "opset 999, which is too new"),
    "cut": (_cut, "cut off"),
    "text": (_text, "no ONNX model"),
    "missing": (_missing, r"Foo \(2×\), Bar \(1×\)"),
    "misshapen": (_misshapen, "'/fc/MatMul'"),
    "huge": (_huge, "node 'many': ConstantOfShape of constants takes"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_input_is_one_line(tmp_path, fault):
    write, message = FAULTS[fault]
    path = write(tmp_path / "bad.onnx")
    with pytest.raises(DataflowError, match=message) as caught:
        dataflow.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "W.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(DataflowError, match="only files of the model's folder"):
        dataflow.load(_external("W.bin")(folder / "bad.onnx"))


def test_external_data_in_the_folder(tmp_path):
    (tmp_path / "W.bin").write_bytes(np.float32([3, 4]).tobytes())
    model = dataflow.load(_external("W.bin")(tmp_path / "m.onnx"))
    np.testing.assert_array_equal(model.run(x=np.float32([1, 1]))["y"], [4, 5])


def _open_sizes(path):
    """An image is halved and brought back to its size, which fits only if the size is even; nearest neighbours."""
    nodes = [
        helper.make_node("Constant", [], ["W"], value=numpy_helper.from_array(np.ones((1, 1, 2, 2), np.float32))),
        helper.make_node("Conv", ["x", "W"], ["half"], strides=[2, 2]),
        helper.make_node("Constant", [], ["scales"], value_floats=[1.0, 1.0, 2.0, 2.0]),
        helper.make_node("Resize", ["half", "", "scales"], ["back"], mode="nearest"),
        helper.make_node("Add", ["x", "back"], ["sum"]),
        helper.make_node("Constant", [], ["start"], value_ints=[0]),
        helper.make_node("Constant", [], ["end"], value_ints=[10**9]),
        helper.make_node("Slice", ["sum", "start", "end"], ["y"]),
    ]
    return _saved(path, nodes, {"x": (-1, 1, "high", "wide")}, ["y"])


def test_shapes_are_given_where_the_file_leaves_them_open(tmp_path):
    """The end of a slice that exporters write for "all" leaves a size open that is not known, and a size of -1 is one.
    Weights in nodes are parameters, as Paddle's exporter has no others."""
    path = _open_sizes(tmp_path / "open.onnx")
    with pytest.raises(DataflowError, match="do not broadcast"):
        dataflow.load(path)
    model = dataflow.load(path, shapes={"x": ("n", 1, 4, 2)})
    x = np.arange(16, dtype=np.float32).reshape(2, 1, 4, 2)
    blocks = x.reshape(2, 2, 2, 2).sum(axis=(2, 3))
    wanted = x + blocks.repeat(2, axis=1).reshape(2, 1, 4, 1)
    assert model.run(x=x)["y"].tolist() == wanted.tolist()
    assert list(model.parameters) == ["W"]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (1,)}, "a shape is given for 'z', which is no input"),
        ({"x": (1, 2, 4, 2)}, r"the input is of shape \(x_0, 1, high, wide\), not \(1, 2, 4, 2\)"),
        ({"x": (1, 1, 4)}, "the input is of shape"),
        ({"x": (1, 1, 4, -2)}, "-2"),
        ({"x": (1, 1, 5, 2)}, "do not broadcast"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(tmp_path, shapes, message):
    with pytest.raises(DataflowError, match=message):
        dataflow.load(_open_sizes(tmp_path / "open.onnx"), shapes=shapes)


def _chosen(path):
    """x + 1 where the rate is 16, else the sum of x: two branches whose results differ in shape."""
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    then, other = (
        helper.make_graph(nodes, name, [], [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)])
        for name, nodes in (
            (
                "plus",
                [
                    helper.make_node("Constant", [], ["one"], value=one),
                    helper.make_node("Add", ["x", "one"], ["out"]),
                ],
            ),
            ("total", [helper.make_node("ReduceSum", ["x"], ["out"], keepdims=0)]),
        )
    )
    nodes = [
        helper.make_node("Constant", [], ["sixteen"], value_int=16),
        helper.make_node("Equal", ["rate/1", "sixteen"], ["is_16"]),
        helper.make_node("If", ["is_16"], ["y"], then_branch=then, else_branch=other),
    ]
    proto = onnx.load(_saved(path, nodes, {"x": ("n", 2)}, ["y"]))
    proto.graph.input.append(helper.make_tensor_value_info("rate/1", TensorProto.INT64, []))
    onnx.save(proto, path)
    return path


@pytest.mark.parametrize("name", ["rate/1", "rate_1"])
def test_an_input_that_is_a_constant_chooses_a_branch(tmp_path, name):
    path = _chosen(tmp_path / "m.onnx")
    x = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    first, second = (dataflow.load(path, constants={name: rate}) for rate in (16, 8))
    assert first.graph.names("input") == second.graph.names("input") == ["x"]
    assert first.run(x=x)["y"].tolist() == [[2, 3], [4, 5]]
    assert second.run(x=x)["y"].tolist() == 10
    target = tmp_path / "first.msgpack"
    done = CliRunner().invoke(main, ["convert", str(path), str(target), "--constant", f"{name}=16"])
    assert done.exit_code == 0, done.output
    assert dataflow.load(target).run(x=x)["y"].tolist() == [[2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"rat": 16}, "a constant is given for 'rat', which is no input; did you mean 'rate/1'"),
        ({"rate_1": 16.5}, "'rate_1': 16.5 does not fit int64"),
        ({"rate_1": [16]}, r"the input 'rate_1' is of shape \(\), not \(1,\)"),
        ({"x": [[1.0]]}, r"the input 'x' is of shape \(\?, 2\), not \(1, 1\)"),
    ],
)
def test_constants_that_do_not_fit_are_refused(tmp_path, constants, message):
    with pytest.raises(DataflowError, match=message):
        dataflow.load(_chosen(tmp_path / "m.onnx"), constants=constants)
    with pytest.raises(DataflowError, match="says its constants itself"):
        dataflow.load(ROOT / "models" / "xor.toml", constants={"x": 1})


def test_convert_takes_shapes(tmp_path):
    runner = CliRunner()
    path, target = _open_sizes(tmp_path / "open.onnx"), tmp_path / "fixed.msgpack"
    done = runner.invoke(main, ["convert", str(path), str(target), "--shape", "x=n,1,4,2"])
    assert done.exit_code == 0, done.output
    assert dataflow.load(target).graph.node_of("x").shape[1:] == (1, 4, 2)
    assert runner.invoke(main, ["convert", str(path), str(target), "--shape", "x=n,1.5"]).exit_code == 2
    again = runner.invoke(main, ["convert", str(target), str(tmp_path / "b.toml"), "--shape", "x=n,1,4,2"])
    assert again.exit_code == 1
    assert "says its shapes itself" in again.output


def test_a_size_that_is_left_open_and_has_to_be_known_is_asked_for(tmp_path):
    """The message has the command that gives it; with the size, the file is read."""
    node = helper.make_node("GridSample", ["x", "grid"], ["y"])
    shapes = {"x": ["n", 1, 4, "width"], "grid": ["n", 2, 2, 2]}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1, 2, 2])
    proto = helper.make_model(helper.make_graph([node], "g", inputs, [output]))
    onnx.save(proto, tmp_path / "m.onnx")
    command = "dataflow convert m.onnx fixed.msgpack --shape x=SIZE,1,4,SIZE"
    with pytest.raises(DataflowError, match=f"the input 'x' leaves sizes open, which can be given: {command}"):
        dataflow.load(tmp_path / "m.onnx")
    assert dataflow.load(tmp_path / "m.onnx", shapes={"x": ("n", 1, 4, 5)}).outputs == ["y"]


@pytest.mark.parametrize("seed", range(12))
def test_the_places_of_the_largest_entries(seed):
    """Of equal ones onnxruntime takes the first of the window; so does what is saved again."""
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)
    rng = np.random.default_rng(seed)
    axes = 1 + seed % 2
    kernel, strides = (rng.integers(1, 4, axes).tolist() for _ in range(2))
    how = {"kernel_shape": kernel, "strides": strides, "pads": [size // 2 for size in kernel] * 2}
    how |= {"ceil_mode": seed // 2 % 2, "storage_order": seed // 4 % 2}
    x = rng.integers(0, 3, size=(2, 2, *rng.integers(3, 7, axes))).astype(("float32", "float64", "int8")[seed % 3])
    number = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        [helper.make_node("MaxPool", ["x"], ["y", "places"], **how)],
        "g",
        [helper.make_tensor_value_info("x", number, x.shape)],
        [
            helper.make_tensor_value_info("y", number, None),
            helper.make_tensor_value_info("places", TensorProto.INT64, None),
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    model = build_model(proto)
    for one in (proto, build_proto(model)):
        expected = runtime.InferenceSession(one.SerializeToString()).run(None, {"x": x})
        for name, array in zip(("y", "places"), expected, strict=True):
            np.testing.assert_array_equal(model.run(x=x)[name], array)
