"""The Sphinx extension: small sites in reStructuredText and Markdown, built for HTML, LaTeX and text."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkout import MODELS, ROOT
from sphinx.testing.util import SphinxTestApp

import dataflow
from dataflow.cli.commands.draw import command as draw_command
from dataflow.cli.commands.explain import command as explain_command
from dataflow.draw.layout import engines
from dataflow.sphinx import STYLESHEET
from dataflow.sphinx.directives import IMAGE_OPTIONS, ExplanationDirective, PictureDirective

CONF = """
project = "Site"
extensions = ["dataflow.sphinx", "myst_parser"]
exclude_patterns = ["models"]
numfig = True
dataflow_engine = "graphviz-pure"
"""
INDEX = """
Site
====

.. toctree::

   sub/page

See :numref:`passes`.

.. dataflow:: models/xor.toml

.. dataflow:: models/xor.toml
   :both:
   :wrt: W1
   :values:
   :example: 3
   :caption: The *two* passes.
   :name: passes
   :align: center
   :width: 80%

.. dataflow::
   :values:
   :set: x=[1, 2]
   :alt: Twice "x".
   :theme: auto

   dataflow = 1
   name = "double"
   [inputs]
   x = { shape = ["n"] }
   [nodes]
   y = "2 * x"
"""
PAGE = """# Markdown

```{dataflow} ../models/wine.toml
:caption: A regression.
:name: wine
:no-legend:
```

```{dataflow} /models/perspectives.toml
:backward:
:values:
:set: x=4; y=5
:format: png
```
"""
EXPLAINED = """
Explained
=========

.. dataflow-explain:: models/xor.toml
   :wrt: W1
   :example: 3
   :name: w1

.. dataflow-explain:: models/xor-scalars.toml
   :wrt: w1
   :symbolic:
