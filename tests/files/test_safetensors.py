"""``--parameters weights.safetensors``: parameters by name, written here by the library itself, and bad files."""

import json
import struct

import numpy as np
import pytest
from checkout import ROOT
from click.testing import CliRunner

import dataflow
from dataflow.cli import main
from dataflow.errors import DataflowError, FileFormatError
from dataflow.files.safetensors import take_parameters

safetensors = pytest.importorskip("safetensors.numpy")
XOR = ROOT / "models" / "xor.toml"


def _weights(**changes):
    arrays = {"W1": np.ones((2, 2)), "b1": np.zeros(2), "W2": np.full((1, 2), 2.0), "b2": np.ones(1)}
    return {name: array for name, array in (arrays | changes).items() if array is not None}


def test_every_command_takes_them(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors.save(_weights()))
    done = CliRunner().invoke(main, ["run", str(XOR), "--parameters", str(path), "--json"])
    # relu((0, 1) W1ᵀ) = (1, 1), times (2, 2), plus 1
    assert json.loads(done.stdout)["values"]["yhat"][1] == [5.0]
    out = tmp_path / "xor.msgpack"
    done = CliRunner().invoke(main, ["convert", str(XOR), str(out), "--parameters", str(path)])
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(dataflow.load(out).parameters["W2"], [[2, 2]])


def test_names_with_dots_and_narrow_floats(tmp_path):
    graph = dataflow.Graph("net", "float32")
    graph.parameter("fc_0_weight", (3,), init="zeros")
    graph.parameter("b", (2,), init="zeros")
    model = dataflow.Model(graph)
    ml_dtypes = pytest.importorskip("ml_dtypes")
    arrays = {"fc.0.weight": np.array([1, -2.5, 3e38], ml_dtypes.bfloat16), "b": np.array([0.1, 2], np.float16)}
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors.save(arrays))
    take_parameters(model, path)
    np.testing.assert_array_equal(model.parameters["fc_0_weight"], arrays["fc.0.weight"].astype(np.float32))
    np.testing.assert_array_equal(model.parameters["b"], arrays["b"].astype(np.float32))


def _header(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


BAD = {
    "NaN": (
        safetensors.save(_weights(b1=np.array([0, np.nan]))),
        r"parameter 'b1' is nan at \[1\]; weights are finite",
    ),
    "infinite": (
        safetensors.save(_weights(W2=np.array([[-np.inf, 0]]))),
        r"'W2' is -inf at \[0, 0\]; weights are finite",
    ),
    "empty": (b"", "no safetensors file, or it is cut off"),
    "short": (b"\0\0\0", "no safetensors file, or it is cut off"),
    "long header": (struct.pack("<Q", 2**62) + b"{}", "no safetensors file, or it is cut off"),
    "no JSON": (_header(b"{]"), "damaged"),
    "lies": (_header({"W1": {"dtype": "F64", "shape": [2, 2], "data_offsets": [0, 2**40]}}), "damaged"),
    "overflow": (_header({"W1": {"dtype": "F64", "shape": [2**40, 2**40], "data_offsets": [0, 0]}}), "damaged"),
    "deep": (_header(b'{"a":' + b"[" * 10000 + b"]" * 10000 + b"}"), "damaged"),
    "missing": (safetensors.save(_weights(W2=None, b2=None)), "'W2', 'b2': no tensor of the file has this name"),
    "unknown": (safetensors.save(_weights(W2=None, w2_=np.ones((1, 2)))), "'w2_': no .*did you mean 'W2'"),
    "shape": (safetensors.save(_weights(W1=np.ones((2, 3)))), r"'W1' has the shape \(2, 3\), not \(2, 2\)"),
    "whole numbers": (safetensors.save(_weights(b1=np.zeros(2, np.int64))), "'b1' is stored as I64; F64, F32"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_files_are_one_line_and_change_nothing(fault, tmp_path):
    data, message = BAD[fault]
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    model = dataflow.load(XOR)
    before = {name: array.copy() for name, array in model.parameters.items()}
    with pytest.raises(FileFormatError, match=message) as caught:
        take_parameters(model, path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert all(np.array_equal(model.parameters[name], array) for name, array in before.items())


def test_tensors_of_no_parameter_are_left_out_with_a_warning(tmp_path):
    """What is shared often has more than a model needs, such as the head of another task."""
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors.save(_weights(head=np.ones(3), places=np.arange(4))))
    model = dataflow.load(XOR)
    with pytest.warns(dataflow.DataflowWarning, match="w.safetensors: 'head', 'places' left out, as no parameter"):
        take_parameters(model, path)
    np.testing.assert_array_equal(model.parameters["W2"], [[2, 2]])


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataflowError, match="there is no such file"):
        take_parameters(dataflow.load(XOR), tmp_path / "w.safetensors")
