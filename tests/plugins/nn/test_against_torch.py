"""Optimizers and schedules against PyTorch's, by numbers that were recorded, and anew where torch is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dataflow.registry import registry

STEPS, RATE = 200, 0.05
OPTIMIZERS: list[tuple[str, dict[str, Any], str, dict[str, Any], list[float]]] = [
    (
        "sgd",
        {},
        "SGD",
        {},
        [-0.01704877677368035, -0.00895585002021067, 0.008404434304899823, 0.01836953329403453, 0.010658615924193125],
    ),
    (
        "sgd",
        {"momentum": 0.9, "weight_decay": 0.01},
        "SGD",
        {"momentum": 0.9, "weight_decay": 0.01},
        [
            -0.009218057519892981,
            -0.011609224778236324,
            -0.0031663813989004953,
            0.008700343472652368,
            0.012986582394461231,
        ],
    ),
    (
        "sgd",
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        "SGD",
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        [-0.026099153076681814, -0.020077772058151307, 0.007015468167887166, 0.029872605802386785, 0.02444475475730916],
    ),
    (
        "adam",
        {},
        "Adam",
        {},
        [
            -0.0025410966200962457,
            -0.0018613382481403352,
            -0.0005644164264107991,
            0.0004336896926153018,
            0.002311631140807835,
        ],
    ),
    (
        "adamw",
        {},
        "AdamW",
        {},
        [
            -0.0025420047097840194,
            -0.0018643071130398634,
            -0.0005656480649371843,
            0.00044169588279364605,
            0.002315659650043303,
        ],
    ),
    (
        "adamw",
        {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-06, "weight_decay": 0.1},
        "AdamW",
        {"betas": (0.8, 0.95), "eps": 1e-06, "weight_decay": 0.1},
        [
            -0.0056197944291015035,
            -0.0064352311891017295,
            -0.0014719192590704018,
            0.004943663185139309,
            0.006732024281358951,
        ],
    ),
    (
        "rmsprop",
        {},
        "RMSprop",
        {},
        [-0.04985757431598174, -0.02099363821669538, 0.027828647160214035, 0.03153791337522137, 0.018789001993609958],
    ),
    (
        "rmsprop",
        {"decay": 0.9, "momentum": 0.8, "epsilon": 1e-06, "weight_decay": 0.01},
        "RMSprop",
        {"alpha": 0.9, "momentum": 0.8, "eps": 1e-06, "weight_decay": 0.01},
        [
            -0.028158915426342135,
            -0.03109487523981546,
            -0.007348320560229856,
            0.026096050798282245,
            0.031832628587745555,
        ],
    ),
    (
        "adagrad",
        {},
        "Adagrad",
        {},
        [0.006279072141643566, -0.24384513414278464, 0.040705571038881165, 0.8582591834677381, 0.00037659009988319053],
    ),
    (
        "adagrad",
        {"epsilon": 1e-06, "weight_decay": 0.01},
        "Adagrad",
        {"eps": 1e-06, "weight_decay": 0.01},
        [0.005983781250989818, -0.2436889800912885, 0.040668129979199226, 0.8582487717955312, 0.00037638501850747536],
    ),
]
"""Ours, and torch.optim's: the parameters after 200 steps with the gradients of ``gradient``, in float64. Recorded from
torch 2.14.1 on the CPU by the slow test below, which holds them to be torch's where torch is installed."""

SCHEDULES: list[tuple[str, dict[str, Any], str, dict[str, Any], list[float]]] = [
    (
        "step",
        {"every": 7, "factor": 0.5},
        "StepLR",
        {"step_size": 7, "gamma": 0.5},
        [0.05, 0.05, 0.025, 0.025, 0.0125, 0.0015625],
    ),
    (
        "exponential",
        {"factor": 0.97},
        "ExponentialLR",
        {"gamma": 0.97},
        [0.05, 0.042936701285, 0.035765070154404006, 0.03469211804977188, 0.02718971714633734, 0.015714331352913835],
    ),
    (
        "cosine",
        {"floor": 0.1},
        "CosineAnnealingLR",
        {"T_max": 40, "eta_min": 0.005},
        [
            0.05,
            0.04828728948150395,
            0.042112581087429136,
            0.040725168176580645,
            0.027499999999999997,
            0.005277012336609403,
        ],
    ),
    (
        "one_cycle",
        {},
        "OneCycleLR",
        {"max_lr": 0.05, "total_steps": 40},
        [
            0.0020000000000000018,
            0.022584443881441155,
            0.05,
            0.049842805876110084,
            0.03830084870967577,
            0.00015739412388992424,
        ],
    ),
    (
        "one_cycle",
        {"peak": 0.25, "initial": 0.1, "final": 0.01},
        "OneCycleLR",
        {"max_lr": 0.05, "total_steps": 40, "pct_start": 0.25, "div_factor": 10, "final_div_factor": 10},
        [
            0.0049999999999999975,
            0.03140708399750593,
            0.049459153118161694,
            0.048788648778305056,
            0.03531673191612606,
            0.0006355830896352361,
        ],
    ),
]
"""Ours, and torch.optim.lr_scheduler's: the learning rate of updates 0, 5, 11, 12, 20 and 38 of 40, likewise."""
UPDATES = (0, 5, 11, 12, 20, 38)

