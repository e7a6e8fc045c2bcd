"""Layers against PyTorch's, values and gradients, over random shapes and attributes, where torch is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dataflow.autodiff import pullback
from dataflow.registry import registry

Draw = Callable[[np.random.Generator, Any], tuple[str, list[Any], dict[str, Any], Callable[..., Any]]]
"""Draws a call: the op, arrays, attributes, and the same in torch as a function of the arrays as tensors."""
TIMES = 12
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}


def whole(rng: np.random.Generator, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def numbers(rng: np.random.Generator, count: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(whole(rng, low, high) for _ in range(count))


def drawn_windows(rng: np.random.Generator, axes: int) -> tuple[tuple[int, ...], dict[str, Any]]:
    """A kernel, and the attributes that place it."""
    kernel = numbers(rng, axes, 1, 3)
    return kernel, {
        "strides": numbers(rng, axes, 1, 3),
        "padding": tuple(whole(rng, 0, size // 2) for size in kernel),
        "dilation": numbers(rng, axes, 1, 2),
    }


def conv(rng, torch):
    axes, groups = whole(rng, 1, 3), whole(rng, 1, 2)
    kernel, given = drawn_windows(rng, axes)
    x = rng.normal(size=(whole(rng, 1, 3), groups * whole(rng, 1, 2), *numbers(rng, axes, 5, 7)))
    W = rng.normal(size=(groups * whole(rng, 1, 3), x.shape[1] // groups, *kernel))
    theirs = getattr(torch.nn.functional, f"conv{axes}d")
    arguments = (given["strides"], given["padding"], given["dilation"], groups)
    return "conv", [x, W, rng.normal(size=W.shape[0])], {**given, "groups": groups}, lambda *a: theirs(*a, *arguments)


def conv_same(rng, torch):
    axes = whole(rng, 1, 3)
    x, W = rng.normal(size=(2, 2, *numbers(rng, axes, 4, 6))), rng.normal(size=(3, 2, *numbers(rng, axes, 1, 4)))
    apart = numbers(rng, axes, 1, 2)
    theirs = getattr(torch.nn.functional, f"conv{axes}d")
    return (
        "conv",
        [x, W],
        {"padding": "same_upper", "dilation": apart},
        lambda *a: theirs(*a, padding="same", dilation=apart),
    )


def conv_transpose(rng, torch):
    axes, groups = whole(rng, 1, 3), whole(rng, 1, 2)
    kernel, given = drawn_windows(rng, axes)
    more = tuple(whole(rng, 0, max(s, d) - 1) for s, d in zip(given["strides"], given["dilation"], strict=True))
    x = rng.normal(size=(whole(rng, 1, 3), groups * whole(rng, 1, 2), *numbers(rng, axes, 2, 4)))
    W = rng.normal(size=(x.shape[1], whole(rng, 1, 3), *kernel))
    theirs = getattr(torch.nn.functional, f"conv_transpose{axes}d")
    arguments = (given["strides"], given["padding"], more, groups, given["dilation"])
    attributes = {**given, "output_padding": more, "groups": groups}
    b = rng.normal(size=W.shape[1] * groups)
    return "conv_transpose", [x, W, b], attributes, lambda *a: theirs(*a, *arguments)


def max_pool(rng, torch):
    axes, ceil = whole(rng, 1, 3), bool(rng.random() < 0.5)
    kernel, given = drawn_windows(rng, axes)
    x = rng.normal(size=(2, 2, *numbers(rng, axes, 5, 7)))
    theirs = getattr(torch.nn.functional, f"max_pool{axes}d")
    arguments = (kernel, given["strides"], given["padding"], given["dilation"], ceil)
    return "max_pool", [x], {"kernel": kernel, "ceil_mode": ceil, **given}, lambda x: theirs(x, *arguments)


def average_pool(rng, torch):
    axes, ceil, padded = whole(rng, 1, 3), bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    kernel, given = drawn_windows(rng, axes)
    x = rng.normal(size=(2, 2, *numbers(rng, axes, 5, 7)))
    theirs = getattr(torch.nn.functional, f"avg_pool{axes}d")
    arguments = (kernel, given["strides"], given["padding"], ceil, padded)
    attributes = {"kernel": kernel, "ceil_mode": ceil, "count_include_pad": padded, **given, "dilation": 1}
    return "average_pool", [x], attributes, lambda x: theirs(x, *arguments)


def lp_pool(rng, torch):
    axes, p = whole(rng, 1, 3), float(rng.choice([1.0, 2.0, 3.0]))
    kernel, strides = numbers(rng, axes, 1, 3), numbers(rng, axes, 1, 3)
    x = rng.uniform(0.1, 2, size=(2, 2, *numbers(rng, axes, 4, 6)))
    theirs = getattr(torch.nn.functional, f"lp_pool{axes}d")
    arguments = (kernel, strides) if axes > 1 else (kernel[0], strides[0])
    return "lp_pool", [x], {"p": p, "kernel": kernel, "strides": strides}, lambda x: theirs(x, p, *arguments)


def global_pools(rng, torch):
    axes = whole(rng, 1, 3)
    kind = ("average", "avg") if rng.random() < 0.5 else ("max", "max")
    x = rng.normal(size=(2, 3, *numbers(rng, axes, 1, 4)))
    theirs = getattr(torch.nn.functional, f"adaptive_{kind[1]}_pool{axes}d")
    return f"global_{kind[0]}_pool", [x], {}, lambda x: theirs(x, 1)


def layer_norm(rng, torch):
    x = rng.normal(size=numbers(rng, whole(rng, 2, 4), 2, 4))
    axis = whole(rng, 1, x.ndim - 1)
    shape = x.shape[axis:]
    attributes = {"axis": axis - x.ndim, "epsilon": 1e-3}
    arrays = [x, rng.normal(size=shape), rng.normal(size=shape)]
    return "layer_norm", arrays, attributes, lambda *a: torch.nn.functional.layer_norm(a[0], shape, *a[1:], 1e-3)


def rms_norm(rng, torch):
    x = rng.normal(size=numbers(rng, whole(rng, 2, 4), 2, 4))
    shape = x.shape[-1:]
    return (
        "rms_norm",
        [x, rng.normal(size=shape)],
        {"epsilon": 1e-3},
        lambda *a: torch.nn.functional.rms_norm(a[0], shape, a[1], 1e-3),
    )


def group_norm(rng, torch):
    groups = whole(rng, 1, 3)
    x = rng.normal(size=(2, 2 * groups, *numbers(rng, whole(rng, 1, 3), 2, 4)))
    arrays = [x, rng.normal(size=x.shape[1]), rng.normal(size=x.shape[1])]
    attributes = {"groups": groups, "epsilon": 1e-3}
    return "group_norm", arrays, attributes, lambda *a: torch.nn.functional.group_norm(a[0], groups, *a[1:], 1e-3)


def instance_norm(rng, torch):
    x = rng.normal(size=(2, 3, *numbers(rng, whole(rng, 1, 3), 2, 4)))
    arrays = [x, rng.normal(size=3), rng.normal(size=3)]
    return (
        "instance_norm",
        arrays,
        {"epsilon": 1e-3},
        lambda x, scale, bias: torch.nn.functional.instance_norm(x, weight=scale, bias=bias, eps=1e-3),
    )


def batch_norm(rng, torch):
    x = rng.normal(size=(3, 2, *numbers(rng, whole(rng, 0, 3), 2, 4)))
    arrays = [x, *(rng.normal(size=2) for _ in range(3)), rng.uniform(0.5, 2, size=2)]
    return (
        "batch_norm",
        arrays,
        {},
        lambda x, scale, bias, mean, variance: (
            (x - _channels(mean, x)) / (_channels(variance, x) + 1e-5).sqrt() * _channels(scale, x) + _channels(bias, x)
        ),
    )


def batch_norm_of_running_statistics(rng, torch):
    """torch's own takes no gradients of the statistics."""
    x = rng.normal(size=(3, 2, *numbers(rng, whole(rng, 0, 3), 2, 4)))
    arrays = [x, *(rng.normal(size=2) for _ in range(3)), rng.uniform(0.5, 2, size=2)]
    return (
        "batch_norm",
        arrays,
        {},
        lambda x, scale, bias, mean, variance: torch.nn.functional.batch_norm(
            x, mean.detach(), variance.detach(), scale, bias
        ),
    )


