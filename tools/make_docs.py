"""Write the parts of ``docs/`` that the code itself knows: ops, layouts of files, limits, the Python interface.

``.venv/bin/python tools/make_docs.py`` writes them; ``--check`` changes nothing, and exit status 1 says that a page is
out of date. A page of which only parts are written has them between two comments: ``<!-- generated: NAME -->`` and
``<!-- end of NAME -->``. Only dataflow's own plugins are described, whatever else is installed.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import dataflow
from dataflow import Limits, archives, datafiles, faults, hookspecs, parser, registry, tables, tokens
from dataflow import data as data_module
from dataflow import shapes as shape_rules
from dataflow.attributes import Attribute, plain
from dataflow.cli.ops import rules
from dataflow.draw import drawing, legend
from dataflow.files import binary, blocks, checks, container, declarations, envelope, lines, nodes, scan, text
from dataflow.op import Op
from dataflow.registry import Owner
from dataflow.testing import CHECKS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
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
    """Each page of ``docs/`` as it should be."""
    return {path: filled(path.read_text(encoding="utf-8")) for path in sorted(DOCS.glob("*.md"))}


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
    """Every op, by the module that defines it."""
    found = sorted((op for op in registry.all_ops().values() if is_own("op", op.name)), key=lambda op: op.module)
    sections = []
    for module, group in groupby(found, key=lambda op: op.module):
        title = module.rpartition(".")[2].capitalize()
        sections.append(f"## {title}\n\n" + "\n\n".join(one_op(op) for op in sorted(group, key=lambda op: op.name)))
    return "\n\n".join(sections)


def one_op(op: Op) -> str:
    """An op's signature, documentation, attributes and rules."""
    given = rules(op)
    optional = op.inputs[op.required_inputs :] if not op.variadic else ()
    lines_of = [f"### {op.name}", "", f"`{op.signature}`", "", markdown(op.doc), ""]
    lines_of += attribute_table(op.attributes)
    facts = [f"{given['kernel'].split(':')[0]}; shape: {given['shape']}; vjp: {given['vjp']}"]
    facts[0] += f"; Jacobian: {given['jacobian']}; cost: {given['cost']}"
    facts += [f"{name} may be left out" for name in optional]
    lines_of += [f"*{escaped('. '.join(facts))}.*"]
    if op.kink_rule is not None:
        lines_of += ["", f"Kink: {escaped(op.kink_rule.convention)}."]
    return "\n".join(lines_of)


def attribute_table(attributes: Mapping[str, Attribute]) -> list[str]:
    """The attributes as a Markdown table and a blank line; nothing where there are none."""
    if not attributes:
        return []
    rows = [
        f"| `{name}` | {escaped(one.type_text)} | {'required' if one.required else f'`{written(one.default)}`'} |"
        for name, one in attributes.items()
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
    found = [i for i in registry.registry().initializers.values() if is_own("initializer", i.name)]
    return "\n\n".join(described(one.name, one.doc, one.attributes) for one in found)


def optimizers() -> str:
    """Every optimizer."""
    found = [o for o in registry.registry().optimizers.values() if is_own("optimizer", o.name)]
    return "\n\n".join(described(one.name, inspect.cleandoc(one.__doc__ or ""), one.attributes()) for one in found)


def described(name: str, doc: str, attributes: Mapping[str, Attribute]) -> str:
    """A heading, a documentation, a table of attributes."""
    return "\n".join([f"### {name}", "", markdown(doc), "", *attribute_table(attributes)]).rstrip()


def written(value: Any) -> str:
    """A default as a model file's expression or table would write it."""
    value = plain(value)
    return "None" if value is None else f'"{value}"' if isinstance(value, str) else repr(value)


# ------------------------------------------------------------------------------------------------ files


def operators() -> str:
    """The table of precedence, loosest first."""
    rows: dict[int, list[str]] = {}
    for symbol, (op, precedence) in parser.BINARY.items():
        rows.setdefault(precedence, []).append(f"`{symbol}` {op}")
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
            ("what a TOML file takes in memory when it is read", "four times that and the file's size *"),
            ("what the header of a msgpack file takes, decoded", "two and a half times that and twice its length *"),
            ("nodes, those in expressions and calls of blocks counted", f"{Limits().nodes:,} *"),
            ("edges", "four for each node that there may be"),
            ("inputs of a node", f"{checks.MAX_INPUTS:,}"),
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
            ("classes of a one-hot input", f"{data_module.CLASSES_LIMIT:,}"),
            ("entries of a one-hot input", f"2^{data_module.ENTRIES_LIMIT.bit_length() - 1}"),
            ("a CSV file, unpacked", size(tables.CSV_LIMIT)),
            ("a row of a CSV file", size(tables.LINE_LIMIT)),
            ("blank lines of a CSV file", f"{tables.BLANK_LIMIT:,}"),
            ("a JSON data file", size(datafiles.JSON_LIMIT)),
            ("what a JSON data file takes in memory when it is read", f"about {size(datafiles.JSON_MEMORY)}"),
            ("the arrays of an .npz file, unpacked", size(archives.NPZ_LIMIT)),
            (
                "a packed data file, unpacked",
                f"{size(datafiles.UNPACKED_FREE)} and {Limits().unpacked} times its own size *",
            ),
            ("maps and arrays in a msgpack header, nested", f"{scan.NESTING}"),
            ("a piece of a tensor", f"2^{envelope.BIN_LIMIT.bit_length()} − 1 bytes"),
        ],
    )


