"""Write the parts of ``docs/`` that the code itself knows: ops, layouts of files, limits, the Python interface.

``.venv/bin/python tools/make_docs.py`` writes them; ``--check`` changes nothing, and exit status 1 says that a page is
out of date. A page of which only parts are written has them between two comments: ``<!-- generated: NAME -->`` and
``<!-- end of NAME -->``. Only dataflow's own plugins are described, whatever else is installed.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import click

import dataflow
from dataflow import Limits, faults
from dataflow import shapes as shape_rules
from dataflow.cli.block_texts import block_document
from dataflow.cli.commands.ops import rules
from dataflow.cli.group import COMMANDS
from dataflow.cli.group import main as command_line
from dataflow.data.preparation.rules import CLASSES_LIMIT
from dataflow.data.preparation.without_columns import ENTRIES_LIMIT
from dataflow.data.readers import csv as tables
from dataflow.data.readers import json_files as datafiles
from dataflow.data.readers import npz as archives
from dataflow.data.readers import opening
from dataflow.draw import drawing
from dataflow.draw.picture import legend
from dataflow.expressions import parser, tokens
from dataflow.files import plain_checks as checks
from dataflow.files.msgpack import binary, container, envelope, scan
from dataflow.files.toml import blocks, declarations, known_keys, nodes
from dataflow.files.toml import document as lines
from dataflow.model.train_settings import FILE_OPTIONS, TrainOption
from dataflow.operations.attributes import Attribute, plain
from dataflow.operations.op import Op
from dataflow.registry import hookspecs, registry
from dataflow.registry.owners import Owner
from dataflow.testing import CHECKS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SCHEMA = ROOT / "dataflow" / "files" / "schema.json"
DISTRIBUTION = "dataflow-autodiff"


def main() -> int:
    """Write what is out of date, or with ``--check`` only say what is."""
    status = 0
    for path, content in pages().items():
        if path.read_text(encoding="utf-8") == content:
            continue
        if "--check" in sys.argv[1:]:
            print(f"{path.relative_to(ROOT)} is out of date: run tools/make_docs.py")
            status = 1
        else:
            path.write_text(content, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return status


def pages() -> dict[Path, str]:
    """Each page of ``docs/``, and the schema of model files, as they should be."""
    return {path: filled(path.read_text(encoding="utf-8")) for path in sorted(DOCS.glob("*.md"))} | {SCHEMA: schema()}


def filled(page: str) -> str:
    """The page with its generated parts as they should be."""

    def part(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- generated: {name} -->\n\n{PARTS[name]().strip()}\n\n<!-- end of {name} -->"

    return _PART.sub(part, page)


_PART = re.compile(r"<!-- generated: ([\w-]+) -->\n.*?<!-- end of \1 -->", re.DOTALL)


# ------------------------------------------------------------------------------------------------ ops and the like


def is_own(kind: str, name: str) -> bool:
    """Whether dataflow brings it, not somebody else's plugin."""
    owner: Owner = registry.registry().owners[kind, name]
    distribution = owner.point.dist if owner.point is not None else None
    return owner.point is None or (distribution is not None and distribution.name == DISTRIBUTION)


def ops() -> str:
    """Every op, by the subject of the module that defines it."""
    own = [op for op in registry.all_ops().values() if is_own("op", op.name)]
    sections = []
    for title, group in groupby(sorted(own, key=_subject), key=_subject):
        sections.append(f"## {title}\n\n" + "\n\n".join(one_op(op) for op in sorted(group, key=lambda op: op.name)))
    return "\n\n".join(sections)


def _subject(op: Op) -> str:
    return op.module.rpartition(".")[2].replace("_", " ").capitalize()


def one_op(op: Op) -> str:
    """An op's signature, documentation, attributes and rules."""
    declared = rules(op)
    optional = op.inputs[op.required_inputs :] if not op.variadic else ()
    lines_of = [f"### {op.name}", "", f"`{op.signature}`", "", markdown(op.doc), ""]
    lines_of += attribute_table(op.attributes)
    facts = [f"{declared['kernel'].split(':')[0]}; shape: {declared['shape']}; vjp: {declared['vjp']}"]
    facts[0] += f"; Jacobian: {declared['jacobian']}; cost: {declared['cost']}"
    facts += [f"{name} may be left out" for name in optional]
    facts += [f"outputs: {op.outputs_text}"] if op.has_outputs else []
    lines_of += [f"*{escaped('. '.join(facts))}.*"]
    if op.kink_rule is not None:
        lines_of += ["", f"Kink: {escaped(op.kink_rule.convention)}."]
    return "\n".join(lines_of)


