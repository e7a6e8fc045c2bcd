"""Texts at the edges of an ONNX graph: inside they are the numbers that stand for them."""

from __future__ import annotations

from collections.abc import Sequence

from dataflow_onnx.saving.emitter import Emitter
from dataflow_onnx.supported import ML

ML_OPSET = 3
"""The opset of the classical ops that is written."""


def number_texts(out: Emitter, name: str, texts: Sequence[str], dtype: str) -> str:
    """An input of texts as numbers. A text that is not known is the number behind the last."""
    out.caller = name
    numbers = list(range(len(texts)))
    known = {"keys_strings": list(texts), "values_int64s": numbers, "default_int64": len(texts)}
    value = out.add("LabelEncoder", name, domain=ML, **known)
    return value if dtype == "int64" else out.cast(value, dtype)


def name_numbers(out: Emitter, value: str, texts: Sequence[str], dtype: str) -> str:
    """Numbers as the texts that they stand for."""
    whole = value if dtype == "int64" else out.cast(value, "int64")
    return out.add("LabelEncoder", whole, domain=ML, keys_int64s=list(range(len(texts))), values_strings=list(texts))
