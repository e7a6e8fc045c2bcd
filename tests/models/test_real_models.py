"""Models that others made and ship in wheels: the results of onnxruntime, and gradients that finite
differences confirm.

Nothing is installed for it: the files lie in the folder that DATAFLOW_REAL_MODELS names, where tools/fetch_models.py
puts them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from checkout import ROOT

import dataflow

pytest.importorskip("onnx")
from dataflow_onnx.saving.save import build_proto

FOLDER = os.environ.get("DATAFLOW_REAL_MODELS")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FOLDER is None, reason="DATAFLOW_REAL_MODELS names no folder"),
    pytest.mark.filterwarnings("ignore::dataflow.DataflowWarning"),
]

IMAGE = {"x": (1, 3, 96, 320)}
LINE = {"x": (1, 3, 48, 160)}
VOICE = {"input": (1, 576), "state": (2, 1, 128)}
RAPID, SILERO = "rapidocr_onnxruntime/models", "silero_vad/data"
MODELS: dict[str, dict[str, tuple[int, ...]]] = {
    "basic_pitch/saved_models/icassp_2022/nmp.onnx": {"serving_default_input_2:0": (1, 43844, 1)},
    "ddddocr/common.onnx": {"input1": (1, 1, 64, 160)},
    "ddddocr/common_det.onnx": {"images": (1, 3, 416, 416)},
    "magika/models/standard_v3_3/model.onnx": {"bytes": (2, 2048)},
    "rapidocr/models/PP-OCRv6_det_small.onnx": IMAGE,
    "rapidocr/models/PP-OCRv6_rec_small.onnx": LINE,
    f"{RAPID}/ch_PP-OCRv4_det_infer.onnx": IMAGE,
    f"{RAPID}/ch_PP-OCRv4_rec_infer.onnx": LINE,
    f"{RAPID}/ch_ppocr_mobile_v2.0_cls_infer.onnx": {"x": (1, 3, 48, 192)},
    f"{SILERO}/silero_vad.onnx": VOICE,
    f"{SILERO}/silero_vad.onnx, 8 kHz": {**VOICE, "input": (1, 288)},
    f"{SILERO}/silero_vad_op18_ifless.onnx": VOICE,
    f"{SILERO}/silero_vad_16k_op15.onnx": VOICE,
    f"{SILERO}/silero_vad_16k_sequence.onnx": {"input": (4, 576), "h": (1, 1, 128), "c": (1, 1, 128)},
    f"{SILERO}/silero_vad_half.onnx": VOICE,
    f"{SILERO}/silero_vad_openvino_16k.onnx": VOICE,
}
"""The shapes of the inputs of each; sizes that its file leaves open are chosen here."""
CONSTANTS = {f"{SILERO}/silero_vad.onnx": {"sr": 16000}, f"{SILERO}/silero_vad.onnx, 8 kHz": {"sr": 8000}}
"""Inputs that choose a branch."""


def load(name: str) -> dataflow.Model:
    path = path_of(name)
    if not path.exists():
        pytest.skip(f"{name} is not there")
    return dataflow.load(path, shapes=MODELS[name], constants=CONSTANTS.get(name))


def path_of(name: str) -> Path:
    return Path(FOLDER or "") / name.partition(",")[0]


def text(height: int, width: int) -> np.ndarray:
    """The word "gradient", black on white: numbers from -1 to 1."""
    drawing = pytest.importorskip("PIL.ImageDraw")
    image = drawing.Image.new("L", (width, height), 255)
    font = pytest.importorskip("PIL.ImageFont").load_default(min(height * 0.6, width / 6))
    drawing.Draw(image).text((8, height // 6), "gradient", fill=0, font=font)
    return np.asarray(image) / 127.5 - 1


def fed(model: dataflow.Model) -> dict[str, np.ndarray]:
    """An image of a word, sound and bytes by chance, a state of zeros.

    The sound is noise, as these models take square roots and logarithms of how loud each frequency is: between the
    tones of a chord that is made of sines, nothing but rounding is heard, and float32 decides little there: results
    differ by 1e-3.
    """
    chance, feed = np.random.default_rng(0), {}
    for name, node in model.graph.node_items():
        if node.kind != "input":
            continue
        shape = tuple(node.shape)
        if node.dtype.kind in "iu":
            feed[name] = np.array(16000) if shape == () else chance.integers(0, 256, size=shape)
        elif name in ("state", "h", "c"):
            feed[name] = np.zeros(shape)
        elif len(shape) == 4:
            feed[name] = np.broadcast_to(text(*shape[2:]), shape)
        else:
            feed[name] = chance.normal(scale=0.1, size=shape)
        feed[name] = feed[name].astype(node.dtype)
    return feed


@pytest.mark.parametrize("name", MODELS)
def test_the_outputs_are_those_of_onnxruntime(name: str) -> None:
    """Here, and there after the model was saved as ONNX, to 1e-4 of the largest number. Where an output is nearly 0
    everywhere, onnxruntime's fast sigmoid is not exact to more than 1e-6."""
    runtime = pytest.importorskip("onnxruntime")
    model = load(name)
    feed = fed(model)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(str(path_of(name)), options, providers=["CPUExecutionProvider"])
    originals = model.graph.graph["onnx_names"]
    given = {originals.get(key, key): array for key, array in feed.items()}
    given |= {key: np.array(value) for key, value in CONSTANTS.get(name, {}).items()}
    expected = session.run(None, given)
    values, _ = model.compile(values=model.outputs)(**feed)
    saved = runtime.InferenceSession(build_proto(model).SerializeToString(), options, ["CPUExecutionProvider"])
    assert len(expected) == len(model.outputs)
    again = saved.run(None, {entry.name: feed[entry.name] for entry in saved.get_inputs()})
    for output, array, back in zip(model.outputs, expected, again, strict=True):
        for found in (values[output], back):
            assert found.shape == array.shape
            np.testing.assert_allclose(found, array, rtol=0, atol=1e-4 * np.abs(array).max() + 1e-6)


VOICED = f"{SILERO}/silero_vad_16k_op15.onnx"
LETTERS = "ddddocr/common.onnx"


@pytest.mark.parametrize(("name", "wrt"), [(VOICED, "input"), (LETTERS, "input1")])
def test_the_gradient_of_the_input_is_that_of_finite_differences(name: str, wrt: str) -> None:
    """Along the gradient's own direction, in float32: central differences."""
    model = load(name)
    feed = fed(model)
    output = model.outputs[0]
    step = model.compile(values=[output], gradients=[wrt], of=output)
    gradient = np.asarray(step(**feed)[1][wrt], float)
    length, size = np.linalg.norm(gradient), 0.001

    def result(sign: int) -> float:
        moved = feed[wrt] + (sign * size / length * gradient).astype(np.float32)
        return float(step(**{**feed, wrt: moved})[0][output].sum(dtype=float))

    assert (result(1) - result(-1)) / (2 * size) == pytest.approx(length, rel=5e-3)


def test_the_page_s_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that reads lines of text reads this one, and its picture is drawn."""
    for module in ("PIL", "matplotlib"):
        pytest.importorskip(module)
    if not (Path(FOLDER or "") / RAPID).exists():
        pytest.skip(f"{RAPID} is not there")
    (tmp_path / "rapidocr_onnxruntime").symlink_to(Path(FOLDER or "").absolute() / "rapidocr_onnxruntime")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "real_models.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    exec(program, {})  # noqa: S102 (the page's own code)
    assert capsys.readouterr().out.startswith("gradient\n")
    assert (tmp_path / "saliency.png").stat().st_size > 5000