def commands() -> str:
    """The help of every command of dataflow's own."""
    sections = []
    settings = {"terminal_width": 100, **command_line.context_settings}
    with click.Context(command_line, info_name="dataflow", **settings) as group:
        for name in COMMANDS:
            command = command_line.get_command(group, name)
            assert command is not None
            with click.Context(command, group, name, **settings) as context:
                sections.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(sections)


def ready_blocks() -> str:
    """Every block that dataflow brings, with what a call gives it."""
    documents = [block_document(name) for name in sorted(registry.registry().blocks) if is_own("block", name)]
    rows = [f"| `{one['signature']}` | {escaped(' '.join(one['doc'].split()))} |" for one in documents]
    return "\n".join(["| Block | What it is |", "|---|---|", *rows])


def attribute_table(attributes: Mapping[str, Attribute]) -> list[str]:
    """The attributes as a Markdown table and a blank line; nothing where there are none."""
    if not attributes:
        return []
    rows = [
        f"| `{name}` | {escaped(attribute.type_text)} | {default} |"
        for name, attribute in attributes.items()
        for default in ["required" if attribute.required else f"`{written(attribute.default)}`"]
    ]
    return ["| Attribute | Type | Default |", "|---|---|---|", *rows, ""]


def kinks() -> str:
    """The convention of every op that has a point without a derivative."""
    rows = [
        f"| [{op.name}](#{op.name.lower()}) | {escaped(op.kink_rule.convention)} |"
        for op in registry.all_ops().values()
        if op.kink_rule is not None and is_own("op", op.name)
    ]
    return "\n".join(["| Op | Where it has no derivative |", "|---|---|", *rows])


def initializers() -> str:
    """Every initializer."""
    own = [i for i in registry.registry().initializers.values() if is_own("initializer", i.name)]
    return "\n\n".join(described(kind.name, kind.doc, kind.attributes) for kind in own)


def optimizers() -> str:
    """Every optimizer."""
    own = [o for o in registry.registry().optimizers.values() if is_own("optimizer", o.name)]
    return "\n\n".join(described(kind.name, inspect.cleandoc(kind.__doc__ or ""), kind.attributes()) for kind in own)


def metrics() -> str:
    """Every metric: what it is for, which way is better, what it measures."""
    own = [one for one in registry.registry().metrics.values() if is_own("metric", one.name)]
    rows = [(f"`{one.name}`", ", ".join(one.fits), one.better, one.usual, markdown(one.doc)) for one in own]
    return table(("Metric", "For", "Better", "Shown", "What it is"), rows)


def schedules() -> str:
    """Every schedule."""
    own = [kind for kind in registry.registry().schedules.values() if is_own("schedule", kind.name)]
    return "\n\n".join(described(kind.name, inspect.cleandoc(kind.__doc__ or ""), kind.attributes()) for kind in own)


def described(name: str, doc: str, attributes: Mapping[str, Attribute]) -> str:
    """A heading, a documentation, a table of attributes."""
    return "\n".join([f"### {name}", "", markdown(doc), "", *attribute_table(attributes)]).rstrip()


def written(value: Any) -> str:
    """A default as a model file's expression or table would write it."""
    value = plain(value)
    return "None" if value is None else f'"{value}"' if isinstance(value, str) else repr(value)


# ------------------------------------------------------------------------------------------------ files


def schema() -> str:
    """The JSON schema of model files, with what is declared of ``[train]``."""
    document = json.loads(SCHEMA.read_text(encoding="utf-8"))
    document["$defs"]["train"]["properties"] = {name: schema_of(option) for name, option in FILE_OPTIONS.items()}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def schema_of(option: TrainOption) -> dict[str, Any]:
    """The schema of one option of training."""
    default = {} if option.default is None else {"default": stated(option)}
    return {"description": option.help, **option.kind.schema, **default}


