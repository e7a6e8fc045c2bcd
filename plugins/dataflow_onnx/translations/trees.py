"""Ensembles of decision trees: which leaf a row reaches is the op ``tree_leaves``, what stands there a parameter."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from dataflow import ops
from dataflow.errors import FileFormatError
from dataflow_onnx.call import Call, DeclinedError, translates
from dataflow_onnx.translations.classical import transformed
from dataflow_onnx.translations.forest import MODES, Forest


def _leaves(call: Call, x: Any, forest: Forest, roots: list[int]) -> Any:
    """The leaf that each row reaches in each tree."""
    features = x.shape[1]
    if isinstance(features, int) and not all(0 <= feature < features for feature in forest.feature):
        raise FileFormatError(f"a node of a tree asks for feature {max(forest.feature)} of {features}")
    nodes = [np.array(numbers, np.int64) for numbers in (roots, forest.feature, forest.below, forest.above)]
    starts, feature, below, above = (call.constant(numbers, "int64") for numbers in nodes)
    threshold = call.constant(forest.threshold, x.dtype)
    missing = call.constant(forest.missing, "bool") if any(forest.missing) else None
    return ops.tree_leaves(x, starts, feature, threshold, below, above, missing, depth=forest.depth(roots))


def _rows(call: Call) -> Any:
    """The first input: (rows, features), float64 as it is and all else in float32."""
    x = call.value(0)
    x = ops.expand_dims(x, axis=0) if x.ndim == 1 else x
    return x if x.dtype.name == "float64" else ops.cast(x, dtype="float32")


def _numbers(call: Call, name: str) -> np.ndarray:
    """Numbers in an attribute, or in its twin for tensors."""
    tensor = call.attribute(f"{name}_as_tensor")
    return np.ravel(np.array(call.attribute(name, ()), np.float32) if tensor is None else tensor)


# -------------------------------------------------------------------------------- trees by their nodes' numbers


def _by_numbers(call: Call, x: Any, prefix: str, results: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """The leaves reached, the weight of each leaf for each result, and which of these it has at all."""
    what = ("treeids", "nodeids", "modes", "truenodeids", "falsenodeids", "featureids")
    trees, numbers, modes, truths, lies, features = (call.attribute(f"nodes_{name}", ()) for name in what)
    keys, values = list(zip(trees, numbers, strict=False)), _numbers(call, "nodes_values")
    tracks = call.attribute("nodes_missing_value_tracks_true") or (0,) * len(keys)
    if len({*map(len, (trees, numbers, modes, values, truths, lies, features, tracks))}) > 1 or not keys:
        raise FileFormatError(f"{call.op} has nodes whose attributes are of several lengths, or none")
    if len(set(keys)) < len(keys):
        raise FileFormatError(f"{call.op} has two nodes of one number in a tree")
    leaves = [key for key, mode in zip(keys, modes, strict=True) if mode == "LEAF"]
    inner = [i for i, mode in enumerate(modes) if mode != "LEAF"]
    places = {key: place for place, key in enumerate([*leaves, *(keys[i] for i in inner)])}
    forest = Forest(x.dtype, len(leaves))
    forest.add(len(inner))
    led_to: Counter[int] = Counter()
    following: dict[int, list[int]] = {}
    for i in inner:
        tree = keys[i][0]
        after = [places.get((tree, number), -1) for number in (truths[i], lies[i])]
        if -1 in after:
            raise FileFormatError(f"{call.op}: node {keys[i][1]} of tree {tree} leads to a node that is not there")
        led_to.update(set(after))
        following[places[keys[i]]] = list(dict.fromkeys(after))
        forest.set(places[keys[i]], modes[i], features[i], [values[i]], *after, bool(tracks[i]))
    roots = [place for key, place in sorted(places.items(), key=lambda entry: entry[0][0]) if not led_to[place]]
    reached = list(roots)
    for place in reached:  # which grows on the way; no node is reached twice, as each is led to by one
        reached += following.get(place, ()) if max(led_to.values(), default=1) == 1 else ()
    if len(roots) != len({tree for tree, _ in keys}) or len(reached) != len(keys):
        raise FileFormatError(f"{call.op} has a tree that is none: each node but one is led to by one other")
    weights, has = _table(call, len(leaves), results, x.dtype)
    entries = [call.attribute(f"{prefix}_{what}", ()) for what in ("treeids", "nodeids", "ids")]
    entries.append(_numbers(call, f"{prefix}_weights"))
    if len({*map(len, entries)}) > 1:
        raise FileFormatError(f"{call.op} has weights whose attributes are of several lengths")
    for tree, number, result, weight in zip(*entries, strict=True):
        place = places.get((tree, number), len(leaves))
        if place >= len(leaves) or not 0 <= result < results:
            raise FileFormatError(f"{call.op} has a weight of result {result} in node {number} of tree {tree}")
        weights[place, result] += weight
        has[place, result] = True
    return _leaves(call, x, forest, roots), weights, has


def _table(call: Call, leaves: int, results: int, dtype: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Room for the weight of each leaf for each result, and for which of these there are."""
    if results < 1:
        raise FileFormatError(f"{call.op} has {results} results; 1 or more are expected")
    call.check_memory(16 * leaves * results)
    return np.zeros((leaves, results), dtype), np.zeros((leaves, results), bool)


