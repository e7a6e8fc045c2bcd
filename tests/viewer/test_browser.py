"""The page in a real browser, as its readers use it: with the mouse, by the keyboard, on a phone, in the dark."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from browser import Watched
from checkout import MODELS
from hostile import hostile_model, hostile_texts
from nets import xor

import dataflow
from dataflow.ops import tanh
from dataflow.training import train
from dataflow.viewer import view

ROW_7 = {  # ∂f/∂(w1 … w6, b1, b2, b3) of each example, with the weights S1: computed exactly, by hand
    0: [0, 0, 0, 0, 0.012, 0, 0.084, 0, 0.12],
    1: [0, 0, 0, 0.625, 0, -0.75, 0, 0.625, -1.25],
    2: [-0.371, 0, 0, 0, -0.318, 0, -0.371, 0, -0.53],
    3: [-0.098, -0.098, 0.07, 0.07, -0.042, -0.112, -0.098, 0.07, -0.14],
}
ROW_9 = [-0.469, -0.098, 0.07, 0.695, -0.348, -0.862, -0.385, 0.695, -1.8]


def numbers(page: Any, selector: str) -> list[list[float]]:
    """The entries of the table that a selector leads to."""
    rows = page.eval_on_selector_all(
        f"{selector} tr", "rows => rows.map(row => [...row.querySelectorAll('td[data-i]')].map(one => one.textContent))"
    )
    return [[number(entry) for entry in row] for row in rows if row]


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def product(page: Any) -> list[list[list[float]]]:
    """The three matrices of a step of the backward pass: the product so far, the factor, and what comes out."""
    count = page.locator("#step .equation .named-matrix").count()
    return [numbers(page, f"#step .equation > :nth-child({i + 1}) table") for i in range(count)]


def go(page: Any, step: int) -> None:
    page.eval_on_selector(
        "#slider", "(slider, step) => { slider.value = step; slider.dispatchEvent(new Event('input')); }", step
    )


# ------------------------------------------------------------------------------------------------ the lecture's rows


@pytest.mark.slow
def test_row_7_each_example_s_gradient_and_row_9_their_sum(opened):
    page = opened(xor("S1"))
    choices = page.locator("#example option").all_inner_texts()
    assert choices == ["example 0", "example 1", "example 2", "example 3", "all 4 examples together"]
    names = page.locator("#wrt option").all_inner_texts()
    assert names == ["∂loss/∂W⁽¹⁾", "∂loss/∂b⁽¹⁾", "∂loss/∂W⁽²⁾", "∂loss/∂b⁽²⁾", "all of them"]
    for number, label in enumerate(choices):
        page.select_option("#example", label=label)
        found: dict[str, list[float]] = {}
        for name in names[:4]:
            page.select_option("#wrt", label=name)
            go(page, 99)
            assert page.inner_text("#step-title").split("\n")[0].startswith(name)
            found[name[7:]] = [x for row in numbers(page, "#step .result table.matrix") for x in row]
        shown = [x for name in ("W⁽¹⁾", "W⁽²⁾", "b⁽¹⁾", "b⁽²⁾") for x in found[name]]
        assert shown == ROW_7.get(number, ROW_9)


@pytest.mark.slow
def test_row_29_the_factors_of_w1_one_by_one(opened):
    page = opened(xor("S1"), "#example=3&wrt=W1&step=0")
    assert page.inner_text("#place").startswith("0 of 10")
    steps = []
    for _ in range(10):
        page.click("#next")
        steps.append((page.inner_text("#step-title").split("\n")[0].rsplit("  ", 1)[0], product(page)))
    identity = [[1, 0], [0, 1]]
    factors = [(title, found) for title, found in steps if found]
    assert [title.split(" ")[0] for title, _ in factors] == ["∂loss/∂ŷ", "∂ŷ/∂h", "∂h/∂z", "∂z/∂W⁽¹⁾"]
    assert [found for _, found in factors] == [
        [[[1]], [[-0.14]], [[-0.14]]],
        [[[-0.14]], [[0.7, -0.5]], [[-0.098, 0.07]]],
        [[[-0.098, 0.07]], identity, [[-0.098, 0.07]]],
        [[[-0.098, 0.07]], [[1, 1, 0, 0], [0, 0, 1, 1]], [[-0.098, -0.098, 0.07, 0.07]]],
    ]
    assert numbers(page, "#step .result table.matrix") == [[-0.098, -0.098], [0.07, 0.07]]
    page.select_option("#wrt", label="∂loss/∂W⁽²⁾")
    assert numbers(page, "#step .result table.matrix") == [[-0.042, -0.112]]


@pytest.mark.slow
def test_row_28_the_forward_pass_keeps_every_intermediary(opened):
    page = opened(xor("S1"), "#example=3&wrt=W1&step=0")
    values = {"z": [[0.3, 0.8]], "h": [[0.3, 0.8]], "yhat": [[-0.14]], "loss": [[0.0098]]}
    for name, value in values.items():
        before = page.locator(f"g.node[data-nodes$='{name}'] .value-text").text_content()
        assert before == "= ?"
        page.click("#next")
        assert page.inner_text("#step-title").startswith("ŷ" if name == "yhat" else name)
        assert numbers(page, "#step .result table.matrix") == value
        text = page.locator(f"g.node[data-nodes$='{name}'] .value-text").text_content().replace("−", "-")
        assert json.loads(text.removeprefix("= ")) == (value[0] if len(value[0]) > 1 else value[0][0])


@pytest.mark.slow
def test_row_6_the_kink_that_decides_is_named(opened):
    page = opened(xor("S1"), "#example=2&wrt=W1&step=8")
    assert page.inner_text("#step-title").startswith("∂h/∂z")
    assert "touches its kink at [0, 1]" in page.inner_text("#step .remark")
    assert "h = relu(z): a 2×2 factor, diagonal" in page.inner_text("#step")


# ------------------------------------------------------------------------------------------------ nodes


@pytest.mark.slow
def test_a_node_tells_all_about_itself(opened):
    page = opened(xor("S1"), "#example=3&wrt=W1")
    page.click("g.node[data-nodes='z.transpose z.matmul z']")
    shown = page.inner_text("#node")
    for text in ("z = xW⁽¹⁾ᵀ + b⁽¹⁾", "(n, 2), here 1×2", "float64", "transpose, matmul, add", "Cotangent ∂loss/∂z"):
        assert text in shown
    page.click("text=its backward step")
    assert page.inner_text("#step-title").startswith("∂z/∂W⁽¹⁾")
    jacobian = page.locator("#node .named-matrix", has_text="∂z/∂W⁽¹⁾")
    assert "Kronecker" in jacobian.inner_text()
    assert jacobian.locator("th[scope=col]").all_inner_texts() == ["W⁽¹⁾₁₁", "W⁽¹⁾₁₂", "W⁽¹⁾₂₁", "W⁽¹⁾₂₂"]
    cells = [float(cell) for cell in jacobian.locator("td[data-i]").all_inner_texts()]
    assert cells == [1, 1, 0, 0, 0, 0, 1, 1]
    assert jacobian.locator("td[data-i]").nth(1).get_attribute("title") == "∂z₁/∂W⁽¹⁾₁₂ = 1"


@pytest.mark.slow
def test_a_large_matrix_is_a_heat_map_until_a_table_is_asked_for(opened):
    page = opened(dataflow.load(MODELS / "digits.toml"), "#node=W1")
    card = page.locator("#node")
    assert card.locator("canvas.heat").count() == 2  # its value, and its cotangent
    assert "32×64: the first 32×32 with the last" in card.inner_text()
    card.locator("button", has_text="as a table").first.click()
    assert card.locator("table.matrix tr").count() == 33  # the names of the columns, and 32 rows
    box = page.locator("#node .scroll").first.bounding_box()
    assert box["width"] <= 520


@pytest.mark.slow
def test_every_node_and_edge_is_in_the_picture_once(opened):
    model = dataflow.load(MODELS / "deep.toml")
    page = opened(model, "#open=h1+h2+h3+h4+h5+h6+h7+h8", examples=1)
    nodes = page.eval_on_selector_all("g.node", "all => all.flatMap(one => one.dataset.nodes.split(' '))")
    assert sorted(nodes) == sorted(model.graph.nodes)
    edges = page.eval_on_selector_all("g.edge", "all => all.flatMap(one => one.dataset.edges.split(' '))")
    inside = page.eval_on_selector_all("g.node", "all => all.map(one => one.dataset.nodes.split(' '))")
    folded = {(a, b) for members in inside for a in members for b in members}
    wanted = [f"{a}>{b}:{k}" for a, b, k in model.graph.edges(keys=True) if (a, b) not in folded]
    assert sorted(edges) == sorted(wanted)


# ------------------------------------------------------------------------------------------------ blocks


def blocks() -> Any:
    """Two layers, each a block, and one within the other's caller."""
    return dataflow.load(MODELS / "deep.toml")