def train_table() -> str:
    """The keys of ``[train]``."""
    rows = [
        (f"`{name}`", option.kind.expected, option.help, default_text(option)) for name, option in FILE_OPTIONS.items()
    ]
    return table(("Key", "Takes", "What it says", "Unless given"), rows)


def default_text(option: TrainOption) -> str:
    """The default as it would be written; nothing where the help says what holds."""
    return "" if option.default is None else f"`{json.dumps(stated(option))}`"


def stated(option: TrainOption) -> Any:
    """The default as a file would say it: of what is chosen by name, its name."""
    default = option.default
    return default["name"] if isinstance(default, dict) and list(default) == ["name"] else default


def operators() -> str:
    """The table of precedence, loosest first."""
    rows: dict[int, list[str]] = {}
    for symbol, (op, precedence) in parser.BINARY.items():
        rows.setdefault(precedence, []).append(f"`{symbol}` {op.name}")
    notes = {
        parser.COMPARISON: "one; they cannot be chained",
        parser.SUM: "to the left",
        parser.PRODUCT: "to the left",
        parser.SIGN: "`-x` negative; `+x` is x itself",
        parser.POWER: "to the right; an exponent may have a sign",
        parser.POSTFIX: "`x.T` transpose, `x[...]` index, calls",
    }
    rows.setdefault(parser.SIGN, [])
    rows.setdefault(parser.POSTFIX, [])
    body = [f"| {level} | {', '.join(rows[level])} | {notes[level]} |" for level in sorted(rows)]
    return "\n".join(["| Strength | Operators, each with its op | |", "|---|---|---|", *body])


def limits() -> str:
    """What each format lets in at most, from the constants that the readers use."""
    return table(
        ("What", "At most"),
        [
            ("a TOML file; the encoded header of a msgpack file", f"{size(Limits().structure)} *"),
            (
                "what such a file, or a JSON data file, takes in memory when it is read",
                "two and a half times that and twice its length *",
            ),
            ("nodes, those in expressions and calls of blocks counted", f"{Limits().nodes:,} *"),
            ("edges", "four for each node that there may be"),
            ("inputs of a node", f"{Limits().inputs:,} *"),
            ("arrays and inline tables in TOML, nested; parts of a dotted key", f"{lines.MAX_DEPTH}"),
            ("a name", f"{checks.MAX_NAME:,} characters"),
            ("an expression", f"{parser.MAX_LENGTH:,} characters"),
            ("brackets, calls, signs and powers in an expression, nested", f"{tokens.MAX_DEPTH}"),
            ("operators and calls in an expression", f"{nodes.MAX_OPERATIONS:,}"),
            ("a whole number in an expression, on either side of 0", "2^63"),
            ("axes of a shape", f"{shape_rules.MAX_AXES}"),
            ("terms, degree, and nested divisions of a symbolic size", _size_limits()),
            ("entries of a shape, symbolic sizes left out", f"2^{shape_rules.MAX_ENTRIES.bit_length() - 1}"),
            ("numbers in a parameter with an initializer", f"2^{declarations.MAX_ELEMENTS.bit_length() - 1}"),
            ("calls of blocks, nested", f"{blocks.MAX_DEPTH}"),
            ("classes of a one-hot input", f"{CLASSES_LIMIT:,}"),
            ("entries of a one-hot input", f"2^{ENTRIES_LIMIT.bit_length() - 1}"),
            (
                "one-hot inputs; columns listed many times; in a command, drawn parameters and values",
                f"{size(Limits().memory)} *",
            ),
            (
                "steps of a command other than train, each about a call of a function",
                f"{Limits().work:,} *",
            ),
            ("a CSV file, unpacked", size(tables.CSV_LIMIT)),
            ("a row of a CSV file", size(tables.LINE_LIMIT)),
            ("blank lines of a CSV file", f"{tables.BLANK_LIMIT:,}"),
            ("a JSON data file", size(datafiles.JSON_LIMIT)),
            ("the arrays of an .npz file, unpacked", size(archives.NPZ_LIMIT)),
            (
                "a packed data file, unpacked",
                f"{size(opening.UNPACKED_FREE)} and {Limits().unpacked} times its own size *",
            ),
            ("maps and arrays in a msgpack header, nested", f"{scan.NESTING}"),
            ("a piece of a tensor", f"2^{envelope.BIN_LIMIT.bit_length()} − 1 bytes"),
        ],
    )


