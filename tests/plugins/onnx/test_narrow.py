"""Numbers of 16, 8, 4 and 2 bits against ml_dtypes, whose numbers they are; saved again, against other programs."""

import numpy as np
import pytest

import dataflow

onnx, ml_dtypes = pytest.importorskip("onnx"), pytest.importorskip("ml_dtypes")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from dataflow_onnx.backend import DataflowBackend  # noqa: E402
from dataflow_onnx.load import build_model  # noqa: E402
from dataflow_onnx.narrow import NARROW, NarrowFloat, narrowed  # noqa: E402
from dataflow_onnx.saving.save import build_proto  # noqa: E402
from dataflow_onnx.tensors import array_of  # noqa: E402

FLOATS = [number for number, kind in NARROW.items() if isinstance(kind, NarrowFloat) and kind.mantissa]
NAMES = {number: TensorProto.DataType.Name(number) for number in NARROW}


def numbers(number):
    """All that a type has, those between two of them, and others of every size."""
    dtype = helper.tensor_dtype_to_np_dtype(number)
    if number == TensorProto.BFLOAT16:
        own = np.arange(2**16, dtype=np.uint16).view(dtype)
    else:
        own = np.arange(256 if "8" in NAMES[number] else 16, dtype=np.uint8).view(dtype)
    own = np.sort(own.astype(np.float32)[np.isfinite(own.astype(np.float32))])
    between = (own[1:].astype(np.float64) + own[:-1]) / 2
    scales = np.random.default_rng(0).normal(size=2000) * np.logspace(-30, 30, 2000)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e38, -1e38]
    with np.errstate(over="ignore"):
        return np.concatenate([own, between, np.nextafter(between, 0), scales, special]).astype(np.float32)


@pytest.mark.parametrize("number", FLOATS, ids=NAMES.get)
@pytest.mark.parametrize("saturate", [True, False])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_floats_are_rounded(number, saturate):
    """float4 has nothing but saturation, and bfloat16 none."""
    x, dtype = numbers(number), helper.tensor_dtype_to_np_dtype(number)
    saturates = saturate and number not in (TensorProto.BFLOAT16, TensorProto.FLOAT4E2M1)
    expected = numpy_helper.saturate_cast(x, dtype) if saturates else x.astype(dtype)
    np.testing.assert_array_equal(narrowed(x, number, saturate=saturate), expected.astype(np.float32))


@pytest.mark.parametrize("number", NARROW, ids=NAMES.get)
def test_tensors_are_read_packed(number):
    dtype = helper.tensor_dtype_to_np_dtype(number)
    array = np.array([0.5, 1, 0, 1, 1, 0.25, 1], np.float32).astype(dtype)
    tensor = numpy_helper.from_array(array, "x")
    assert tensor.HasField("raw_data")
    found = array_of(tensor, None)
    assert found.dtype.name == ("float32" if isinstance(NARROW[number], NarrowFloat) else found.dtype.name)
    np.testing.assert_array_equal(found, array.astype(found.dtype))
    tensor.raw_data += b"\0"
    with pytest.raises(dataflow.DataflowError, match=r"takes \d+ bytes, the file has \d+"):
        array_of(tensor, None)


def test_what_is_rounded_is_differentiated_as_if_it_were_not():
    """But for what is cut off at the largest number, which stays the same."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["low"], to=TensorProto.FLOAT8E4M3FN),
            helper.make_node("Cast", ["low"], ["high"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["high", "high"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
    )
    model = build_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]))
    x = np.array([1.03, -2.6, 300, 1000], np.float32)
    low = x.clip(-448, 448).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    np.testing.assert_array_equal(model.run(x=x)["y"], low * low)
    np.testing.assert_array_equal(model.gradients(of="y", wrt=["x"], x=x)["x"], [*2 * low[:3], 0])


def cast_to(number, **attributes):
    """A model that casts float32 to a narrow type, and back, which shows its numbers."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["low"], to=number, **attributes),
            helper.make_node("Cast", ["low"], ["y"], to=TensorProto.FLOAT),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=13)