def _channels(vector, x):
    return vector.reshape(-1, *(1,) * (x.ndim - 2))


def local_response_norm(rng, torch):
    size = int(rng.choice([1, 3, 5]))
    x = rng.normal(size=(2, whole(rng, 1, 6), *numbers(rng, whole(rng, 1, 2), 1, 3)))
    attributes = {"size": size, "alpha": 0.5, "beta": 0.6, "bias": 1.5}
    return (
        "local_response_norm",
        [x],
        attributes,
        lambda x: torch.nn.functional.local_response_norm(x, size, 0.5, 0.6, 1.5),
    )


def pad(rng, torch):
    axes = whole(rng, 1, 3)
    mode, theirs = [("constant", "constant"), ("reflect", "reflect"), ("edge", "replicate"), ("wrap", "circular")][
        whole(rng, 0, 3)
    ]
    least = -1 if mode == "constant" else 0
    x = rng.normal(size=(2, 2, *numbers(rng, axes, 3, 5)))
    pairs = tuple(numbers(rng, 2, least, 2) for _ in range(axes))
    flat = [number for pair in reversed(pairs) for number in pair]
    value = 0.5 if mode == "constant" else None
    attributes = {"padding": pairs, "axes": tuple(range(2, 2 + axes)), "mode": mode, "value": value or 0}
    return "pad", [x], attributes, lambda x: torch.nn.functional.pad(x, flat, theirs, value)