def _size_limits() -> str:
    return f"{shape_rules.MAX_TERMS:,}, {shape_rules.MAX_DEGREE}, {shape_rules.MAX_DIVISIONS}"


def versions() -> str:
    """The versions of the formats that are read."""
    of_toml, of_container = known_keys.VERSION, envelope.VERSION
    return f"This describes version {of_toml} of the TOML format and version {of_container} of the container."


def container_layout() -> str:
    """The container, from the docstring of the module that reads and writes it."""
    return markdown(_after_first_line(container))


def model_layout() -> str:
    """The model inside a container, likewise."""
    return markdown(_after_first_line(binary).replace("(``dataflow.files.msgpack.container``) ", ""))


def size(count: int) -> str:
    """``64 MiB``."""
    return f"{count // 2**30} GiB" if count >= 2**30 else f"{count // 2**20} MiB"


def _after_first_line(module: Any) -> str:
    return inspect.cleandoc(module.__doc__).partition("\n")[2].strip()


# ------------------------------------------------------------------------------------------------ pictures


def shapes() -> str:
    """What the shapes and the lines of a picture mean."""
    rows = [*legend.SHAPES.values(), *legend.FLOWS.values(), *legend.MARKS.values()]
    return table(("Shape or line", "What it is"), rows)


def formats() -> str:
    """The formats of pictures, by the endings of their files."""
    names = {
        "svg": "SVG",
        "png": "PNG",
        "pdf": "PDF",
        "gif": "GIF, all steps",
        "dot": "DOT",
        "tikz": "TikZ",
        "mermaid": "Mermaid",
    }
    endings: dict[str, list[str]] = {}
    for ending, form in drawing.FORMATS.items():
        endings.setdefault(form, []).append(f"`{ending}`")
    return table(
        ("Format", "Ending"),
        [(names[form], ", ".join(endings_of_format)) for form, endings_of_format in endings.items()],
    )


# ------------------------------------------------------------------------------------------------ Python


def hooks() -> str:
    """The hooks that a plugin may implement."""
    specs = [(name, hook) for name, hook in vars(hookspecs).items() if name.startswith("register_")]
    return table(("Hook", "What it gives"), [(f"`{name}()`", markdown(hook.__doc__ or "")) for name, hook in specs])


def interface() -> str:
    """The names of the package ``dataflow``, each with its first paragraph; classes with their public methods."""
    classes, functions, errors = [], [], []
    for name in dataflow.__all__:
        item = getattr(dataflow, name)
        if not str(getattr(item, "__module__", "")).startswith("dataflow"):
            continue  # what others define is described in words
        if inspect.isclass(item) and issubclass(item, (Exception, Warning)):
            errors.append((f"`{name}`", summary(item)))
        elif inspect.isclass(item):
            classes.append(one_class(name, item))
        elif callable(item) and not inspect.ismodule(item):
            functions.append((f"`{name}{signature(item)}`", summary(item)))
    known = [
        "## Functions\n\n" + "\n\n".join(f"{head}: {body}" for head, body in functions),
        "## Classes\n\n" + "\n\n".join(classes),
        "## Errors\n\n" + table(("Error", "What is wrong"), errors),
    ]
    return "\n\n".join(known)


