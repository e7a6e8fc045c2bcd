"""A Sphinx extension: pictures and explanations of models in documentation, in reStructuredText and Markdown (MyST).

``extensions = ["dataflow.sphinx"]`` in ``conf.py`` gives the directives ``dataflow`` and ``dataflow-explain``.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from dataflow.draw.drawer import THEMES
from dataflow.draw.layout.engines import TIME_LIMIT
from dataflow.sphinx.directives import ExplanationDirective, PictureDirective
from dataflow.sphinx.output import explanation_node, picture_node, put_in
from dataflow.support.version import installed_version

__all__ = ["setup"]

STYLESHEET = Path(__file__).with_name("static") / "dataflow.css"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives with Sphinx, which calls this."""
    app.add_config_value("dataflow_folders", [], "env", types=(list, tuple))
    app.add_config_value("dataflow_theme", THEMES[0], "env", types=(str,))
    app.add_config_value("dataflow_engine", None, "env", types=(str,))
    app.add_config_value("dataflow_time_limit", TIME_LIMIT, "env", types=(int, float))
    app.add_node(picture_node)
    app.add_node(explanation_node)
    app.add_directive("dataflow", PictureDirective)
    app.add_directive("dataflow-explain", ExplanationDirective)
    app.connect("doctree-resolved", put_in)
    app.connect("builder-inited", _add_static)
    app.add_css_file(STYLESHEET.name)
    return {
        "version": installed_version(),
        # pictures are kept in the environment as objects of this version
        "env_version": zlib.crc32(installed_version().encode()),
        # a directive writes nothing but into its own document; pictures are written by the main process
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }


def _add_static(app: Sphinx) -> None:
    app.config.html_static_path.append(str(STYLESHEET.parent))