CASTS = [
    *((number, {}) for number in NARROW),
    (TensorProto.FLOAT16, {}),
    *((number, {"saturate": 0}) for number in FLOATS if "8" in NAMES[number]),
    *((TensorProto.FLOAT8E8M0, {"round_mode": mode}) for mode in ("up", "down", "nearest")),
]


@pytest.mark.parametrize(("number", "attributes"), CASTS, ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_cast_is_saved_as_a_cast(number, attributes):
    """What is saved gives our own numbers, which the file before gives, too, in onnx's evaluator and onnxruntime,
    which has no kernel for float4."""
    if number == TensorProto.FLOAT8E8M0:
        x = np.abs(np.random.default_rng(0).normal(size=500) * np.logspace(-30, 30, 500)).astype(np.float32)
    elif isinstance(NARROW.get(number), NarrowFloat):
        x = numbers(number)
    else:
        x = (
            np.random.default_rng(0)
            .uniform(-1.9 if "U" not in NAMES.get(number, "") else 0, 1.9, 500)
            .astype(np.float32)
        )
    given = cast_to(number, **attributes)
    (ours,) = DataflowBackend.prepare(given).run([x])
    saved = build_proto(build_model(given))
    casts = {entry.i for node in saved.graph.node for entry in node.attribute if entry.name == "to"}
    assert number in casts or number not in FLOATS
    for proto in (given, saved):
        (theirs,) = ReferenceEvaluator(proto).run(None, {"x": x})
        np.testing.assert_array_equal(theirs, ours)
    runtime = pytest.importorskip("onnxruntime")
    if number != TensorProto.FLOAT4E2M1:
        (theirs,) = runtime.InferenceSession(saved.SerializeToString()).run(None, {"x": x})
        beyond = attributes.get("saturate") == 0 and number == TensorProto.FLOAT8E4M3FN
        same = np.abs(x) <= 448 if beyond else x == x  # a little more is 448 there, against onnx
        np.testing.assert_array_equal(theirs[same], ours[same])


@pytest.mark.parametrize("backend", ["numpy", "llvm", "jax"])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("bfloat16", {"mantissa": 7, "least": -126, "largest": 2.0**127 * (2 - 2.0**-7), "beyond": "infinite"}),
        ("float8_e4m3fn", {"mantissa": 3, "least": -6, "largest": 448.0, "beyond": "nan"}),
        ("float8_e5m2", {"mantissa": 2, "least": -14, "largest": 57344.0, "beyond": "infinite"}),
    ],
)
def test_rounding_keeps_signs_of_zero_and_numbers_near_the_smallest_normal_ones(name, how, backend):
    """As ml_dtypes rounds them, to the bit; JAX makes 0 of what is below the normal numbers of float32."""
    pytest.importorskip({"numpy": "numpy", "llvm": "llvmlite", "jax": "jax"}[backend])
    narrow = getattr(pytest.importorskip("ml_dtypes"), name)
    small = np.geomspace(2.0**-126, 2.0**-10, 999).astype(np.float32)
    given = np.concatenate([small, [0.0, 1.3, 60000.0, 1e38]]).astype(np.float32)
    given = np.concatenate([given, -given])
    graph = dataflow.Graph("g", dtype="float32")
    graph.node("y", dataflow.ops.round_to(graph.input("x", ("n",)), **how))
    found = dataflow.Model(graph, ["y"]).compile(values=["y"], backend=backend)(x=given)[0]["y"]
    with np.errstate(over="ignore"):
        expected = given.astype(narrow).astype(np.float32)
    np.testing.assert_array_equal(found, expected)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found)[known], np.signbit(expected)[known])


@pytest.mark.parametrize("change", [{"mantissa": -1}, {"mantissa": 53}, {"least": 5000}, {"largest": -1.0}], ids=str)
def test_no_float_is_rounded_to_what_no_float_is(change):
    x = dataflow.Graph("g").input("x", ("n",))
    with pytest.raises(dataflow.DataflowError, match="the mantissa is from 0 to 52"):
        dataflow.ops.round_to(x, **{"mantissa": 3, "least": -6, "largest": 448.0, **change})