"""


@pytest.fixture
def site(tmp_path):
    """A folder with the models, and a function that writes pages into it."""
    return new_site(tmp_path)


def new_site(folder):
    source = folder / "source"
    shutil.copytree(ROOT / "models", source / "models")
    (source / "conf.py").write_text(CONF, encoding="utf-8")

    def write(**pages):
        for name, text in pages.items():
            file = source / (name.replace("__", "/") + (".md" if text.startswith("# ") else ".rst"))
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return source

    return write


@contextmanager
def built(source, builder="html", out="build", **settings):
    """The application after a build, its warnings, and where it wrote."""
    app = SphinxTestApp(builder, source, builddir=source.parent / out, confoverrides=settings)
    try:
        app.build()
        yield app, re.sub(r"\x1b\[[\d;]*m", "", app.warning.getvalue()), Path(app.outdir)
    finally:
        app.cleanup()


def images(html):
    """The attributes of each image in a page."""
    return [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) for tag in re.findall(r"<img [^>]*>", html)]


def texts(picture):
    return {element.text for element in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")}


# ------------------------------------------------------------------------------------------------ builders


def test_a_site_of_both_languages(site):
    with built(site(index=INDEX, sub__page=PAGE)) as (_, warnings, out):
        assert warnings == ""
        index, page = ((out / name).read_text(encoding="utf-8") for name in ("index.html", "sub/page.html"))
        first, second, third = images(index)
        assert first["alt"].startswith("A data-flow graph of 10 nodes and 9 edges, xor: forward pass.")
        assert "relu(z)" in texts(out / first["src"])
        assert {"0.01125", "∂ŷ/∂h = (0.7, −1.3)"} <= texts(out / second["src"])  # by hand, in test_gallery.py
        assert "80%" in second["style"]
        assert re.search(r'<figure class="align-center" id="passes">', index)
        assert "The <em>two</em> passes." in index
        assert re.search(
            r'See <a class="reference internal" href="#passes"><span class="std std-numref">Fig\. \d', index
        )
        assert third["alt"] == "Twice &quot;x&quot;."
        assert third["class"] == "dataflow dark-light"
        assert "= [2, 4]" in texts(out / third["src"])
        assert "prefers-color-scheme" in (out / third["src"]).read_text(encoding="utf-8")
        fourth, fifth = images(page)
        assert not any("ellipse: input" in str(text) for text in texts(out / "sub" / fourth["src"]))
        assert 'id="wine"' in page
        png = (out / "sub" / fifth["src"]).read_bytes()
        assert png.startswith(b"\x89PNG")
        assert fifth["style"] == f"width: {int.from_bytes(png[16:20], 'big') * 96 // 150}px;"
        assert '"_static/dataflow.css' in index
        assert (out / "_static" / "dataflow.css").read_bytes() == STYLESHEET.read_bytes()
        assert len(list((out / "_images").iterdir())) == 5
        for text in (index, page):
            assert str(out.parent) not in text


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_layouts")
def test_the_same_bytes_each_time(site):
    source = site(index=INDEX, sub__page=PAGE)
    found = []
    for out in ("one", "two"):
        with built(source, out=out) as (_, _, folder):
            found.append({path.name: path.read_bytes() for path in (folder / "_images").iterdir()})
    assert found[0] == found[1]
    assert len(found[0]) == 5


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["graphviz-pure", None])
def test_latex_gets_pdf_or_png(site, engine):
    with built(site(index=INDEX, sub__page=PAGE), "latex", dataflow_engine=engine) as (_, warnings, out):
        assert warnings == ""
        (tex,) = out.glob("*.tex")
        included = re.findall(r"\\sphinxincludegraphics(?:\[[^]]*\])?\{\{(dataflow-[\w-]+)\}\.(\w+)\}", tex.read_text())
        assert len(included) == 5
        pdf = any("pdf" in found.formats for found in engines.engines()) and engine is None
        for stem, ending in included:
            asked_for_png = "perspectives" in stem
            assert ending == ("pdf" if pdf and not asked_for_png else "png")
        for stem, ending in included:
            assert (out / f"{stem}.{ending}").read_bytes().startswith(b"%PDF" if ending == "pdf" else b"\x89PNG")


def test_text_gets_descriptions(site):
    with built(site(index=INDEX, sub__page=PAGE), "text") as (_, warnings, out):
        assert warnings == ""
        text = " ".join((out / "index.txt").read_text(encoding="utf-8").split())
        assert "[image: A data-flow graph of 10 nodes and 9 edges, xor: forward pass." in text
        assert '[image: Twice "x".]' in text


@pytest.mark.slow
@pytest.mark.parametrize("builder", ["html", "latex", "text", "xml", "man", "gettext"])
def test_no_builder_is_at_a_loss(site, builder):
    source = site(index=INDEX + "\n.. toctree::\n\n   explained\n", sub__page=PAGE, explained=EXPLAINED)
    with built(source, builder) as (_, warnings, out):
        assert warnings == ""
        assert any(path.stat().st_size for path in out.rglob("*") if path.is_file())


def test_an_explanation_in_each_language(site):
    """Numbers as in test_notebook.py, by hand."""
    source = site(index=EXPLAINED)
    with built(source) as (_, warnings, out):
        assert warnings == ""
        html = (out / "index.html").read_text(encoding="utf-8")
        assert '<div class="docutils container" id="w1">' in html
        assert "<td>-0.105</td>" in html
        assert "<h1>" in html  # the page's own
        assert html.count("<h1") == 1
        assert r"\begin{align*}" in html
    with built(source, "latex") as (_, warnings, out):
        assert warnings == ""
        (tex,) = out.glob("*.tex")
        text = tex.read_text(encoding="utf-8")
        assert (
            r"\frac{\partial \mathrm{loss}}{\partial W^{(1)}} &= \begin{pmatrix} -0.105 & -0.105 & 0.195 & 0.195"
            in text
        )
        assert text.count(r"\begin{align*}") == text.count(r"\end{align*}") == 2
        assert text.count(r"\documentclass") == 1
    with built(source, "text") as (_, _, out):
        assert "[ -0.105  -0.105  0.195  0.195 ]" in (out / "index.txt").read_text(encoding="utf-8")


def test_what_the_documentation_shows(site):
    text = (ROOT / "docs" / "documents.md").read_text(encoding="utf-8")
    shown = [content for _, content in re.findall(r"^(```+)text\n(.*?)^\1$", text, re.DOTALL | re.MULTILINE)]
    rest = [content for content in shown if content.startswith("..")]
    (markdown,) = (content for content in shown if content.startswith("```"))
    assert len(rest) == 3
    index = HEAD + "\n".join(rest) + "\n.. toctree::\n\n   page\n"
    with built(site(index=index, page="# Page\n\n" + markdown)) as (_, warnings, out):
        assert warnings == ""
        assert len(list((out / "_images").iterdir())) == 3
    for option in {**PictureDirective.option_spec, **ExplanationDirective.option_spec}:
        assert f"`{option}`" in text, option


# ------------------------------------------------------------------------------------------------ incremental builds


def read_again(source, change):
    """The documents that are read in a second build, after a change."""
    with built(source):
        pass
    change()
    app = SphinxTestApp("html", source, builddir=source.parent / "build", freshenv=False)
    read = []
    try:
        app.connect("env-before-read-docs", lambda app, env, names: read.extend(names))
        app.build()
        assert app.warning.getvalue() == ""
        return sorted(read), Path(app.outdir)
    finally:
        app.cleanup()


def later(path, text):
    path.write_text(text, encoding="utf-8")
    os.utime(path, (2e9, 2e9))


def test_nothing_is_read_again_without_need(site):
    assert read_again(site(index=INDEX, sub__page=PAGE), lambda: None)[0] == []


def test_a_changed_model_is_drawn_again_where_it_is_shown(site):
    source = site(index=INDEX, sub__page=PAGE)
    model = source / "models" / "wine.toml"
    text = model.read_text(encoding="utf-8").replace("standardized", "centred")
    read, out = read_again(source, lambda: later(model, text))
    assert read == ["sub/page"]
    (picture,) = [
        one["src"] for one in images((out / "sub" / "page.html").read_text(encoding="utf-8")) if "wine" in one["src"]
    ]
    assert "centred" in texts(out / "sub" / picture)


def test_changed_data_are_read_again(site):
    page = ".. dataflow:: models/wine.toml\n   :values:\n   :example: 0\n"
    source = site(index="Site\n====\n\n" + page + "\n.. toctree::\n\n   other\n", other="Other\n=====\n")
    data = source / "models" / "wine.csv"
    read, _ = read_again(source, lambda: later(data, data.read_text(encoding="utf-8")))
    assert read == ["index"]


def test_a_file_of_the_option_data_is_read_again(site):
    page = "Site\n====\n\n.. dataflow:: models/xor.toml\n   :values:\n   :data: more.json\n"
    source = site(index=page)
    (source / "more.json").write_text('{"x": [[0, 1]], "y": [[1]]}', encoding="utf-8")
    read, out = read_again(source, lambda: later(source / "more.json", '{"x": [[1, 1]], "y": [[0]]}'))
    assert read == ["index"]
    (image,) = images((out / "index.html").read_text(encoding="utf-8"))
    assert "= 0.01125" in texts(out / image["src"])


# ------------------------------------------------------------------------------------------------ bad input

HEAD = "Site\n====\n\n"
WRONG = {
    ".. dataflow:: models/none.toml": "4: WARNING: models/none.toml: there is no such file",
    ".. dataflow:: ../outside.toml": r"'\.\./outside\.toml' lies outside the source folder; .*dataflow_folders",
    ".. dataflow:: link.toml": "'link.toml' lies outside the source folder",
    ".. dataflow:: /etc/passwd": "4: WARNING: etc/passwd: ",
    ".. dataflow:: models/xor.toml\n   :values:\n   :data: ../outside.json": "outside.json' lies outside",
    ".. dataflow:: broken.toml": r"4: WARNING: broken.toml:3:6: unknown op 'matmull'; did you mean 'matmul'\?",
    ".. dataflow:: models/xor.toml\n   :of: yhatt": "models/xor.toml: unknown node 'yhatt'; did you mean 'yhat'",
    ".. dataflow:: models/xor.toml\n   :both:\n   :backward:": "either backward or both",
    ".. dataflow:: models/xor.toml\n   :collapse: layer": "unknown block or call 'layer'",
    ".. dataflow:: models/xor.toml\n   :values:\n   :labels: none": "take either values or labels='none'",
    ".. dataflow:: models/xor.toml\n   :values:\n   :example: 9": "no example 9",
    ".. dataflow:: models/xor.toml\n   :values:\n   :set: x": "NAME=JSON",
    ".. dataflow:: models/xor.toml\n   :values:\n   :set: x=[": "not JSON",
    ".. dataflow:: models/xor.toml\n\n   dataflow = 1": "not both",
    ".. dataflow::": "name a model's file",
    ".. dataflow::\n\n   dataflow = 1\n\n   [nodes]\n   y = 'relu(z)'": r"4: WARNING: page\d+.rst:9: .*'z'",
    ".. dataflow-explain:: models/xor.toml\n   :wrt: W9": "4: WARNING: models/xor.toml: unknown node 'W9'",
    ".. dataflow-explain:: models/xor.toml\n   :symbolic:": "with respect to one name",
    ".. dataflow:: models/xor.toml\n   :backwards:": 'unknown option: "backwards"',
    ".. dataflow:: models/xor.toml\n   :theme: blue": '"blue" unknown',
    ".. dataflow:: models/xor.toml\n   :wrt: W1,,b1": "with one comma between them",
    ".. dataflow:: models/xor.toml\n   :engine: /bin/sh": 'unknown option: "engine"',
}


@pytest.fixture(scope="module")
def wrong_pages(tmp_path_factory):
    """A site with a page for each wrong directive, built once: the source folder, the warnings, the pages in HTML."""
    folder = tmp_path_factory.mktemp("wrong")
    pages = {f"page{number}": f"{HEAD}{text}\n\nAfter it.\n" for number, text in enumerate(WRONG)}
    source = new_site(folder)(index=f"{HEAD}.. toctree::\n   :glob:\n\n   page*\n", **pages)
    (folder / "outside.toml").write_text("dataflow = 1\n", encoding="utf-8")
    (folder / "outside.json").write_text("{}", encoding="utf-8")
    (source / "link.toml").symlink_to(folder / "outside.toml")
    (source / "broken.toml").write_text("dataflow = 1\n[nodes]\ny = 'matmull(1, 2)'\n", encoding="utf-8")
    with built(source) as (_, warnings, out):
        return source, warnings, {page: (out / f"{page}.html").read_text(encoding="utf-8") for page in pages}


@pytest.mark.xdist_group("wrong pages")
@pytest.mark.parametrize(("number", "text"), list(enumerate(WRONG)), ids=str)
def test_an_error_is_a_warning_at_its_line(wrong_pages, number, text):
    source, warnings, pages = wrong_pages
    (lines,) = re.findall(
        rf"^.*/page{number}\.rst:4: (?:WARNING|ERROR): (?:(?!{source}/).*\n?)*", warnings, re.MULTILINE
    )
    assert lines.startswith(f"{source}/page{number}.rst:4: ")
    assert re.search(WRONG[text], lines), lines
    assert "Traceback" not in warnings
    assert len(re.findall(r".*(?:WARNING|ERROR): .*", warnings)) == len(WRONG)
    assert "After it." in pages[f"page{number}"]
    warning = lines.splitlines()[0]
    if "[dataflow.model]" in warning:
        assert str(source) not in warning.partition(".rst:4: ")[2]


def test_warnings_can_be_suppressed(site):
    with built(site(index=HEAD + ".. dataflow:: none.toml\n"), suppress_warnings=["dataflow.model"]) as (
        _,
        warnings,
        _,
    ):
        assert warnings == ""


def test_folders_beside_the_source_have_to_be_named(site):
    source = site(index=HEAD + ".. dataflow:: ../models/xor.toml\n")
    shutil.move(source / "models", source.parent / "models")
    with built(source) as (_, warnings, _):
        assert "outside the source folder" in warnings
    with built(source, out="other", dataflow_folders=["../models"]) as (_, warnings, out):
        assert warnings == ""
        assert images((out / "index.html").read_text(encoding="utf-8"))


def test_errors_in_other_folders_are_named_from_the_source(site):
    source = site(index=HEAD + ".. dataflow:: ../models/xor.toml\n")
    shutil.move(source / "models", source.parent / "models")
    file = source.parent / "models" / "xor.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("relu", "relux"), encoding="utf-8")
    with built(source, dataflow_folders=["../models"]) as (_, warnings, _):
        assert (
            "index.rst:4: WARNING: ../models/xor.toml:23:6: unknown op 'relux'; did you mean 'relu' or 'prelu'?"
            in warnings
        )


def test_data_may_not_lead_out(site):
    source = site(index=HEAD + ".. dataflow:: models/wine.toml\n")
    (source / "models" / "wine.csv").rename(source.parent / "wine.csv")
    (source / "models" / "wine.csv").symlink_to(source.parent / "wine.csv")
    with built(source) as (_, warnings, _):
        assert re.search(r"index.rst:4: WARNING: .*outside the folder of its model", warnings)


@pytest.mark.parametrize(
    ("settings", "words"), [({"dataflow_time_limit": 1e-4}, "more than"), ({}, "no layout engine")]
)
@pytest.mark.usefixtures("fresh_layouts")
def test_a_picture_that_cannot_be_laid_out_leaves_its_description(site, monkeypatch, settings, words):
    monkeypatch.setattr(
        engines, "engines", lambda: iter(()) if not settings else iter([engines.find_engine("svg", "graphviz-pure")])
    )
    source = site(index=HEAD + ".. dataflow:: models/xor.toml\n   :caption: A net.\n")
    with built(source, dataflow_engine=None, **settings) as (_, warnings, out):
        assert re.search(rf"index\.rst:4: WARNING: .*{words}.*\[dataflow\.picture\]", warnings)
        html = (out / "index.html").read_text(encoding="utf-8")
        assert not images(html)
        assert "A data-flow graph of 10 nodes" in html


def sphinx(*words):
    command = [sys.executable, "-m", "sphinx", "-q", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_sphinx_from_outside(site):
    """Builds in parallel give the same files as others, and -W makes an error of a warning."""
    pages = {
        f"page{i}": f"Page {i}\n======\n\n.. dataflow:: models/xor.toml\n   :values:\n   :example: {i}\n"
        for i in range(4)
    }
    pages |= {f"more{i}": f"# More {i}\n\n```{{dataflow}} models/deep.toml\n```\n" for i in range(4)}
    source = site(index=HEAD + ".. toctree::\n   :glob:\n\n   page*\n   more*\n", **pages)
    found = []
    for jobs in (1, 2):
        out = source.parent / str(jobs)
        done = sphinx("-W", "-j", jobs, source, out)
        assert done.returncode == 0, done.stderr
        assert "not safe for parallel" not in done.stdout + done.stderr
        found.append({path.name: path.read_bytes() for path in (out / "_images").iterdir()})
    assert found[0] == found[1]
    assert len(found[0]) == 5
    site(page0=HEAD + ".. dataflow:: none.toml\n")
    done = sphinx("-W", source, source.parent / "1")
    assert done.returncode == 1
    assert f"{source}/page0.rst:4: WARNING: none.toml: there is no such file" in done.stderr


# ------------------------------------------------------------------------------------------------ options

NOT_FOR_DOCUMENTS = {"model-file", "output", "json", "quiet", "debug", "help"}
"""Options of a command that say what to do with its result."""
GRANTS = {"data-root"}
"""What a user allows a model; a document allows nothing, and names its data with ``:data:``."""
FRAMES = {"at-step", "frames-to", "frame-format", "frame-delay", "steps"}
"""A document shows a picture as a whole."""
FILES = {"check", "output-dir", "min-font"}
"""Several files, and text that can be read at a width: a document's pictures are scaled by its theme."""
IN_CONF = {"engine", "time-limit"}
"""Those that conf.py sets: a document names no program to run."""


