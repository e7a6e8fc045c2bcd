"""Counts of n-grams."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow_onnx.call import Call, translates


@translates("TfIdfVectorizer", until=9)
def _counts(call: Call) -> Any:
    """How often each n-gram of a list occurs in each row, its entries so many apart as is allowed: each distance
    counts, but for single entries."""
    x, mode = call.value(0), call.attribute("mode")
    x = ops.expand_dims(x, axis=0) if call.value(0).ndim == 1 else x
    if not isinstance(x.shape[1], int):
        raise FileFormatError("TfIdfVectorizer needs rows whose length is a number")
    texts = call.attribute("pool_strings")
    pool = call.places(texts) if texts else np.array(call.attribute("pool_int64s", ()), np.int64)
    ends = [*call.attribute("ngram_counts"), len(pool)]
    indices = np.array(call.attribute("ngram_indexes"), np.int64)
    lengths = range(call.attribute("min_gram_length"), call.attribute("max_gram_length") + 1)
    width, first, total = int(indices.max(initial=-1)) + 1, 0, None
    call.check_memory(4 * width * len(indices))
    for length in range(1, len(ends)):
        grams = pool[ends[length - 1] : ends[length]]
        if len(grams) % length or ends[length] < ends[length - 1]:
            raise FileFormatError(f"TfIdfVectorizer has {len(grams)} words for n-grams of {length}")
        grams = grams.reshape(-1, length)
        places, first = indices[first : first + len(grams)], first + len(grams)
        if len(places) < len(grams) or (places < 0).any():
            raise FileFormatError(f"TfIdfVectorizer has {len(indices)} places for its n-grams, too few or below 0")
        if length not in lengths or not len(grams):
            continue
        moved = np.zeros((len(grams), width), np.float32)
        moved[np.arange(len(grams)), places] = 1
        for apart in range(1, (2 if length == 1 else call.attribute("max_skip_count") + 2)):
            found = _occurrences(call, x, grams, apart)
            if found is not None:
                counted = ops.cast(found, dtype="float32") @ call.constant(moved, "float32")
                total = counted if total is None else total + counted
    if total is None:
        total = ops.cast(ops.sum(0 * x, axis=1, keepdims=True), dtype="float32") + np.zeros(width, np.float32)
    if mode != "TF":
        total = ops.minimum(total, 1.0) if mode == "IDF" else total
        weights = call.attribute("weights") or (1.0,) * width
        if len(weights) < width:
            raise FileFormatError(f"TfIdfVectorizer has {len(weights)} weights for {width} results")
        total = total * call.constant(weights[:width], "float32")
    return ops.reshape(total, shape=(width,)) if call.value(0).ndim == 1 else total


def _occurrences(call: Call, x: Any, grams: np.ndarray, apart: int) -> Any:
    """How often each n-gram stands in each row of x, its entries ``apart``; nothing where a row is too short."""
    count = x.shape[1] - (grams.shape[1] - 1) * apart
    if count < 1:
        return None
    same = None
    for i, entries in enumerate(grams.T):
        window = ops.expand_dims(ops.index(x, key=f":, {i * apart}:{i * apart + count}"), axis=2)
        equal = window == call.constant(entries, x.dtype)
        same = equal if same is None else ops.logical_and(same, equal)
    return ops.sum(ops.cast(same, dtype="int64"), axis=1)
