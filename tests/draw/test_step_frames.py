"""Frames: the states of a picture after each step lie exactly over each other, and become files."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from collections import defaultdict
from itertools import pairwise

import pytest
from checkout import ROOT
from commands import invoke

import dataflow
from dataflow.draw import step_frames as frames_module
from dataflow.draw.frames_folder import LIST
from dataflow.draw.layout import engines
from dataflow.draw.picture.picture import Flow
from dataflow.draw.step_frames import FRAME_FORMATS
from dataflow.errors import DataError, DataflowError, FileFormatError, GraphError, MissingExtraError

MODELS = {path.stem: path for path in sorted((ROOT / "models").glob("*.toml"))}
XOR = MODELS["xor"]
SVG = "{http://www.w3.org/2000/svg}"


def draw(name="xor", **options):
    model = dataflow.load(MODELS[name])
    options.setdefault("style", "graph")
    return dataflow.draw(model, of=None if model.loss else model.outputs[0], **options)


def by_step(picture):
    steps = defaultdict(set)
    for node in picture.nodes:
        steps[node.step].add(node.key)
    return dict(steps)


def test_the_steps_of_both_passes():
    """Forward in the order of evaluation; then each node hands its gradient on to what it was computed from."""
    backward = [{"grad.loss.seed", "grad.yhat"}, {"grad.W2", "grad.b2", "grad.h"}, {"grad.z"}, {"grad.W1", "grad.b1"}]
    forward = [{"x", "y", "W1", "b1", "W2", "b2"}, {"z"}, {"h"}, {"yhat"}, {"loss"}]
    assert by_step(draw(both=True).picture) == dict(enumerate([*forward, *backward]))
    assert by_step(draw().picture) == dict(enumerate(forward))
    saved = {"x", "y", "z", "h", "W2", "yhat"}  # from the forward pass, which is over
    assert by_step(draw(backward=True).picture) == dict(enumerate([saved, *backward]))


@pytest.mark.parametrize("options", [{}, {"backward": True}, {"both": True}, {"both": True, "inner": True}], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_there_before_what_it_is_computed_from(name, options):
    picture = draw(name, **options).picture
    step_of = {node.key: node.step for node in picture.nodes}
    for edge in picture.edges:
        if edge.flow != Flow.REPEAT:
            assert step_of[edge.source] <= step_of[edge.target] == edge.step
    assert {element.step for element in picture.elements} >= set(range(1, picture.steps + 1))


def groups(svg):
    """The groups of a picture's elements by the end of their id, without what names the picture."""
    root = ET.fromstring(svg)
    found = {}
    for group in root.iter(f"{SVG}g"):
        if identity := group.attrib.pop("id", None):
            found["-".join(identity.split("-")[1:])] = group
    return root, found


@pytest.mark.parametrize("engine", [engine.name for engine in engines.engines()])
def test_frames_lie_exactly_over_each_other(engine):
    drawing = draw(both=True, values=True, example=3, engine=engine)
    whole_root, whole = groups(drawing.render("svg"))
    for step in (0, 6):
        frame = drawing.at_step(step)
        root, shown = groups(frame.render("svg"))
        assert root.get("viewBox") == whole_root.get("viewBox")
        assert shown.keys() == whole.keys()
        for number, element in enumerate(frame.picture.nodes, 1):
            group, full = shown[f"node-{number}"], whole[f"node-{number}"]
            if not element.pending:
                assert ET.tostring(group) == ET.tostring(full)
            else:
                assert "pending" in group.get("class")
                outlines = [[child.get("d") or child.get("points") for child in each] for each in (group, full)]
                assert outlines[0] == outlines[1]
                assert "not computed yet" in group.find(f"{SVG}title").text
                numbers = [line.text for line in element.lines if line.is_result]
                texts = [text.text for text in group.findall(f"{SVG}text")]
                assert numbers
                assert not any(number in text for number in numbers for text in texts)
        for number, element in enumerate(frame.picture.edges, 1):
            texts = shown[f"edge-{number}"].findall(f"{SVG}text")
            assert bool(texts) == (bool(element.label) and not element.pending)
    assert [node.pending for node in drawing.at_step(8).picture.nodes] == [False] * 18


@pytest.mark.parametrize("form", ["dot", "tikz", "mermaid"])
def test_every_format_of_text_tells_what_is_pending(form):
    drawing = draw(both=True, values=True, example=3)
    early, whole = (drawing.at_step(step).render(form).decode() for step in (0, 8))
    assert drawing.render(form).decode() == whole.replace("Step 8 of 8. ", "")
    assert "0.01125" in whole
    assert "0.01125" not in early
    assert {"dot": "#ced0d2", "tikz": "line!25!paper", "mermaid": "#ced0d2"}[form] in early