def options_of(command):
    return {
        (option.opts[-1].lstrip("-") if option.opts[-1].startswith("--") else "model-file") for option in command.params
    }


def test_the_options_are_those_of_the_commands():
    expected = options_of(draw_command) - NOT_FOR_DOCUMENTS - GRANTS - IN_CONF - FRAMES - FILES - {"neurons"}
    assert len(expected) > 12
    assert set(PictureDirective.option_spec) == expected | set(IMAGE_OPTIONS) | {"name", "class"}
    expected = (
        options_of(explain_command) - NOT_FOR_DOCUMENTS - GRANTS - {"format", "step", "dense", "standalone", "width"}
    )
    assert set(ExplanationDirective.option_spec) == expected | {"name", "class"}


def test_digits(site):
    explained = ".. dataflow-explain:: models/xor.toml\n   :wrt: W2\n   :digits: 2\n"
    with built(site(index=f"{HEAD}{explained}")) as (_, warnings, out):
        assert warnings == ""
        page = (out / "index.html").read_text(encoding="utf-8")
        assert "-0.73" in page
        assert "-0.726" not in page
    with built(site(index=HEAD + explained.replace("digits: 2", "digits: 18"))) as (_, warnings, _):
        assert "at most 17 digits" in warnings


def test_parameters_of_a_file(site):
    from safetensors.numpy import save_file

    model = dataflow.load(MODELS / "xor.toml")
    explained = ".. dataflow-explain:: models/xor.toml\n   :wrt: W2\n   :parameters: weights.safetensors\n"
    source = site(index=f"{HEAD}{explained}")
    save_file({name: 0 * array for name, array in model.parameters.items()}, source / "weights.safetensors")
    with built(source) as (_, warnings, out):
        assert warnings == ""
        assert "-0.726" not in (out / "index.html").read_text(encoding="utf-8")
    (source / "weights.safetensors").write_bytes(b"")
    with built(source) as (_, warnings, _):
        assert "this is no safetensors file" in warnings