def _base(call: Call, dtype: np.dtype[Any], *sizes: int) -> np.ndarray | None:
    """The base values, so many, if there are any."""
    base = _numbers(call, "base_values").astype(dtype)
    if base.size and base.size not in sizes:
        raise FileFormatError(f"{call.op} has {base.size} base values; {' or '.join(map(str, sizes))} are expected")
    return base if base.size else None


_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
"""By their numbers, as the op TreeEnsemble has them."""


def _aggregated(call: Call, leaves: Any, weights: np.ndarray, has: np.ndarray, how: str) -> Any:
    """Of the weights in the leaves reached the sum over all trees, or another number."""
    if how in ("SUM", "AVERAGE"):
        total = ops.sum(ops.gather(call.parameter("weights", weights), leaves), axis=1)
        return total / leaves.shape[1] if how == "AVERAGE" else total
    if how not in _AGGREGATES:
        raise FileFormatError(f"{call.op} aggregates by '{how}'; {', '.join(_AGGREGATES)} are known")
    never = np.inf if how == "MIN" else -np.inf
    table = call.constant(np.where(has, weights, never), weights.dtype)
    best = (ops.min if how == "MIN" else ops.max)(ops.gather(table, leaves), axis=1)
    return ops.where(best == never, 0, best)


def _spoken(call: Call, leaves: Any, has: np.ndarray) -> Any:
    """Of which results the leaves reached have weights at all; onnxruntime leaves the others at 0."""
    return ops.max(ops.gather(call.constant(has, "int64"), leaves), axis=1) > 0


@translates("TreeEnsembleRegressor", until=3)
def _tree_ensemble_regressor(call: Call) -> Any:
    x = _rows(call)
    targets = call.attribute("n_targets", 1)
    leaves, weights, has = _by_numbers(call, x, "target", targets)
    total = _aggregated(call, leaves, weights, has, call.attribute("aggregate_function", "SUM"))
    base = _base(call, x.dtype, targets)
    if base is not None:
        shifted = total + call.parameter("base_values", base)
        total = ops.where(_spoken(call, leaves, has), shifted, total) if weights.shape[1] > 1 else shifted
    return ops.cast(transformed(call, total), dtype="float32")


@translates("TreeEnsembleClassifier", until=3)
def _tree_ensemble_classifier(call: Call) -> Any:
    """The class of each row, and the scores of all classes."""
    labels = call.classes("classlabels_int64s", "classlabels_strings")
    count = 0 if labels is None else labels.shape[0]
    if labels is None or count < 2:
        raise DeclinedError("TreeEnsembleClassifier with less than two classes is not supported")
    x = _rows(call)
    leaves, weights, has = _by_numbers(call, x, "class", count)
    if count == 2:
        chosen, scores = _of_two_classes(call, leaves, weights, has, _base(call, x.dtype, 1, 2))
    else:
        base = _base(call, x.dtype, count)
        total = _aggregated(call, leaves, weights, has, "SUM")
        total = total if base is None else total + call.parameter("base_values", base)
        best = total
        if base is None and (weights < 0).any():  # a class that no leaf speaks of is not chosen
            best = ops.where(_spoken(call, leaves, has), total, -np.inf)
        chosen, scores = ops.argmax(best, axis=1), transformed(call, total)
    return ops.gather(labels, chosen), ops.cast(scores, dtype="float32")


def _of_two_classes(
    call: Call, leaves: Any, weights: np.ndarray, has: np.ndarray, base: np.ndarray | None
) -> tuple[Any, Any]:
    """The class that is chosen, 0 or 1, and the scores of both, as onnxruntime has them, for the specification says
    little. What no leaf speaks of has no score, which counts as 0, whatever the base values. Two base values are for a
    first score without a second; where there is a second, it becomes the first and the second base value, and the first
    its negative. A first score that stands alone is the second class's."""
    scored = has.any(axis=0)
    alone, above_half = scored.sum() == 1, bool((weights >= 0).all())
    total = _aggregated(call, leaves, *((weights, has) if scored[1] else (weights[:, :1], has[:, :1])), "SUM")
    first_is, second_is = (_is_spoken(call, leaves, has[:, i]) for i in range(2))
    first = ops.index(total, key=":, :1") if scored[1] else total
    second = ops.index(total, key=":, 1:") if scored[1] else None
    if base is not None:
        values = call.parameter("base_values", base)
        shift = values if base.size == 1 else ops.index(values, key="0")
        replaced = first + ops.index(values, key="1") if base.size == 2 and second is not None else None
        first = first + shift
        if replaced is not None:
            first, second = _chosen(second_is, -replaced, first), replaced
    first = _chosen(first_is, first, first * 0)
    second = first * 0 if second is None else _chosen(second_is, second, second * 0)
    decides = _chosen(second_is, second, first)
    limit = 0.5 if alone and above_half else 0
    chosen = ops.reshape(ops.cast(decides > limit, dtype="int64"), shape=(-1,))
    name = call.attribute("post_transform", "NONE")
    both = transformed(call, ops.concatenate(first, second, axis=1))
    if second_is is True or (base is not None and base.size == 2):
        return chosen, both
    if name == "PROBIT" or (base is not None and not alone):
        raise DeclinedError(
            f"{call.op} with one score for two classes and {'PROBIT' if name == 'PROBIT' else 'a base value'} is not "
            "supported; programs leave the other score open"
        )
    if name == "LOGISTIC":
        pair = ops.concatenate(ops.sigmoid(-first), ops.sigmoid(first), axis=1)
    else:
        pair = ops.concatenate(1 - first if limit else -first, first, axis=1)
    return chosen, _chosen(second_is, both, pair)


