"""Texts that try to be markup, code or commands."""

from __future__ import annotations

import random

import numpy as np

import dataflow

BAITS = [
    *('"', "'", "\\", "\\\\", '\\"', "\\G", "\\N", "\\E", "\\T", "\\H", "\\L", "\\l", "\\r", "\\n", "<", ">", "&", ";"),
    *("&amp;", "&lt;", "&#60;", "&#x3c;", "&quot;", "&nbsp;", "]]>", "<![CDATA[", "<!--", "-->", "--", "#", "//", "/*"),
    *("<script", "<script>alert(1)</script>", "</text>", "</svg>", "<svg onload=alert(1)>", "javascript:alert(1)"),
    *("<b>bold</b>", "<<b>x</b>>", "<>", '<img src="/etc/passwd">', "<table><tr><td>x</td></tr></table>", "onclick="),
    *('" URL="javascript:alert(1)', '"; image="/etc/passwd', '" shapefile="/etc/passwd" x="', "fontname=/etc/passwd"),
    *('"]; evil [label="', '}"', "{a|b}", "a:b:c", "->", "digraph {", "stylesheet=x.css", "@import url(x)", "url(#a)"),
    *("xlink:href", "data:text/html,x", "%s", "$(id)", "`id`", "~", "^", "_", "\\input{/etc/passwd}", "$x$", "{", "}"),
    *(
        "\x00",
        "\x01",
        "\x1b[31m",
        "\n",
        "\r",
        "\t",
        "\u2028",
        "\u202e",
        "\ufffe",
        "\ud800",
        "\U0001f600",
        "é",
        "∂",
        "漢",
    ),
    *(
        "subgraph x",
        "end",
        "click n1 call x()",
        "%%{init: {}}%%",
        "|",
        "[[",
        "]]",
        "((",
        "#quot;",
        "#35;",
        "classDef a",
    ),
]


def hostile_texts(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    made = list(BAITS)
    while len(made) < count:
        parts = rng.choices(BAITS, k=rng.randint(1, 4))
        if rng.random() < 0.5:
            parts.insert(rng.randrange(len(parts)), "".join(map(chr, rng.choices(range(0x20, 0x3000), k=3))))
        made.append("".join(parts))
    return made[:count]


def hostile_model(text: str, doc: str = "") -> dataflow.Model:
    """A model with such a text as its name, as that of a block, and in the block."""
    graph = dataflow.Graph(text)
    x = graph.input("x", ("n", 2))
    graph.node("h", dataflow.ops.tanh(x))
    loss = graph.node("loss", dataflow.ops.mse(graph.value("h"), graph.constant("c", np.zeros((1, 2)))))
    graph.change_node("h", block="h")
    graph.blocks[text] = {"inputs": ["x"], "output": text, "nodes": {}}
    graph.calls["h"] = {"block": text, "share": None, "inputs": ["x"]}
    return dataflow.Model(graph, ["h"], loss.name, doc=doc)