def resize(rng, torch):
    axes = whole(rng, 1, 3)
    x = rng.normal(size=(2, 2, *numbers(rng, axes, 2, 5)))
    sizes = numbers(rng, axes, 1, 8)
    corners = bool(rng.random() < 0.5)
    mode = "linear" if axes != 2 or rng.random() < 0.5 else "cubic"
    theirs = {1: "linear", 2: "bilinear" if mode == "linear" else "bicubic", 3: "trilinear"}[axes]
    attributes = {"mode": mode, "coordinates": "align_corners" if corners else "half_pixel", "sizes": sizes}
    return (
        "resize",
        [x],
        attributes,
        lambda x: torch.nn.functional.interpolate(x, sizes, mode=theirs, align_corners=corners),
    )


def resize_by_scales(rng, torch):
    """To another size along each axis: torch leaves one as it is whose size stays, whatever the scale."""
    axes = whole(rng, 1, 3)
    x = rng.normal(size=(2, 2, *numbers(rng, axes, 3, 5)))
    scales = tuple(float(rng.uniform(0.4, 0.79) if rng.random() < 0.5 else rng.uniform(1.4, 3)) for _ in range(axes))
    theirs = ("linear", "bilinear", "trilinear")[axes - 1]
    return (
        "resize",
        [x],
        {"mode": "linear", "scales": scales},
        lambda x: torch.nn.functional.interpolate(x, scale_factor=scales, mode=theirs, recompute_scale_factor=False),
    )


def resize_to_the_nearest(rng, torch):
    axes, exact = whole(rng, 1, 3), bool(rng.random() < 0.5)
    x = rng.normal(size=(2, 2, *numbers(rng, axes, 3, 5)))
    sizes = numbers(rng, axes, 1, 9)
    grid = {"rounding": "round_prefer_ceil"} if exact else {"coordinates": "asymmetric", "rounding": "floor"}
    return (
        "resize",
        [x],
        {"sizes": sizes, **grid},
        lambda x: torch.nn.functional.interpolate(x, sizes, mode="nearest-exact" if exact else "nearest"),
    )


def resize_antialiased(rng, torch):
    """To two entries at least: along the axis before one of a single entry, torch 2.13 gives one number throughout."""
    x = rng.normal(size=(2, 2, *numbers(rng, 2, 4, 9)))
    sizes, mode = numbers(rng, 2, 2, 12), "linear" if rng.random() < 0.5 else "cubic"
    cubic = {"cubic": -0.5} if mode == "cubic" else {}
    attributes = {"mode": mode, "sizes": sizes, "antialias": True, "exclude_outside": True, **cubic}
    return (
        "resize",
        [x],
        attributes,
        lambda x: torch.nn.functional.interpolate(x, sizes, mode="bi" + mode, antialias=True),
    )


DRAWS: list[Draw] = [
    conv,
    conv_same,
    conv_transpose,
    max_pool,
    average_pool,
    lp_pool,
    global_pools,
    layer_norm,
    rms_norm,
    group_norm,
    instance_norm,
    batch_norm,
    batch_norm_of_running_statistics,
    local_response_norm,
    pad,
    resize,
    resize_by_scales,
    resize_to_the_nearest,
    resize_antialiased,
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.__name__)
def test_layers_with_torch_itself(draw: Draw, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    for seed in range(TIMES):
        rng = np.random.default_rng(seed)
        name, arrays, attributes, theirs = draw(rng, torch)
        arrays = [array.astype(dtype) for array in arrays]
        tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
        expected = theirs(*tensors)
        op = registry.lookup(name)
        found = op(*arrays, **attributes)
        assert found.dtype == dtype
        told = f"seed {seed}: {name} of {[array.shape for array in arrays]}, {attributes}"
        check(found, expected.detach().numpy(), dtype, told)
        g = rng.normal(size=found.shape).astype(dtype)
        expected.backward(torch.tensor(g))
        shares = pullback(op, g, found, arrays, op.bind(attributes), [True] * len(arrays))
        for share, tensor in zip(shares, tensors, strict=False):
            if tensor.grad is not None:
                check(share, tensor.grad.numpy(), dtype, f"gradient, {told}")


def check(found: np.ndarray, expected: np.ndarray, dtype: str, told: str) -> None:
    assert found.shape == expected.shape, told
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=told)