def _is_spoken(call: Call, leaves: Any, has: np.ndarray) -> Any:
    """Whether a leaf that is reached speaks of a result: for all rows, for none, or a column."""
    return bool(has[0]) if has.all() or not has.any() else _spoken(call, leaves, has[:, None])


def _chosen(condition: Any, yes: Any, no: Any) -> Any:
    return (yes if condition else no) if isinstance(condition, bool) else ops.where(condition, yes, no)


# ------------------------------------------------------------------------------------- trees by nodes' places


@translates("TreeEnsemble", since=5, until=5)
def _tree_ensemble(call: Call) -> Any:
    x = _rows(call)
    names = ("splits", "featureids", "modes", "truenodeids", "falsenodeids", "trueleafs", "falseleafs")
    splits, features, modes, truths, lies, true_leaves, false_leaves = (
        np.ravel(call.attribute(f"nodes_{name}", ())).tolist() for name in names
    )
    count, roots = len(splits), call.attribute("tree_roots", ())
    targets = np.ravel(call.attribute("leaf_targetids", ())).astype(np.int64)
    leaf_weights = np.ravel(call.attribute("leaf_weights", ()))
    tracks = call.attribute("nodes_missing_value_tracks_true") or (0,) * count
    lengths = {count, *map(len, (features, modes, truths, lies, true_leaves, false_leaves, tracks))}
    results = call.attribute("n_targets", 1)
    if len(lengths) > 1 or len(targets) != len(leaf_weights) or not all(0 <= root < count for root in roots):
        raise FileFormatError("TreeEnsemble has nodes or leaves whose attributes are of several lengths")
    if not all(0 <= target < results for target in targets):
        raise FileFormatError(f"TreeEnsemble has a leaf for a result that is none of {results}")
    forest = Forest(x.dtype, len(targets))
    forest.add(count)
    members = _members(call, modes.count(MODES.index("BRANCH_MEMBER")))
    for i in range(count):
        after = []
        for number, is_leaf in ((truths[i], true_leaves[i]), (lies[i], false_leaves[i])):
            if not 0 <= number < (len(targets) if is_leaf else count):
                raise FileFormatError(f"TreeEnsemble: node {i} leads to a node that is not there")
            after.append(number if is_leaf else len(targets) + number)
        mode = MODES[modes[i]] if 0 <= modes[i] < len(MODES) else str(modes[i])
        values = members.pop(0) if mode == "BRANCH_MEMBER" else [splits[i]]
        forest.set(len(targets) + i, mode, features[i], values, after[0], after[1], bool(tracks[i]))
    weights, has = _table(call, len(targets), results, x.dtype)
    weights[np.arange(len(targets)), targets] = leaf_weights
    has[np.arange(len(targets)), targets] = True
    leaves = _leaves(call, x, forest, [len(targets) + root for root in roots])
    how = call.attribute("aggregate_function", 1)
    total = _aggregated(call, leaves, weights, has, _AGGREGATES[how] if 0 <= how < len(_AGGREGATES) else str(how))
    transform = call.attribute("post_transform", 0)
    if not 0 <= transform < len(_TRANSFORMS):
        raise FileFormatError(f"TreeEnsemble has the transform {transform}; 0 to {len(_TRANSFORMS) - 1} are known")
    if _TRANSFORMS[transform] in ("SOFTMAX", "LOGISTIC"):  # onnxruntime takes the number of one for the other
        raise DeclinedError(f"TreeEnsemble with the transform {transform} is not supported; programs differ in it")
    return ops.cast(transformed(call, total, _TRANSFORMS[transform]), dtype=call.value(0).dtype.name)


def _members(call: Call, count: int) -> list[list[float]]:
    """The members of each set that a node asks for; NaN ends each."""
    sets: list[list[float]] = [[]]
    for value in np.ravel(call.attribute("membership_values", ())).tolist():
        if np.isnan(value):
            sets.append([])
        else:
            sets[-1].append(value)
    if len(sets) - 1 != count or sets.pop() or not all(sets):
        raise FileFormatError(f"TreeEnsemble has {count} nodes that ask for a set, and other sets for them")
    return sets
