"""The page as one file of HTML: its style, its script, the libraries that the script uses, and the data.

Nothing of a model is ever HTML or script: it is JSON in an element that no browser runs, and the script puts it into
the page as text. The policy in the page's head allows the one style and the one script whose hashes it names, and no
connection to anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

STYLES = ("vendor/uPlot.min.css", "page.css")
LIBRARIES = ("vendor/panzoom.min.js", "vendor/uPlot.iife.min.js")
SCRIPTS = (
    "basics.js",
    "matrices.js",
    "steps.js",
    "recipes.js",
    "graph.js",
    "working.js",
    "printing.js",
    "quiz.js",
    "panel.js",
    "node.js",
    "training.js",
    "serving.js",
    "address.js",
    "step_controls.js",
)


def page(content: dict[str, Any], *, served: str | None = None) -> str:
    """Return the whole page. ``served`` is the revision of a page that our server delivers; the page then asks the
    server for newer ones."""
    style, script = _style(), _script()
    connections = "'none'" if served is None else "'self'"
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; connect-src {connections}; "
        "base-uri 'none'; form-action 'none'"
    )
    values = {
        "POLICY": policy,
        "STYLE": style,
        "SCRIPT": script,
        "DATA": _safe_json(content if served is None else {**content, "served": served}),
    }
    parts = _asset("page.html").split("%%")
    return "".join(values[part] if i % 2 else part for i, part in enumerate(parts))


def _safe_json(content: Any) -> str:
    """Write JSON in which nothing can end the element around it."""
    written = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _style() -> str:
    return "\n".join(_asset(name) for name in STYLES)


@cache
def _script() -> str:
    """The libraries, then our own scripts in one scope."""
    own = "\n".join(_asset(name) for name in SCRIPTS)
    return "\n".join([*(_asset(name) for name in LIBRARIES), f'(() => {{\n"use strict";\n{own}\n}})();'])


@cache
def _asset(name: str) -> str:
    return files("dataflow.viewer").joinpath("assets", *name.split("/")).read_text(encoding="utf-8")