def test_a_theme_that_follows_the_page_has_pale_colours_too():
    svg = draw(theme="auto").at_step(2).render("svg").decode()
    assert '[fill="#c6c7c8"]' in svg  # a quarter of #1b1f24, the rest white
    assert '[fill="#c6c7c8"]' not in draw(theme="auto").render("svg").decode()


def test_a_step_that_is_not_there():
    for step in (9, -1):
        with pytest.raises(DataError, match="the picture has 8 steps; choose 0"):
            draw(both=True).at_step(step)


# ------------------------------------------------------------------------------------------------ files


def test_frames_are_a_sequence():
    frames = draw(engine="graphviz-pure").frames()
    assert len(frames) == 5
    assert [node.key for node in frames[2].picture.nodes if node.pending] == ["yhat", "loss"]
    assert not frames[-1].picture.is_partial
    assert len(frames[1:3]) == 2
    with pytest.raises(IndexError, match="0 to 4"):
        frames[5]
    assert "@keyframes" in frames._repr_mimebundle_()["image/svg+xml"]


def test_a_folder_of_frames_replaces_what_was_written_there_and_nothing_else(tmp_path):
    folder = tmp_path / "new" / "slides"
    frames = draw(both=True, engine="graphviz-pure").frames()
    (tmp_path / "other").mkdir()
    written = frames.save_to(folder)
    assert [path.name for path in written] == [f"frame-{step:03}.svg" for step in range(9)]
    assert written[6].read_bytes() == frames[6].render("svg")
    (folder / "notes.svg").write_text("mine")
    (folder / "frame-100.svg").write_text("mine, too")
    fewer = draw(engine="graphviz-pure").frames()
    assert len(fewer.save_to(folder)) == 5
    names = {path.name for path in folder.iterdir()}
    assert names == {*(f"frame-{step:03}.svg" for step in range(5)), "notes.svg", "frame-100.svg", LIST}
    assert fewer.save_to(folder, "png")[0].read_bytes().startswith(b"\x89PNG")
    assert (folder / "frame-004.svg").exists()
    (folder / "frame-003.svg").write_text("drawn over by hand")
    with pytest.raises(FileFormatError, match=r"frame-003.svg: is no frame that dataflow wrote, or was changed"):
        frames.save_to(folder)
    assert not (folder / "frame-005.svg").exists()  # nothing is written if a file is in the way


def test_a_list_of_frames_is_not_trusted(tmp_path):
    (tmp_path / "keep.svg").write_text("mine")
    folder = tmp_path / "slides"
    folder.mkdir()
    outside = "../keep.svg"
    for content in (
        b"[]",
        b"{",
        b'{"frames": 3}',
        json.dumps({"frames": {outside: [], "frame-001.svg": [1]}}).encode(),
    ):
        (folder / LIST).write_bytes(content)
        draw(engine="graphviz-pure").frames().save_to(folder)
        assert outside not in json.loads((folder / LIST).read_bytes())["frames"]
    (folder / "frame-000.svg").unlink()
    (folder / "frame-000.svg").symlink_to(tmp_path / "keep.svg")
    with pytest.raises(FileFormatError, match="no frame that dataflow wrote"):
        draw(engine="graphviz-pure").frames().save_to(folder)
    assert (tmp_path / "keep.svg").read_text() == "mine"


def test_a_gif_shows_every_step(tmp_path):
    image = pytest.importorskip("PIL.Image")
    drawing = draw("matrix-vector", engine="graphviz-pure", theme="dark")
    assert drawing.frames().save(tmp_path / "build.gif", delay=0.5) == []
    with image.open(tmp_path / "build.gif") as gif:
        assert (gif.n_frames, gif.size) == (2, image.open(io.BytesIO(drawing.render("png"))).size)
        durations = []
        for step in range(gif.n_frames):
            gif.seek(step)
            durations.append(gif.info["duration"])
            assert gif.convert("RGB").getpixel((0, 0)) == (0x0D, 0x11, 0x17)  # the paper, exactly
        assert durations == [500, 1500]
    assert drawing.render("gif").startswith(b"GIF89a")


def test_a_pdf_has_a_page_for_each_step(tmp_path):
    pypdf = pytest.importorskip("pypdf")
    if not any("pdf" in engine.formats for engine in engines.engines()):
        pytest.skip("no engine that writes PDF")
    frames = draw("matrix-vector", values=True, data={"x": [1, 2]}).frames()
    frames.save(tmp_path / "build.pdf")
    assert frames.render("pdf") == (tmp_path / "build.pdf").read_bytes()
    pages = pypdf.PdfReader(tmp_path / "build.pdf").pages
    assert len(pages) == len(frames) == 2
    assert len({tuple(page.mediabox) for page in pages}) == 1
    first, last = (page.get_contents().get_data() for page in pages)
    assert first != last
    if "matrix" in pages[0].extract_text():  # there are fonts
        assert ["[5, 11]" in page.extract_text() for page in pages] == [False, True]


