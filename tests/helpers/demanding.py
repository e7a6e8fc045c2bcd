"""Model files of at most 1 MB that ask for much: long ones, and short ones that grow. Each has a name in it for what is
asked by name."""

from __future__ import annotations


def model_file(nodes: str, *, parameters: str = "", inputs: str = "", blocks: str = "", data: str = "") -> str:
    """A file whose loss is the node ``loss``."""
    parts = (("inputs", inputs), ("parameters", parameters), ("nodes", nodes), ("data", data))
    sections = "".join(f"[{name}]\n{text}\n" for name, text in parts if text)
    return f"dataflow = 1\n{blocks}{sections}[model]\nloss = 'loss'\noutputs = ['loss']\n"


def nodes_after(first: str, rule: str, count: int, loss: str = "sum(PREVIOUS)") -> str:
    """Nodes that are each computed from the one before, by ``rule``, in which ``NUMBER`` is the node's number."""
    rules = (rule.replace("PREVIOUS", f"a{i - 1}").replace("NUMBER", str(i)) for i in range(1, count))
    lines = [f"a{i} = '{text}'" for i, text in enumerate([first, *rules])]
    return "\n".join([*lines, f"loss = '{loss}'".replace("PREVIOUS", f"a{count - 1}")])


def chain(length: int) -> str:
    """Nodes with one input each."""
    return model_file(nodes_after("-W", "-PREVIOUS", length), parameters="W = { shape = [3], init = 'he_normal' }")


def doubling(levels: int) -> str:
    """Each block calls the one before it twice: 2 ** (levels - 1) calls of the first."""
    blocks = "[blocks.b0]\ninputs = ['a']\noutput = 'o'\nnodes.o = 'tanh(a @ w)'\n"
    blocks += "parameters.w = { shape = [2, 2], init = 'he_normal' }\n"
    for i in range(1, levels):
        blocks += f"[blocks.b{i}]\ninputs = ['a']\noutput = 'o'\nnodes.o = 'b{i - 1}(b{i - 1}(a))'\n"
    nodes = f"y = 'b{levels - 1}(x)'\nloss = 'sum(y)'"
    return model_file(nodes, inputs="x = { shape = ['n', 2] }", blocks=blocks, data="x = [[1, 2]]")


def numbered(count: int, text: str) -> str:
    return "\n".join(text.replace("NUMBER", str(i)) for i in range(count))


def nested(call: str, depth: int, innermost: str) -> str:
    return f"{call}(" * depth + innermost + ")" * depth


SQUARE = "W = { shape = [6000, 6000], init = 'he_normal' }"
WIDE = ",".join(f"{i}.5" for i in range(20_000))
TWICE = ",".join(["'a:b'"] * 60_000)
LONG = "a" * 480
SIX_PARAMETERS = """
W0 = { value = [[-2.4]] }
b0 = { value = [1.8] }
W1 = { value = [[1.1]] }
b1 = { value = [-0.3] }
W2 = { value = [[0.7], [0.2]] }
b2 = { value = [-0.5, 0.9] }
"""
TWO_LAYERS = """
h0 = "sin(linear(x, W0, b0))"
z1 = "h0 @ W1.T"
s1 = "sum(z1, axis=1, keepdims=True)"
h1 = "relu(z1 / (1 + s1*s1) - b1)"
z2 = "h1 @ W2.T"
s2 = "sum(z2, axis=1, keepdims=True)"
h2 = "sigmoid(z2 / (1 + s2*s2) - b2)"
loss = "sum((h2 - y)**2) + 0.01*sum(W0*W0)"
"""
HOT = 2**20
FILES = {
    "chain": (chain(20_000), "W"),
    "doubling": (doubling(13), "x"),
    "products": (model_file(nodes_after("W @ W", "PREVIOUS @ W", 3), parameters=SQUARE), "W"),
    "parameters": (
        model_file(
            f"loss = '{'+'.join(f'p{i}' for i in range(4000))}'",
            parameters=numbered(4000, "pNUMBER = { value = NUMBER.5 }"),
        ),
        "p0",
    ),
    "layers": (
        model_file(
            nodes_after("p0", "tanh(PREVIOUS @ pNUMBER)", 600),
            parameters=numbered(600, "pNUMBER = { shape = [50, 50], init = 'he_normal' }"),
        ),
        "p0",
    ),
    "diamonds": (
        model_file(nodes_after("p * p", "sin(PREVIOUS) * cos(PREVIOUS)", 4000), parameters="p = { value = [0.5, 1] }"),
        "p",
    ),
    "squares": (model_file(nodes_after("-p", "PREVIOUS * PREVIOUS", 3000), parameters="p = { value = 0.5 }"), "p"),
    "nine scalars": (
        model_file(
            f"z = 'tanh({' + '.join(f'p{i} * sin(p{(i + 1) % 9})' for i in range(9))})'\nloss = 'exp(z) / (1 + z * z)'",
            parameters=numbered(9, "pNUMBER = { value = NUMBER.5 }"),
        ),
        "p0",
    ),
    "deep": (
        model_file(nodes_after("p", nested("tanh", 60, "PREVIOUS"), 150), parameters="p = { value = 0.5 }"),
        "p",
    ),
    "names": (
        model_file(
            nodes_after("-p", "-PREVIOUS", 1000, "PREVIOUS").replace("a", LONG),
            parameters="p = { value = 0.5 }",
        ),
        "p",
    ),
    "misspelt": (
        model_file(numbered(1800, f"{LONG}NUMBER = '-p'") + f"\nloss = '{LONG}x'", parameters="p = { value = 0.5 }"),
        "p",
    ),
    "wide": (
        model_file(
            "loss = 'sum(x @ W.T)'",
            inputs="x = { shape = ['n', 20000] }",
            parameters="W = { shape = [3, 20000], init = 'he_normal' }",
            data=f"x = [[{WIDE}]]",
        ),
        "W",
    ),
    "columns": (
        model_file(
            "loss = 'sum(x)'",
            inputs="x = { shape = ['n', 60000] }",
            data=f"file = 'table.csv'\ncolumns = {{ x = [{TWICE}] }}",
        ),
        "x",
    ),
    "circle": (
        model_file(
            "loss = 'b(x, share=\"loss.loss\")'",
            inputs="x = { shape = ['n', 2] }",
            blocks="[blocks.b]\ninputs = ['a']\noutput = 'o'\nnodes.o = 'a'\n",
        ),
        "x",
    ),
    "strides": (
        model_file(
            nodes_after("x[::2]", "concatenate(PREVIOUS[::2], PREVIOUS[::3], PREVIOUS[::5])", 28),
            inputs="x = { shape = ['n'] }",
        ),
        "x",
    ),
    "two layers": (
        model_file(
            TWO_LAYERS,
            inputs="x = { shape = ['n', 1] }\ny = { shape = ['n', 2] }",
            parameters=SIX_PARAMETERS,
            data="x = [[-0.1], [0.5]]\ny = [[-0.6, 0.1], [-0.9, 0.8]]",
        ),
        "W0",
    ),
    "no data": (
        model_file(f"loss = 'sum({'+'.join(['x'] * 9999)})'", inputs="x = { shape = ['n', 2] }"),
        "x",
    ),
    "one hot": (
        model_file(
            "loss = 'sum(x0)'",
            inputs=numbered(60, f"xNUMBER = {{ shape = ['n', {HOT}] }}"),
            data=numbered(60, f"xNUMBER = [{','.join(['0'] * 16)}]")
            + "\n[data.one_hot]\n"
            + numbered(60, f"xNUMBER = {HOT}"),
        ),
        "x0",
    ),
}
