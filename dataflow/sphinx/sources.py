"""Read the files that a directive names, if they lie where files may be read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphinx.util.docutils import SphinxDirective

from dataflow.errors import DataError, DataflowError, FileFormatError
from dataflow.files import load
from dataflow.files.safetensors import take_parameters
from dataflow.files.toml.read import loads_toml
from dataflow.model.gathering import gather, parse_setting
from dataflow.model.model import Model


@dataclass(frozen=True)
class Sources:
    """Reads files for one directive, and notes each, so that Sphinx reads the document again when one changes."""

    directive: SphinxDirective

    def model(self) -> Model:
        """Load the model from the file that the directive names, or from the TOML inside the directive."""
        directive = self.directive
        if directive.arguments and directive.content:
            raise DataError("name a model's file, or write the model in the directive; not both")
        if not directive.arguments and not directive.content:
            raise DataError("name a model's file, such as models/xor.toml, or write the model in the directive")
        model = load(self.path(directive.arguments[0])) if directive.arguments else self._read_content()
        data = model.data.path() if model.data is not None else None
        if data is not None:
            self._note(data)
            self._check(data, data.name)
        if "parameters" in directive.options:
            take_parameters(model, self.path(directive.options["parameters"]))
        return model

    def given(self, model: Model) -> tuple[dict[str, Any], list[str]]:
        """Collect the model's inputs from the options ``data`` and ``set``, else from what it declares; and notes."""
        options = self.directive.options
        file = self.path(options["data"]) if "data" in options else None
        # no value has a semicolon, and an option of Markdown has but one line
        lines = options.get("set", "").replace(";", "\n").splitlines()
        settings = dict(parse_setting(line.strip()) for line in lines if line.strip())
        return gather(model, file, settings, None)

    def path(self, text: str) -> Path:
        """Find a file, relative to the document or, with a slash in front, to the source folder, and note it."""
        try:
            _, path = self.directive.env.relfn2path(text)
        except (ValueError, OSError, RuntimeError):  # a NUL in the name, a loop of links
            raise FileFormatError(f"{text!r} is no path of a file") from None
        self._note(Path(path))
        self._check(Path(path), text)
        return Path(path)

    def describe(self, error: DataflowError) -> str:
        """Return an error's text with paths relative to the source folder, which are the same on every machine."""
        source = str(self.directive.env.srcdir)
        if error.file is not None and os.path.isabs(error.file):
            error.file = os.path.relpath(error.file, source)
        return str(error).replace(source + os.sep, "")

    # -------------------------------------------------------------------------------------------- internals

    def _read_content(self) -> Model:
        """Read the model inside the directive; lines of its errors count within the document."""
        directive = self.directive
        document = Path(directive.env.doc2path(directive.env.docname))
        try:
            return loads_toml("\n".join(directive.content), str(document))
        except DataflowError as error:
            if error.line is not None and error.file == str(document):
                error.line += directive.content_offset
                error.column = None  # the directive's indentation is gone
            raise

    def _note(self, path: Path) -> None:
        self.directive.env.note_dependency(str(path))

    def _check(self, path: Path, written: str) -> None:
        """Raise a ``FileFormatError`` for a file that lies, or leads, outside the folders that may be read."""
        env = self.directive.env
        allowed = [Path(env.srcdir), *(Path(env.srcdir) / name for name in env.config.dataflow_folders)]
        if not _is_inside(path, allowed):
            raise FileFormatError(
                f"{written!r} lies outside the source folder; put it there, or name its folder in dataflow_folders "
                f"(conf.py)"
            )


def settings_of(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the options that a directive sets, by their names in Python."""
    return {name: options[name.replace("_", "-")] for name in names if name.replace("_", "-") in options}


def _is_inside(path: Path, folders: Iterable[Path]) -> bool:
    try:
        resolved = path.resolve()
        return any(resolved.is_relative_to(folder.resolve()) for folder in folders)
    except (OSError, ValueError, RuntimeError):
        return False
