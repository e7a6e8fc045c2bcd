"""Errors that numpy ignores for a while: what the state is meanwhile and afterwards is what numpy itself says of it."""

from __future__ import annotations

import threading
from contextvars import copy_context

import numpy as np
import pytest

import dataflow
from dataflow.ops import sum as sum_
from dataflow.support import error_state
from dataflow.support.error_state import ErrorState

OURS = {"divide": "raise", "over": "warn", "under": "print", "invalid": "ignore"}


@pytest.fixture(params=["variable", "seterr"])
def state(request, monkeypatch):
    """As numpy keeps its state, and as it might keep it elsewhere."""
    if request.param == "seterr":
        monkeypatch.setattr(error_state, "_variable", lambda: None)
    return ErrorState()


def test_ignored_and_as_before(state):
    for _ in range(2):
        with np.errstate(**OURS):
            before = state.ignore()
            inner = state.ignore()
            assert set(np.geterr().values()) == {"ignore"}
            np.array(1.0) / np.array(0.0)
            state.restore(inner)
            assert set(np.geterr().values()) == {"ignore"}
            state.restore(before)
            assert np.geterr() == OURS
            with pytest.raises(FloatingPointError):
                np.array(1.0) / np.array(0.0)


def test_the_buffer_is_the_callers():
    state = ErrorState()
    for size in (16, 4096, 8192):
        old = np.setbufsize(size)
        before = state.ignore()
        assert np.getbufsize() == size
        state.restore(before)
        np.setbufsize(old)


def test_made_once_for_a_state(monkeypatch):
    state, made, errstate = ErrorState(), [], np.errstate
    monkeypatch.setattr(np, "errstate", lambda **kinds: made.append(kinds) or errstate(**kinds))
    for _ in range(5):
        state.restore(state.ignore())
    assert len(made) == 1


def test_other_threads_and_contexts_keep_theirs():
    state, seen = ErrorState(), []
    with np.errstate(**OURS):
        outside = copy_context()
    before = state.ignore()
    outside.run(lambda: seen.append(np.geterr()))

    def in_thread() -> None:
        state.restore(state.ignore())
        seen.append(np.geterr())

    thread = threading.Thread(target=outside.run, args=(in_thread,))
    thread.start()
    thread.join()
    assert seen == [OURS, OURS]
    assert set(np.geterr().values()) == {"ignore"}
    state.restore(before)


def test_a_step_leaves_the_state_whether_it_fails_or_not():
    graph = dataflow.Graph()
    w = graph.parameter("w", value=np.array([1e200, 1.0]))
    graph.node("loss", sum_(w * w))
    model = dataflow.Model(graph, [], "loss")
    trainer = dataflow.Trainer(model, {}, optimizer={"name": "sgd", "learning_rate": 0.25}, backend="numpy")
    with np.errstate(**OURS):
        with pytest.raises(dataflow.NonFiniteError):
            trainer.step()
        assert np.geterr() == OURS
        model.parameters["w"] = [1e-300, 2.0]  # whose square is 0, by underflow
        assert trainer.step() == 4.0
        assert np.geterr() == OURS