def _size_limits() -> str:
    return f"{shape_rules.MAX_TERMS:,}, {shape_rules.MAX_DEGREE}, {shape_rules.MAX_DIVISIONS}"


def versions() -> str:
    """The versions of the formats that are read."""
    return f"This describes version {text.VERSION} of the TOML format and version {envelope.VERSION} of the container."


def container_layout() -> str:
    """The container, from the docstring of the module that reads and writes it."""
    return markdown(_after_first_line(container))


def model_layout() -> str:
    """The model inside a container, likewise."""
    return markdown(_after_first_line(binary).replace("(``dataflow.files.container``) ", ""))


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
    names = {"svg": "SVG", "png": "PNG", "pdf": "PDF", "dot": "DOT", "tikz": "TikZ", "mermaid": "Mermaid"}
    endings: dict[str, list[str]] = {}
    for ending, form in drawing.FORMATS.items():
        endings.setdefault(form, []).append(f"`{ending}`")
    return table(("Format", "Ending"), [(names[form], ", ".join(found)) for form, found in endings.items()])


# ------------------------------------------------------------------------------------------------ Python


def hooks() -> str:
    """The hooks that a plugin may implement."""
    found = [(name, hook) for name, hook in vars(hookspecs).items() if name.startswith("register_")]
    return table(("Hook", "What it gives"), [(f"`{name}()`", markdown(hook.__doc__ or "")) for name, hook in found])


def interface() -> str:
    """The names of the package ``dataflow``, each with its first paragraph; classes with their public methods."""
    classes, functions, errors = [], [], []
    for name in dataflow.__all__:
        found = getattr(dataflow, name)
        if not str(getattr(found, "__module__", "")).startswith("dataflow"):
            continue  # what others define is described in words
        if inspect.isclass(found) and issubclass(found, (Exception, Warning)):
            errors.append((f"`{name}`", summary(found)))
        elif inspect.isclass(found):
            classes.append(one_class(name, found))
        elif callable(found) and not inspect.ismodule(found):
            functions.append((f"`{name}{signature(found)}`", summary(found)))
    known = [
        "## Functions\n\n" + "\n\n".join(f"{head}: {body}" for head, body in functions),
        "## Classes\n\n" + "\n\n".join(classes),
        "## Errors\n\n" + table(("Error", "What is wrong"), errors),
    ]
    return "\n\n".join(known)


def one_class(name: str, found: type) -> str:
    """A class, how it is made, what it holds, and what it defines that is public."""
    entries = []
    for key, member in vars(found).items():
        if key.startswith("_"):
            continue
        member = inspect.unwrap(getattr(member, "__func__", member))
        if isinstance(member, property):
            if said := summary(member):
                entries.append(f"- `.{key}`: {said}")
        elif inspect.isfunction(member) and summary(member):
            entries.append(f"- `.{key}{signature(member, bound=True)}`: {summary(member)}")
    text = ["### " + name, ""] + ([] if inspect.isabstract(found) else [f"`{name}{signature(found)}`", ""])
    text.append(summary(found))
    if is_dataclass(found):
        text += ["", "It has " + ", ".join(f"`{one.name}`" for one in fields(found) if one.name[0] != "_") + "."]
    return "\n".join([*text, *([""] if entries else []), *entries])


def signature(function: Callable[..., Any], *, bound: bool = False) -> str:
    """``(x, *, axis=None)``: without annotations, which the text says in words."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return "(...)"
    parameters = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    return str(found.replace(parameters=parameters[1:] if bound else parameters, return_annotation=found.empty))


def summary(found: Any) -> str:
    """The first paragraph of a docstring."""
    return markdown((inspect.cleandoc(found.__doc__ or "")).split("\n\n")[0].replace("\n", " "))


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
    found = registry.registry().backends
    return table(
        ("Backend", "What it promises"),
        [(f"`{name}`", found[name].promises) for name in sorted(found) if is_own("backend", name)],
    )


PARTS: Mapping[str, Callable[[], str]] = {
    "ops": ops,
    "kinks": kinks,
    "initializers": initializers,
    "optimizers": optimizers,
    "operators": operators,
    "limits": limits,
    "versions": versions,
    "container": container_layout,
    "model": model_layout,
    "shapes": shapes,
    "formats": formats,
    "hooks": hooks,
    "interface": interface,
    "dtypes": dtypes,
    "backends": backends,
    "checks": checks_of_ops,
    "faults": mistakes,
}

if __name__ == "__main__":
    sys.exit(main())