@pytest.mark.slow
def test_blocks_fold_and_unfold(opened):
    page = opened(blocks(), examples=1)
    whole = "g.node.block"
    assert page.locator(whole).count() == 8
    page.dblclick(f"{whole} >> nth=2")
    assert page.locator(whole).count() == 7
    assert page.locator("g.cluster").count() == 1
    assert page.locator("g.node[data-nodes~='h3.step']").get_attribute("class").count("block") == 0
    page.click("g.cluster text")
    assert page.locator(whole).count() == 8
    page.click("#blocks summary")
    page.click("text=Unfold all")
    assert page.locator(whole).count() == 0
    assert page.locator("g.cluster").count() == 8
    page.uncheck("#blocks input >> nth=4")
    assert page.locator("g.node.block").count() >= 1
    assert page.locator("g.cluster", has_text="h⁽⁵⁾: residual").count() == 0


@pytest.mark.slow
def test_a_step_inside_a_folded_block_marks_the_block(opened):
    page = opened(blocks(), "#wrt=h3.W&step=0", examples=1)
    page.evaluate("location.hash = '#wrt=h3.W&step=6&open='")
    page.wait_for_selector("g.node.current")
    assert page.inner_text("#step-title").startswith("h⁽³⁾.step")
    assert page.locator("g.node.current").get_attribute("data-nodes").split()[-1] == "h3"