def one_class(name: str, kind: type) -> str:
    """A class, how it is made, what it holds, and what it defines that is public."""
    entries = []
    shown = {id(getattr(dataflow, other)) for other in dataflow.__all__} - {id(kind)}
    ours = [base for base in kind.__mro__ if base.__module__.startswith("dataflow") and id(base) not in shown]
    for key, member in [pair for base in ours for pair in vars(base).items()]:
        if key.startswith("_"):
            continue
        member = inspect.unwrap(getattr(member, "__func__", member))
        if isinstance(member, property):
            if said := summary(member):
                entries.append(f"- `.{key}`: {said}")
        elif inspect.isfunction(member) and summary(member):
            entries.append(f"- `.{key}{signature(member, bound=True)}`: {summary(member)}")
    text = ["### " + name, ""] + ([] if inspect.isabstract(kind) else [f"`{name}{signature(kind)}`", ""])
    text.append(summary(kind))
    if is_dataclass(kind):
        text += ["", "It has " + ", ".join(f"`{field.name}`" for field in fields(kind) if field.name[0] != "_") + "."]
    return "\n".join([*text, *([""] if entries else []), *entries])


def signature(function: Callable[..., Any], *, bound: bool = False) -> str:
    """``(x, *, axis=None)``: without annotations, which the text says in words."""
    try:
        declared = inspect.signature(function)
    except (TypeError, ValueError):
        return "(...)"
    parameters = [p.replace(annotation=p.empty) for p in declared.parameters.values()]
    return str(declared.replace(parameters=parameters[1:] if bound else parameters, return_annotation=declared.empty))


def summary(item: Any) -> str:
    """The first paragraph of a docstring."""
    return markdown((inspect.cleandoc(item.__doc__ or "")).split("\n\n")[0].replace("\n", " "))


def dtypes() -> str:
    """The dtypes by name."""
    return ", ".join(f"`{name}`" for name in dataflow.DTYPES) + "."


# ------------------------------------------------------------------------------------------------ Markdown


def markdown(doc: str) -> str:
    """A docstring as Markdown: ``code`` in single backticks, an indented block after ``::`` as a block of its own."""
    parts = re.split(r"\n\n((?:    [^\n]*\n?|\n(?=    ))+)", inspect.cleandoc(doc))
    result = []
    for i, part in enumerate(parts):
        if i % 2:
            result.append("```text\n" + textwrap.dedent(part).strip("\n") + "\n```")
        else:
            result.append(prose(part.strip("\n").removesuffix("::") + (":" if part.endswith("::") else "")))
    return "\n\n".join(result)


def prose(paragraphs: str) -> str:
    """Text between code blocks; what stands in double backticks stays as it is."""
    pieces = re.split(r"(``.+?``)", paragraphs, flags=re.DOTALL)
    return "".join(
        f"`{' '.join(piece[2:-2].split())}`" if piece.startswith("``") else escaped(piece) for piece in pieces
    )


def escaped(piece: str) -> str:
    """Text in which nothing is markup."""
    piece = re.sub(r"(?<=\S)\*(?=\S)|(?<=\S)_(?=\S)|(?<!\S)\*(?=\S)|(?<!\S)_(?=\S)", lambda m: "\\" + m[0], piece)
    return piece.replace("|", "\\|").replace("<", "\\<")


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    body = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(" ".join(cell.split()) for cell in row) + " |" for row in body)


def checks_of_ops() -> str:
    """What is checked of every op."""
    return table(("Check", "What must hold"), [(name, summary(check)) for name, check in CHECKS.items()])


def mistakes() -> str:
    """The mistakes that learners make."""
    return table(("Name", "The mistake"), [(kind.name, summary(kind)) for kind in faults.KINDS])


def backends() -> str:
    """What each backend promises."""
    registered = registry.registry().backends
    return table(
        ("Backend", "What it promises"),
        [(f"`{name}`", registered[name].promises) for name in sorted(registered) if is_own("backend", name)],
    )


PARTS: Mapping[str, Callable[[], str]] = {
    "ops": ops,
    "blocks": ready_blocks,
    "kinks": kinks,
    "initializers": initializers,
    "optimizers": optimizers,
    "metrics": metrics,
    "schedules": schedules,
    "operators": operators,
    "limits": limits,
    "versions": versions,
    "container": container_layout,
    "model": model_layout,
    "train": train_table,
    "shapes": shapes,
    "formats": formats,
    "hooks": hooks,
    "interface": interface,
    "dtypes": dtypes,
    "backends": backends,
    "commands": commands,
    "checks": checks_of_ops,
    "faults": mistakes,
}

if __name__ == "__main__":
    sys.exit(main())
