"""Kernels for updates, each element rounded as numpy rounds it: the optimizers' rules, and what comes before them."""

from __future__ import annotations

from llvmlite import ir

from dataflow_llvm.kernels import gradient_sums
from dataflow_llvm.kernels.assembly import (
    FLOATS,
    Machine,
    function,
)
from dataflow_llvm.kernels.update_loop import Update, everywhere


def write_updates(module: ir.Module, dtype: str, machine: Machine) -> None:
    """``sgd_T`` and the others: whether something that they wrote is not finite."""
    for name, write in {
        "sgd": _write_sgd,
        "adam": _write_adam,
        "rmsprop": _write_rmsprop,
        "adagrad": _write_adagrad,
        "lion": _write_lion,
        "gather": gradient_sums.write_gather,
        "squares": gradient_sums.write_squares,
        "clip_norm": gradient_sums.write_clip_norm,
        "clip_value": gradient_sums.write_clip_value,
    }.items():
        write(Update(module, name, dtype, machine))


def _write_sgd(update: Update) -> None:
    builder = update.builder
    rate, decay, momentum = (
        update.rounded(update.number(name)) for name in ("learning_rate", "weight_decay", "momentum")
    )
    with_momentum, nesterov, with_decay = (update.is_on(name) for name in ("momentum", "nesterov", "weight_decay"))
    plain = builder.not_(builder.or_(with_momentum, with_decay))
    simple, full = builder.append_basic_block("simple"), builder.append_basic_block("full")
    builder.cbranch(plain, simple, full)
    builder.position_at_end(simple)

    def descend(lanes, read, write):
        write(0, lanes.subtract(read(0), lanes.multiply(read(1), lanes.splat(rate))))

    update.write(descend)
    builder.position_at_end(full)

    def with_velocity(lanes, read, write):
        w, g = read(0), read(1)
        g = lanes.select(everywhere(lanes, with_decay), lanes.add(g, lanes.multiply(lanes.splat(decay), w)), g)
        velocity = lanes.add(lanes.multiply(read(2), lanes.splat(momentum)), g)
        ahead = lanes.add(g, lanes.multiply(lanes.splat(momentum), velocity))
        step = lanes.select(everywhere(lanes, nesterov), ahead, velocity)
        step = lanes.select(everywhere(lanes, with_momentum), step, g)
        write(2, lanes.select(everywhere(lanes, with_momentum), velocity, read(2)))
        write(0, lanes.subtract(w, lanes.multiply(step, lanes.splat(rate))))

    update.write(with_velocity)


def _write_adam(update: Update) -> None:
    builder = update.builder
    one = ir.Constant(FLOATS["float64"], 1.0)
    power = function(builder.module, "llvm.pow.f64", FLOATS["float64"], [FLOATS["float64"]] * 2)
    step = builder.sitofp(update.step, FLOATS["float64"])
    beta1, beta2 = update.number("beta1"), update.number("beta2")
    first, second = (builder.fsub(one, builder.call(power, [beta, step])) for beta in (beta1, beta2))
    scalars = update.scalars(
        kept=update.kept(),
        beta1=beta1,
        beta2=beta2,
        new1=update.rest("beta1"),
        new2=update.rest("beta2"),
        second=second,
        rate=builder.fdiv(update.number("learning_rate"), first),
        epsilon=update.number("epsilon"),
    )
    with_decay = update.is_on("weight_decay")

    def adapt(lanes, read, write):
        n = {name: lanes.splat(scalar) for name, scalar in scalars.items()}
        w, g = read(0), read(1)
        mean = lanes.add(lanes.multiply(read(2), n["beta1"]), lanes.multiply(n["new1"], g))
        square = lanes.multiply(lanes.multiply(n["new2"], g), g)
        square = lanes.add(lanes.multiply(read(3), n["beta2"]), square)
        w = lanes.select(everywhere(lanes, with_decay), lanes.multiply(w, n["kept"]), w)
        unbiased = lanes.add(lanes.call("sqrt", lanes.divide(square, n["second"])), n["epsilon"])
        write(2, mean)
        write(3, square)
        write(0, lanes.subtract(w, lanes.divide(lanes.multiply(n["rate"], mean), unbiased)))

    update.write(adapt)


def _write_rmsprop(update: Update) -> None:
    names = ("learning_rate", "weight_decay", "decay", "momentum", "epsilon")
    scalars = update.scalars(new=update.rest("decay"), **{name: update.number(name) for name in names})
    with_decay, with_momentum = update.is_on("weight_decay"), update.is_on("momentum")

    def adapt(lanes, read, write):
        n = {name: lanes.splat(scalar) for name, scalar in scalars.items()}
        w, g = read(0), read(1)
        decayed = lanes.add(g, lanes.multiply(n["weight_decay"], w))
        g = lanes.select(everywhere(lanes, with_decay), decayed, g)
        square = lanes.multiply(lanes.multiply(n["new"], g), g)
        square = lanes.add(lanes.multiply(read(2), n["decay"]), square)
        step = lanes.divide(g, lanes.add(lanes.call("sqrt", square), n["epsilon"]))
        velocity = lanes.add(lanes.multiply(read(3), n["momentum"]), step)
        write(2, square)
        write(3, lanes.select(everywhere(lanes, with_momentum), velocity, read(3)))
        step = lanes.select(everywhere(lanes, with_momentum), velocity, step)
        write(0, lanes.subtract(w, lanes.multiply(n["learning_rate"], step)))

    update.write(adapt)


def _write_adagrad(update: Update) -> None:
    scalars = update.scalars(**{name: update.number(name) for name in ("learning_rate", "weight_decay", "epsilon")})
    with_decay = update.is_on("weight_decay")

    def adapt(lanes, read, write):
        n = {name: lanes.splat(scalar) for name, scalar in scalars.items()}
        w, g = read(0), read(1)
        decayed = lanes.add(g, lanes.multiply(n["weight_decay"], w))
        g = lanes.select(everywhere(lanes, with_decay), decayed, g)
        square = lanes.add(read(2), lanes.multiply(g, g))
        root = lanes.add(lanes.call("sqrt", square), n["epsilon"])
        write(2, square)
        write(0, lanes.subtract(w, lanes.divide(lanes.multiply(n["learning_rate"], g), root)))

    update.write(adapt)


def _write_lion(update: Update) -> None:
    scalars = update.scalars(
        kept=update.kept(),
        rate=update.number("learning_rate"),
        beta1=update.number("beta1"),
        beta2=update.number("beta2"),
        new1=update.rest("beta1"),
        new2=update.rest("beta2"),
    )
    with_decay = update.is_on("weight_decay")

    def turn(lanes, read, write):
        n = {name: lanes.splat(scalar) for name, scalar in scalars.items()}
        w, g, mean = read(0), read(1), read(2)
        w = lanes.select(everywhere(lanes, with_decay), lanes.multiply(w, n["kept"]), w)
        ahead = lanes.add(lanes.multiply(n["beta1"], mean), lanes.multiply(n["new1"], g))
        zero = lanes.number(0.0)
        step = lanes.select(lanes.compare("<", ahead, zero), lanes.number(-1.0), zero)
        step = lanes.select(lanes.compare(">", ahead, zero), lanes.number(1.0), step)
        write(2, lanes.add(lanes.multiply(mean, n["beta2"]), lanes.multiply(n["new2"], g)))
        write(0, lanes.subtract(w, lanes.multiply(n["rate"], step)))

    update.write(turn)