# ------------------------------------------------------------------------------------------------ keys


@pytest.mark.slow
def test_everything_works_by_keyboard(opened):
    page = opened(xor("S1"), "#example=3&wrt=W1&step=0")
    live = page.locator("#live")
    page.keyboard.press("ArrowRight")
    assert re.fullmatch(r"Forward: z, which is .* \+ .*, is \[0\.3, 0\.8\]\.", live.inner_text())
    page.keyboard.press("End")
    assert "is [−0.098, −0.098], [0.07, 0.07]" in live.inner_text()
    page.keyboard.press("Home")
    assert page.inner_text("#place").startswith("0 of 10")
    seen = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('class') || ''"))
    assert {"example", "wrt", "theme", "zoom-in", "zoom-out", "zoom-fit", "next", "slider", "play"} <= seen
    page.focus("g.node[tabindex='0']")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    focused = page.evaluate("document.activeElement.dataset.nodes")
    page.wait_for_timeout(300)
    outline = page.evaluate(
        "getComputedStyle(document.activeElement.querySelector('polygon, path, ellipse')).strokeWidth"
    )
    assert outline == "3px"  # the focus can be seen
    page.keyboard.press("Enter")
    title = page.inner_text("#node-title").split("\n")[0]
    assert title == {"x": "x", "W1": "W⁽¹⁾", "b1": "b⁽¹⁾"}[focused.split()[-1]]
    assert page.locator("[aria-current='true']").get_attribute("data-nodes") == focused
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#place").startswith("1 of 10")
    page.focus("#slider")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#place").startswith("2 of 10")


@pytest.mark.slow
def test_blocks_fold_by_keyboard_and_the_focus_stays(opened):
    page = opened(blocks(), examples=1)
    page.focus("g.node.block")
    page.keyboard.press("f")
    assert page.locator("g.node.block").count() == 7
    assert page.evaluate("document.activeElement.closest('#stage') !== null")
    page.focus("g.node[data-nodes='h1.step.linear h1.step'], g.node[data-nodes~='h1.step']")
    page.keyboard.press("f")
    assert page.locator("g.node.block").count() == 8
    assert page.evaluate("document.activeElement.getAttribute('class')").startswith("node block")


@pytest.mark.slow
def test_escape_closes_a_popup_and_the_focus_goes_back(opened):
    page = opened(xor("S1"))
    page.focus("#legend summary")
    page.keyboard.press("Enter")
    assert page.is_visible("#legend .popup")
    page.keyboard.press("Escape")
    assert not page.is_visible("#legend .popup")
    assert page.evaluate("document.activeElement.textContent") == "Legend"


