"""Numbers of 16, 8, 4 and 2 bits against ml_dtypes, whose numbers they are."""

import numpy as np
import pytest

import dataflow

onnx, ml_dtypes = pytest.importorskip("onnx"), pytest.importorskip("ml_dtypes")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from dataflow_onnx.load import build_model  # noqa: E402
from dataflow_onnx.narrow import NARROW, NarrowFloat, narrowed  # noqa: E402
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