@pytest.mark.parametrize(("form", "extra"), [("gif", "plot"), ("pdf", "render")])
def test_what_is_missing_is_named(monkeypatch, form, extra):
    monkeypatch.setattr(frames_module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=rf"install dataflow-autodiff\[{extra}\]"):
        draw().frames().render(form)


def test_too_many_frames(monkeypatch, tmp_path):
    monkeypatch.setattr(frames_module, "MOST_FRAMES", 4)
    frames = draw().frames()
    for make in (lambda: frames.save_to(tmp_path), lambda: frames.render("svg"), lambda: draw().render("gif")):
        with pytest.raises(GraphError, match=r"4 steps, too many for frames .* --collapse .* --at-step"):
            make()
    assert not list(tmp_path.iterdir())


def test_wrong_formats_and_delays():
    frames = draw().frames()
    for make in (
        lambda: frames.render("png"),
        lambda: frames.render("svg", delay=0),
        lambda: frames.save("build.tex"),
        lambda: frames.save_to("somewhere", "gif"),
    ):
        with pytest.raises(DataflowError, match=r"choose|over 0"):
            make()


def test_an_animation_is_the_whole_picture_with_a_stylesheet():
    """Without motion, or where nothing plays, it is the picture itself."""
    drawing = draw(engine="graphviz-pure", values=True, example=3)
    root = ET.fromstring(drawing.frames().render("svg", delay=2))
    style = root.find(f"{SVG}style")
    assert style.text.startswith("@media (prefers-reduced-motion:no-preference){")
    assert "14s infinite" in style.text  # 4 steps and the start of 2 s each, the last three times as long
    root.remove(style)
    del root.attrib["id"]
    for element in root.iter():
        if element.get("class", "").startswith(("part-", "result-")):
            del element.attrib["class"]
    whole = ET.fromstring(drawing.render("svg"))
    assert ET.canonicalize(ET.tostring(root), strip_text=True) == ET.canonicalize(ET.tostring(whole), strip_text=True)


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_writes_frames(tmp_path):
    folder = tmp_path / "slides"
    done = invoke("draw", XOR, "--both", "--style", "graph", "--frames-to", folder, "--engine", "graphviz-pure")
    assert done.output == f"Wrote 9 frames of 18 nodes and 22 edges of 'xor' to {folder}.\n"
    answer = json.loads(invoke("draw", XOR, "--frames-to", folder, "--engine", "graphviz-pure", "--json").output)
    assert answer["frames"] == [str(folder / f"frame-{step:03}.svg") for step in range(5)]
    assert answer["file"] is None
    assert invoke("draw", XOR, "--at-step", 3, "-o", tmp_path / "three.svg", "--engine", "graphviz-pure").exit_code == 0
    assert (tmp_path / "three.svg").read_bytes() == (folder / "frame-003.svg").read_bytes()
    assert invoke("draw", XOR, "--steps", "-o", tmp_path / "all.svg", "--engine", "graphviz-pure").exit_code == 0
    assert "@keyframes" in (tmp_path / "all.svg").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say where to write: -o FILE, --output-dir DIR or --frames-to DIR"),
        (["-o", "a.svg", "--at-step", "1", "--steps"], "either --at-step or --steps"),
        (["--frames-to", "a", "--at-step", "1"], "either --at-step or --frames-to"),
        (["-o", "a.gif", "--at-step", "1"], "a GIF holds all steps"),
        (["-o", "a.png", "--steps"], "--steps goes with -o FILE.gif, FILE.svg, FILE.pdf"),
        (["-o", "a.svg", "--frame-format", "png"], "--frame-format goes with --frames-to"),
        (["-o", "a.svg", "--frame-delay", "2"], "--frame-delay goes with a GIF, or an SVG with --steps"),
    ],
)
def test_options_that_do_not_go_together(words, said):
    done = invoke("draw", XOR, *words)
    assert done.exit_code == 2
    assert said in done.output


def test_a_step_too_far_is_one_line(tmp_path):
    done = invoke("draw", XOR, "-o", tmp_path / "a.svg", "--at-step", 9)
    assert done.exit_code == 1
    assert done.output == f"Error: {XOR}: there is no step 9: the picture has 4 steps; choose 0 (the inputs) to 4\n"
    assert set(FRAME_FORMATS) == {"svg", "png", "pdf"}


def test_an_animation_shows_no_sign_before_its_number():
    """The signs of a product of numbers come with the numbers; those of the symbols are pale from the start."""
    drawing = draw(style="lecture", both=True, values=True, example=3)
    root = ET.fromstring(drawing.frames().render("svg"))
    spans = [span for text in root.iter(f"{SVG}text") for span in text.findall(f"{SVG}tspan") if span.get("class")]
    pairs = [(a, b) for a, b in pairwise(spans) if b.get("class").startswith("number") and "·" in (a.text or "")]
    assert len(pairs) > 3
    assert all(a.get("class") == b.get("class") for a, b in pairs)