@pytest.mark.slow
def test_every_control_has_a_name(opened):
    page = opened(dataflow.load(MODELS / "deep.toml"), "#node=h1", examples=1)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, summary, [role=button]")]
            .filter(one => !(one.getAttribute("aria-label") || one.textContent.trim()
                || (one.labels && [...one.labels].some(label => label.textContent.trim()))))
            .map(one => one.outerHTML.slice(0, 90))"""
    )
    assert nameless == []


# ------------------------------------------------------------------------------------------------ pan, zoom, screens


@pytest.mark.slow
def test_pan_and_zoom(opened):
    page = opened(xor("S1"))
    page.wait_for_timeout(200)
    place = "document.getElementById('stage').style.transform"
    at_first = page.evaluate(place)
    page.mouse.move(400, 400)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(100)
    zoomed = page.evaluate(place)
    assert float(re.search(r"scale\((.*?)\)", zoomed)[1]) > float(re.search(r"scale\((.*?)\)", at_first)[1])
    page.mouse.down()
    page.mouse.move(300, 300, steps=4)
    page.mouse.up()
    page.wait_for_timeout(100)
    assert page.evaluate(place) != zoomed
    assert page.inner_text("#node-title") == "A node"  # a drag chooses nothing
    page.click("#zoom-fit")
    page.wait_for_timeout(100)
    assert page.evaluate(place) == at_first


@pytest.mark.slow
def test_the_whole_of_a_small_graph_is_in_view(opened):
    page = opened(xor("S1"))
    page.wait_for_timeout(200)
    outside = page.evaluate(
        """() => { const frame = document.getElementById("viewport").getBoundingClientRect();
            return [...document.querySelectorAll("g.node")].filter(one => { const box = one.getBoundingClientRect();
                return box.left < frame.left || box.right > frame.right || box.top < frame.top
                    || box.bottom > frame.bottom; }).length; }"""
    )
    assert outside == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["xor", "deep", "digits", "composition"])
def test_a_phone_needs_no_sideways_scrolling(opened, name):
    page = opened(dataflow.load(MODELS / f"{name}.toml"), size=(360, 740), examples=2)
    last = int(page.get_attribute("#slider", "max"))
    for step in sorted({0, 1, last // 2, last}):
        go(page, step)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    small = page.evaluate(
        """() => [...document.querySelectorAll("footer button")].filter(one => one.offsetParent)
            .filter(one => one.offsetHeight < 32 || one.offsetWidth < 32).length"""
    )
    assert small == 0
    page.wait_for_timeout(400)
    current = page.locator("g.node.current")
    if current.count():
        box, frame = current.first.bounding_box(), page.locator("#viewport").bounding_box()
        assert box["y"] >= frame["y"] - 1
        assert box["y"] + box["height"] <= frame["y"] + frame["height"] + 1


@pytest.mark.slow
def test_long_names_stay_within_their_card(opened):
    graph = dataflow.Graph("long")
    x = graph.input("the_pixels_of_the_handwritten_digit_as_scanned", (2, 3))
    first = graph.node("preactivation_of_the_first_and_only_hidden_layer", x * 2)
    second = graph.node("activation_of_the_first_and_only_hidden_layer", tanh(first))
    graph.node("what_all_of_this_was_computed_for_in_the_end", tanh(second))
    page = opened(dataflow.Model(graph, ["what_all_of_this_was_computed_for_in_the_end"]), size=(360, 740))
    for step in (5, 6, 7):  # the three factors
        go(page, step)
        assert page.locator(".chip").count() == 3
        wide = "() => [...document.querySelectorAll('.chip')].filter(one => one.getBoundingClientRect().right > 360)"
        assert page.evaluate(f"({wide})().length") == 0


@pytest.mark.slow
def test_light_and_dark(opened):
    page = opened(xor("S1"))
    background = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(background)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(background)
    assert sum(map(int, re.findall(r"\d+", dark))) < 150 < 600 < sum(map(int, re.findall(r"\d+", light)))
    page.click("#theme")
    assert page.evaluate(background) == dark
    page.click("#theme")
    assert page.evaluate(background) == light


@pytest.mark.slow
def test_a_link_leads_to_a_step(opened):
    page = opened(xor("S1"), "#step=8&example=3&wrt=W1&node=h&theme=dark")
    assert page.inner_text("#step-title").startswith("∂h/∂z")
    assert page.inner_text("#node-title").startswith("h")
    page.keyboard.press("ArrowRight")
    address = page.evaluate("location.hash")
    assert "step=9" in address
    page.reload()
    page.wait_for_selector("#stage svg")
    assert page.inner_text("#step-title").startswith("∂z/∂W⁽¹⁾")
    page.evaluate("location.hash = '#step=999999&example=77&wrt=nothing&node=none&open=x'")
    page.wait_for_timeout(100)
    assert page.locator("#step h2").count() == 1


# ------------------------------------------------------------------------------------------------ training


@pytest.mark.slow
def test_a_trained_model_shows_its_losses_and_its_boundary(opened):
    model = dataflow.load(MODELS / "xor.toml")
    train(model, epochs=400)
    page = opened(model)
    card = page.locator("#training")
    assert card.locator(".uplot").count() == 2
    assert "ends in the file's parameters, bit for bit" in card.inner_text()
    slider = card.locator("input[type=range]")
    assert card.locator("output").inner_text() == "epoch 400"
    pixels = "all => all.at(-1).toDataURL()"
    at_the_end = page.eval_on_selector_all("#training canvas", pixels)
    slider.focus()
    page.keyboard.press("Home")
    assert card.locator("output").inner_text() == "epoch 0"
    assert page.inner_text("#place").startswith("0 of")  # the epochs' slider is not the steps'
    assert page.eval_on_selector_all("#training canvas", pixels) != at_the_end


CURVES: dict[str, tuple[list[float], bool]] = {  # losses; whether a logarithmic scale is offered
    "trained to the last digit": ([0.5, 1e-8, 7e-23, 1e-31, 0.0], True),
    "denormal": ([1.0, 1e-200, 5e-324], True),
    "only zeros": ([0.0, 0.0], False),
    "huge": ([1e300, 1e150, 1.0], True),
    "the largest": ([1.7e308, -1.7e308, 0.0], False),
    "negative": ([1.0, -2.0, -3e300], False),
    "all the same": ([1e-40] * 3, True),
    "not finite": ([1.0, math.nan, math.inf, -math.inf, 1e-30], True),
    "nothing finite": ([math.nan, math.inf], False),
    "side by side": ([1.0, 1.0 + 1e-15], True),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CURVES)
def test_curves_of_any_numbers_are_drawn(opened, case):
    losses, logarithmic = CURVES[case]
    model = dataflow.load(MODELS / "jacobian.toml")
    model.training = {"loss": losses, "metrics": {"validation_loss": list(losses)}}
    page = opened(model)
    card = page.locator("#training")
    said = "drawn at the lower edge" in card.inner_text()
    assert said == (logarithmic and 0 in losses)
    button = card.get_by_role("button", name="linear scale")
    assert button.count() == int(logarithmic)
    colours = """() => { const found = document.querySelector("#training canvas"); return new Set(new Uint32Array(
        found.getContext("2d").getImageData(0, 0, found.width, found.height).data.buffer)).size; }"""
    assert page.evaluate(colours) > 1
    if logarithmic:
        button.click()
        assert page.evaluate(colours) > 1


@pytest.mark.slow
def test_a_model_that_is_neither_trained_nor_plane_shows_no_training(opened):
    page = opened(dataflow.load(MODELS / "jacobian.toml"))
    assert not page.is_visible("#training")


# ------------------------------------------------------------------------------------------------ what is not there


@pytest.mark.slow
def test_without_data_nothing_is_zero(opened):
    model = xor("S1")
    model.data = None
    page = opened(model)
    go(page, 2)
    assert "not computed: it needs x" in page.inner_text("#step")
    assert page.locator("g.node[data-nodes='h'] .value-text").text_content() == "not computed"
    page.click("#last")
    assert "The backward pass is not computed" in page.inner_text("#step")
    page.click("g.node[data-nodes='x']")
    assert "not given" in page.inner_text("#node")
    assert page.locator("g.node[data-nodes='x'] .value-text").text_content() == "not given"


@pytest.mark.slow
def test_a_model_without_a_loss_goes_forward_only(opened):
    page = opened(dataflow.load(MODELS / "composition.toml"))
    page.click("#last")
    assert page.inner_text("#place").startswith("3 of 3")
    assert not page.is_visible("#wrt")
    go(page, 0)
    assert "There is no backward pass: the model has no loss; --of NODE" in page.inner_text("#step")


@pytest.mark.slow
def test_a_parameter_that_nothing_needs_has_no_path(opened):
    graph = dataflow.Graph("apart")
    x, w = graph.input("x", ()), graph.parameter("w", value=2.0)
    graph.parameter("unused", value=1.0)
    graph.node("f", w * x)
    page = opened(dataflow.Model(graph, ["f"]), "#wrt=unused", x=3.0)
    go(page, 99)
    assert "No path leads from f back to unused: the gradient is zero" in page.inner_text("#step")
    page.select_option("#wrt", label="∂f/∂w")
    go(page, 99)
    assert numbers(page, "#step .result table.matrix") == [[3]]
    page.select_option("#wrt", label="all of them")
    go(page, 99)
    assert "No path leads from f back to unused" in page.inner_text("#step")


@pytest.mark.slow
def test_the_derivative_with_respect_to_itself_is_the_identity(opened):
    graph = dataflow.Graph("itself")
    graph.node("f", 2.0 * graph.input("x", (2,)))
    page = opened(dataflow.Model(graph, ["f"]), wrt="f", x=[1, 2])
    go(page, 99)
    assert numbers(page, "#step .result table.matrix") == [[1, 0], [0, 1]]


@pytest.mark.slow
def test_a_chain_that_was_folded_by_layers(opened):
    graph = dataflow.Graph("chain")
    value = graph.input("x", ())
    for i in range(1500):
        value = graph.node(f"n{i}", dataflow.ops.tanh(value))
    page = opened(dataflow.Model(graph, ["n1499"]), x=0.5)
    page.locator("g.node.layers").first.dispatch_event("click")
    assert "folded: n" in page.inner_text("#node")
    assert page.inner_text("#place").startswith(
        "0 of 36"
    )  # 16 layers and n1499 forward, the same back, the seed, the result


@pytest.mark.slow
def test_rows_20_and_21_a_jacobian_of_several_rows(opened):
    page = opened(dataflow.load(MODELS / "composition.toml"), "#step=5", of="f", wrt="x")
    assert product(page) == [[[1]], [[1, -2, 0.25]], [[1, -2, 0.25]]]
    page.click("#next")
    assert product(page) == [[[1, -2, 0.25]], [[1, 2], [0, 1], [-1, 0]], [[0.75, 0]]]


# ------------------------------------------------------------------------------------------------ hostility


@pytest.mark.slow
def test_hostile_texts_stay_text(opened):
    texts = hostile_texts(60, seed=5)
    for text in texts[::12]:
        model = hostile_model(text, doc="\n\n".join(texts))
        page = opened(model, x=[[1, 2]], wrt="x")
        assert page.evaluate("document.querySelectorAll('script').length") == 2
        assert page.evaluate("document.querySelectorAll('img, iframe, object, embed, link, base, style').length") == 1
        shown = page.evaluate("document.getElementById('about').textContent")
        assert "<script>alert(1)</script>" in shown


def test_no_script_but_ours_runs_and_nothing_is_fetched(context, tmp_path):
    path = tmp_path / "page.html"
    view(xor("S1")).save(path)
    watched = Watched(context, path.as_uri())
    page = watched.page
    page.goto(path.as_uri())
    page.wait_for_selector("#stage svg")
    assert watched.faults == []
    done = page.evaluate(
        """async () => {
            const made = document.createElement("script");
            made.textContent = "window.intruder = 1";
            document.body.append(made);
            const holder = document.createElement("div");
            holder.innerHTML = "<img src='https://example.org/x.png' onerror='window.intruder = 2'>";
            document.body.append(holder);
            let fetched = true;
            try { await fetch("https://example.org/"); } catch { fetched = false; }
            await new Promise(done => setTimeout(done, 200));
            return [window.intruder === undefined, fetched];
        }"""
    )
    assert done == [True, False]
    assert any("Content Security Policy" in fault for fault in watched.faults)
    page.close()