LOSSES = [1, 0.9, 0.895, 0.893, 0.92, 0.6, 0.6, 0.7, 0.595, 0.8, 0.55, 0.2, *[0.3] * 8]
PLATEAU = [
    0.05,
    0.05,
    0.05,
    0.05,
    0.05,
    0.025,
    0.025,
    0.025,
    0.025,
    0.0125,
    0.0125,
    0.0125,
    0.0125,
    0.0125,
    0.0125,
    0.00625,
    0.00625,
    0.00625,
    0.003125,
    0.003125,
]
"""The learning rate of each epoch by ReduceLROnPlateau(factor=0.5, patience=2, threshold=0.01, threshold_mode="abs"),
which waits for one epoch more than its patience. Recorded likewise."""


def gradient(w: Any, step: int) -> Any:
    """That of a quadratic bowl, with a disturbance."""
    return w * np.arange(1.0, 6.0) + 0.5 * np.cos(1.7 * step + np.arange(5))


def start() -> np.ndarray:
    return np.array([0.3, -1.2, 0.8, 2.0, -0.5])


def trained(name: str, given: dict[str, Any]) -> np.ndarray:
    optimizer = registry.optimizer(name).create({"learning_rate": RATE, **given})
    w = start()
    state = {key: np.zeros(5) for key in optimizer.state_names}
    for step in range(1, STEPS + 1):
        optimizer.update(w, gradient(w, step), state, step)
    return w


@pytest.mark.parametrize(("name", "given", "theirs", "options", "expected"), OPTIMIZERS)
def test_optimizers(name, given, theirs, options, expected) -> None:
    np.testing.assert_allclose(trained(name, given), expected, rtol=0, atol=1e-12)


def test_every_optimizer_that_torch_has_is_compared() -> None:
    assert {name for name, *_ in OPTIMIZERS} == set(registry.registry().optimizers) - {"lion"}
    assert {name for name, *_ in SCHEDULES} == set(registry.registry().schedules) - {"constant", "plateau"}


@pytest.mark.parametrize(("name", "given", "theirs", "options", "expected"), SCHEDULES)
def test_schedules(name, given, theirs, options, expected) -> None:
    rates = registry.schedule(name).create(given).rates(RATE, np.array(UPDATES), 40)
    np.testing.assert_allclose(rates, expected, rtol=0, atol=1e-15)


def test_plateau() -> None:
    schedule = registry.schedule("plateau").create({"factor": 0.5, "patience": 3, "min_delta": 0.01})
    rates = []
    for epoch in range(len(LOSSES)):
        schedule.observe(LOSSES[:epoch])
        rates += schedule.rates(RATE, np.array([epoch]), 40).tolist()
    np.testing.assert_allclose(rates, PLATEAU, rtol=1e-14)
    again = registry.schedule("plateau").create(schedule.settings())
    again.observe(LOSSES[:15])  # as a run that goes on
    assert again.rates(RATE, np.array([0]), 40) == rates[15]


def test_lion_as_its_paper_writes_it() -> None:
    """Algorithm 2 of Chen et al. (2023): c = β₁m + (1 − β₁)g, w ← w − ε·(sign(c) + λw), m = β₂m + (1 − β₂)g;
    torch has none."""
    w, m = start().tolist(), [0.0] * 5
    for step in range(1, STEPS + 1):
        g = gradient(np.array(w), step).tolist()
        for i in range(5):
            c = 0.8 * m[i] + 0.2 * g[i]
            w[i] = w[i] - RATE * ((c > 0) - (c < 0) + 0.1 * w[i])
            m[i] = 0.95 * m[i] + 0.05 * g[i]
    np.testing.assert_allclose(
        trained("lion", {"beta1": 0.8, "beta2": 0.95, "weight_decay": 0.1}), w, rtol=0, atol=1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "given", "theirs", "options", "expected"), OPTIMIZERS)
def test_optimizers_with_torch_itself(name, given, theirs, options, expected) -> None:
    torch = pytest.importorskip("torch")
    w = torch.tensor(start())
    optimizer = getattr(torch.optim, theirs)([w], lr=RATE, **options)
    for step in range(1, STEPS + 1):
        w.grad = torch.tensor(gradient(w.numpy(), step))
        optimizer.step()
    np.testing.assert_allclose(w.numpy(), expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(trained(name, given), w.numpy(), rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "given", "theirs", "options", "expected"), SCHEDULES)
def test_schedules_with_torch_itself(name, given, theirs, options, expected) -> None:
    torch = pytest.importorskip("torch")
    rates = torch_rates(torch, theirs, options)
    np.testing.assert_allclose([rates[update] for update in UPDATES], expected, rtol=0, atol=1e-15)
    ours = registry.schedule(name).create(given).rates(RATE, np.arange(40), 40)
    np.testing.assert_allclose(ours, rates, rtol=0, atol=1e-15)


@pytest.mark.slow
def test_plateau_with_torch_itself() -> None:
    torch = pytest.importorskip("torch")
    assert torch_plateau(torch) == PLATEAU


def torch_rates(torch: Any, theirs: str, options: dict[str, Any]) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    schedule = getattr(torch.optim.lr_scheduler, theirs)(optimizer, **options)
    rates = []
    for update in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if update < 39:
            schedule.step()
    return rates


def torch_plateau(torch: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=0.01, threshold_mode="abs"
    )
    rates = []
    for loss in LOSSES:
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step(loss)
    return rates
