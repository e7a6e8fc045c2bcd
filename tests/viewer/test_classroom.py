"""The page in a lecture hall: why a number is what it is, the quiz, large graphs, phones, paper, screen readers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import MODELS, ROOT

import dataflow
from dataflow.ops import mse, tanh
from dataflow.viewer import view

ASSETS = ROOT / "dataflow" / "viewer" / "assets"
EXAMPLE_3 = "#example=3&wrt=W1&step="


def large(count: int = 500) -> dataflow.Model:
    """A chain of dense layers without blocks: ``count`` nodes that the file names."""
    graph = dataflow.Graph("large")
    value = graph.input("x", ("n", 2))
    for i in range(count // 2):
        W = graph.parameter(f"W{i}", (2, 2), init="he_normal")
        value = graph.node(f"h{i}", tanh(value @ W.T))
    graph.node("loss", mse(value, graph.input("y", ("n", 2))))
    return dataflow.Model(graph, [value.name], "loss")


LARGE = {"x": [[0.5, -0.3], [1, 2]], "y": [[0, 1], [1, 0]]}


def step(page: Any, number: int) -> None:
    page.eval_on_selector(
        "#slider", "(slider, step) => { slider.value = step; slider.dispatchEvent(new Event('input')); }", number
    )


# ------------------------------------------------------------------------------------------------ why


@pytest.mark.slow
def test_each_step_writes_its_numbers_out(opened):
    """Row 29 of the lecture, by hand: x = (1, 1), W1 = (0.9 1.1; 0.8 1.2), b1 = (0.1, −0.6), W2 = (0.7, −1.3)."""
    page = opened(dataflow.load(MODELS / "xor.toml"))
    assert page.input_value("#example") == "3"  # of the four, that whose gradient has no zero
    line = page.locator("#step .working")
    step(page, 3)
    assert line.inner_text() == "ŷ = 2.1·0.7 + 1.4·(−1.3) + 0.2 = −0.15"
    step(page, 4)
    assert line.inner_text() == "loss = 0.5·(−0.15 − 0)² = 0.01125"
    step(page, 7)
    page.hover("#step [data-of=term] td[data-j='1']")
    assert line.inner_text() == "∂loss/∂h₂ = (−0.15)·(−1.3) = 0.195"
    lit = "all => all.map(one => one.textContent)"
    assert page.eval_on_selector_all("#step .lit", lit) == ["−0.15", "−1.3"]
    step(page, 1)
    page.focus("#step [data-of='value 1'] td, #step .result td[tabindex='0']")
    page.keyboard.press("ArrowRight")
    assert line.inner_text() == "z₂ = 1·0.8 + 1·1.2 + (−0.6) = 1.4"
    assert page.eval_on_selector_all("#step .lit", lit) == ["1", "1", "0.8", "1.2", "−0.6"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in MODELS.glob("*.toml")))
def test_lines_are_true(opened, name):
    """What stands left of the last equals sign is computed here, by Python."""
    model = dataflow.load(MODELS / f"{name}.toml")
    page = opened(model, examples=2, frames=0)
    last = int(page.get_attribute("#slider", "max"))
    checked = 0
    for number in range(1, last + 1):
        step(page, number)
        cells = page.locator("#step [data-made] td[data-i]")
        for k in range(min(cells.count(), 8)):
            cells.nth(k).dispatch_event("pointerover")
            checked += is_true(page.inner_text("#step .working"))
    assert checked or name == "perspectives"


FUNCTIONS = {"max": max, "min": min, "exp": np.exp, "ln": np.log, "tanh": np.tanh, "abs": abs}


def is_true(line: str) -> bool:
    """Whether the line has numbers to compute; an error where they do not give its end."""
    parts = re.split(r" = ", line)
    if len(parts) < 3 or "…" in line:
        return False
    text = parts[-2]
    indicator = re.sub(r"1\[(.*?)\]", r"float(\1)", text)
    for sign, python in {
        "−": "-",
        "·": "*",
        "²": "**2",
        "³": "**3",
        "^": "**",
        "≤": "<=",
        "≥": ">=",
        "σ": "sigma",
    }.items():
        indicator = indicator.replace(sign, python)
    indicator = re.sub(r"(?<=[\d)])\(", "*(", indicator)
    if not re.fullmatch(r"[\d\s.+\-*/()<>=,\[\]ea-z]*", indicator):
        return False
    known = {**FUNCTIONS, "float": float, "sigma": lambda x: 1 / (1 + np.exp(-x))}
    found = eval(indicator, {"__builtins__": {}}, known)  # noqa: S307 (our own page's numbers)
    expected = float(parts[-1].replace("−", "-"))
    assert np.isclose(found, expected, rtol=2e-4, atol=2e-5), line
    return True


# ------------------------------------------------------------------------------------------------ the quiz


def answer(page: Any, *texts: str) -> None:
    for i, text in enumerate(texts):
        if i:
            page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Enter")


@pytest.mark.slow
def test_the_quiz_by_keyboard_alone(opened):
    page = opened(dataflow.load(MODELS / "xor.toml"), quiz=True)
    page.keyboard.press("ArrowRight")
    assert page.locator("#step .result").count() == 0
    assert page.locator("g.node[data-nodes$='z'] .value-text").text_content() == "= ?"
    assert page.inner_text("#live") == "What is the value z?"
    answer(page, "2.1", "-1.4")  # what is typed goes into the first field
    assert page.inner_text("#step form [role=status]") == "z₂: the sign is wrong."
    assert page.get_attribute("#answer-1", "aria-invalid") == "true"
    answer(page, "7/5")
    assert "Right." in page.inner_text("#step .verdict")
    assert page.inner_text("#score") == "Score: 1 of 1"
    page.keyboard.press("ArrowRight")  # on, from the button
    answer(page, "2,1", "1.4")
    page.keyboard.press("Enter")
    answer(page, "−0.2")
    assert "two digits" in page.inner_text("#step form [role=status]")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # reveal
    assert "Revealed." in page.inner_text("#step .verdict")
    assert page.inner_text("#score") == "Score: 2 of 3"
    step(page, 7)
    assert page.inner_text("#step .question") == "What is the factor ∂ŷ/∂h?"
    page.focus("#answer-0")
    answer(page, "7/10", "-13/10")
    assert page.inner_text("#score") == "Score: 3 of 4"
    assert page.locator("#step .equation .named-matrix").count() == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "value", "largest", "verdict"),
    [
        ("0.0333", 1 / 30, 1, "right"),
        ("1/30", 1 / 30, 1, "right"),
        ("0.033", 1 / 30, 1, "right"),
        ("0.03", 1 / 30, 1, "digits"),
        ("3.3e-2", 1 / 30, 1, "right"),
        ("0", 1 / 30, 1, "wrong"),
        ("0", 3e-17, 2, "right"),
        ("-0", 0, 0, "right"),
        ("2", 2, 2, "right"),
        ("−1,25", -1.25, 2, "right"),
        ("1.25", -1.25, 2, "sign"),
        ("100", 104, 104, "wrong"),
        ("1/0", 1, 1, "none"),
        ("abc", 1, 1, "none"),
        ("", 0, 1, "none"),
        ("inf", "inf", 1, "right"),
        ("nan", "nan", 1, "right"),
        ("1", True, 1, "right"),
    ],
)
def test_answers_are_judged(context, text, value, largest, verdict):
    page = context.pages[0]
    source = (ASSETS / "quiz.js").read_text(encoding="utf-8")
    judging = source[source.index("const SHARE") : source.index("const NOTHING")] + "const NOTHING = 1e-9;"
    judging += source[source.index('/** "right"') :]
    assert page.evaluate(f"([t, v, l]) => {{ {judging}; return judge(t, v, l); }}", [text, value, largest]) == verdict


# ------------------------------------------------------------------------------------------------ large, small, paper


@pytest.mark.slow
def test_500_nodes_are_stepped_through_by_layers(opened):
    page = opened(large(), **LARGE)
    assert "layers were folded" in page.locator("#about").text_content()
    last = int(page.get_attribute("#slider", "max"))
    assert 30 < last < 100
    seen = set()
    for number in range(last + 1):
        step(page, number)
        current = page.locator("g.node.current")
        if not current.count():
            continue
        page.wait_for_timeout(250)
        box, frame = current.first.bounding_box(), page.locator("#viewport").bounding_box()
        assert frame["y"] - 2 <= box["y"] <= frame["y"] + frame["height"]
        seen.add(current.first.get_attribute("data-nodes"))
    assert len(seen) > 16
    taken = page.evaluate(
        """() => { const began = performance.now();
            for (let i = 0; i < 20; i += 1) document.getElementById("back").click();
            return (performance.now() - began) / 20; }"""
    )
    assert taken < 150  # milliseconds for a step


@pytest.mark.slow
def test_the_steps_over_layers_multiply_to_the_gradient() -> None:
    model = large(360)
    content = view(model, wrt="W7", **LARGE).content
    number = str([node["name"] for node in content["nodes"]].index("W7"))
    whole = content["passes"][-1]
    assert whole["example"] is None
    expected = model.gradients(wrt=["W7"], **LARGE)["W7"]
    assert np.allclose(whole["shaped"][number]["cells"], expected.reshape(-1), rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 799])
@pytest.mark.parametrize("name", ["xor", "deep", "digits", "composition"])
def test_nothing_is_cut_on_a_narrow_screen(opened, name, width):
    page = opened(dataflow.load(MODELS / f"{name}.toml"), size=(width, 844), examples=2, quiz=name == "xor")
    for number in sorted({0, 1, 5, int(page.get_attribute("#slider", "max"))}):
        step(page, number)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        outside = page.evaluate(
            """(width) => [...document.querySelectorAll("button, select, input, output, h1, h2, p, .popup")]
                .filter(one => one.offsetParent && !one.closest(".scroll, .unseen, .skip"))
                .map(one => [one, one.getBoundingClientRect()])
                .filter(([one, box]) => box.left < -1 || box.right > width + 1 || one.scrollWidth > one.clientWidth + 1
                    && getComputedStyle(one).overflow === "hidden")
                .map(([one]) => one.outerHTML.slice(0, 90))""",
            width,
        )
        assert outside == []
    play = page.locator("#play").bounding_box()
    assert play["x"] >= 0
    assert play["x"] + play["width"] <= width
    assert play["y"] + play["height"] <= 844
    page.click("#legend summary")
    popup = page.locator("#legend .popup").bounding_box()
    assert popup["x"] >= 0
    assert popup["x"] + popup["width"] <= width


@pytest.mark.slow
@pytest.mark.parametrize("name", ["xor", "digits"])
def test_on_paper_there_is_every_step(opened, tmp_path, name):
    page = opened(dataflow.load(MODELS / f"{name}.toml"), examples=2)
    steps = int(page.get_attribute("#slider", "max")) + 1
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#printed .card.step").count() == steps
    assert page.locator("#printed .card.step >> nth=-1").is_visible()
    assert not page.locator("#panel").is_visible()
    assert page.locator("#printed button, #printed [id]").count() == 0
    if name == "xor":
        assert "ŷ = 1.2·0.7 + 0.6·(−1.3) + 0.2 = 0.26" in page.inner_text("#printed")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="null")
    written = page.pdf(path=tmp_path / "page.pdf")
    assert max(map(int, re.findall(rb"/Count (\d+)", written))) > 2  # pages


@pytest.mark.slow
def test_a_fully_trained_xor_opens_at_once(opened):
    """A loss below 7e-23 on a logarithmic axis was an endless loop."""
    model = dataflow.load(MODELS / "xor.toml")
    history = dataflow.train(model, epochs=14000)
    assert history.loss[-1] < 7e-23
    page = opened(model, frames=0)
    assert page.locator("#training .uplot").count() == 2
    assert page.evaluate("performance.now()") < 8000


# ------------------------------------------------------------------------------------------------ for everyone

STATES = {
    "start": {},
    "a value": {"address": "#step=3"},
    "a factor": {"address": f"{EXAMPLE_3}8"},
    "a result": {"address": f"{EXAMPLE_3}10&node=z"},
    "the quiz": {"address": "#step=7&quiz=1"},
    "in the dark": {"address": f"{EXAMPLE_3}8&theme=dark&node=W1"},
    "on a phone": {"address": "#step=7&quiz=1", "size": (390, 844)},
    "a large one": {"model": "digits", "address": "#step=3&node=W1"},
    "with blocks": {"model": "deep", "address": "#step=9"},
    "trained": {"trained": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
def test_axe_finds_no_violation(opened, name):
    axe = pytest.importorskip("axe_playwright_python")
    state = dict(STATES[name])
    model = dataflow.load(MODELS / f"{state.pop('model', 'xor')}.toml")
    if state.pop("trained", False):
        dataflow.train(model, epochs=30)
    page = opened(model, state.get("address", ""), size=state.get("size", (1280, 800)), examples=4)
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    told = [(one["id"], one["help"], [node["html"][:120] for node in one["nodes"]][:4]) for one in found["violations"]]
    assert told == []
