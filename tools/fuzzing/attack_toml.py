"""Attacks in TOML."""

from __future__ import annotations

from fuzzing.containers import Pairs, encode, envelope

X = 'dataflow = 1\ninputs.x = { shape = ["n", 2] }\n'  # the next line is line 3
DATA = X.replace("dataflow = 1", "dataflow = 2") + "[data]\nfile = 'd.csv'\n"
NODE = X + "[nodes]\n"  # the next line is line 4
BLOCK = "dataflow = 1\ninputs.x = {}\n[blocks.b]\ninputs = ['a']\noutput = 'y'\nnodes.y = '-a'\n"


def node(expression: str) -> str:
    """A file with one node, in line 4; its expression begins in column 6."""
    return NODE + f"z = '{expression}'\n"


def parameter(declared: str) -> str:
    """A file with one parameter, in line 4."""
    return X + f"[parameters]\nW = {declared}\n"


def _blocks(count: int, body: str, last: str) -> str:
    text = "dataflow = 1\ninputs.x = {}\nnodes.y = 'b0(x)'\n"
    for i in range(count):
        used = body.format(i + 1) if i < count - 1 else last
        text += f"[blocks.b{i}]\ninputs = ['x']\noutput = 'y'\nnodes.y = '{used}'\n"
    return text


def _squares(size: str) -> str:
    text = f"dataflow = 1\ninputs.x = {{ shape = [{size}] }}\n[nodes]\na0 = '-x'\n"
    for i in range(1, 60):
        text += f"a{i} = 'reshape(a{i - 1}[:, newaxis] * a{i - 1}[newaxis, :], shape=[-1])'\n"
    return text


FILES: dict[str, str | bytes] = {
    # the file itself
    "empty": "",
    "version-newer": "dataflow = 3\n[graph]\nnew = true\n",
    "version-text": "dataflow = '1'\n",
    "not-utf8": b"dataflow = 1\nname = '\xff'\n",
    "utf16": "dataflow = 1\n".encode("utf-16"),
    "nul": "dataflow = 1\nname = 'a\0b'\n",
    "is-msgpack": envelope(encode(Pairs([("tensors", Pairs([]))])), b""),
    "then-msgpack": X.encode() + envelope(encode(Pairs([("tensors", Pairs([]))])), b""),
    "is-pickle": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
    "unknown-key": "dataflow = 1\n__import__ = 'os'\n",
    # depth and size
    "deep-arrays": "dataflow = 1\ndoc = " + "[" * 100_000 + "]" * 100_000 + "\n",
    "deep-tables": "dataflow = 1\nnodes = " + "{ a = " * 10_000 + "1" + " }" * 10_000 + "\n",
    "deep-dotted-key": "dataflow = 1\n" + "a." * 10_000 + "a = 1\n",
    "deep-header": "dataflow = 1\n[" + "a." * 10_000 + "a]\n",
    "deep-value": parameter("{ value = " + "[" * 40 + "1" + "]" * 40 + " }"),
    "empty-arrays": "dataflow = 1\ndoc = [" + "[]," * 50_000 + "]\n",
    "empty-tables": "dataflow = 1\ndoc = [" + "{}," * 270_000 + "]\n",
    "name-too-long": NODE + "a" * 1001 + " = 'x'\n",
    "digits": parameter("{ value = " + "9" * 100_000 + " }"),
    "digits-few": parameter("{ value = 9223372036854775808123 }"),
    "float-beyond": "dataflow = 1\ninputs.x = {}\n[train]\nvalidation = 1e999999999\n",
    "date": parameter("{ value = [1979-05-27T07:32:00Z] }"),
    # names
    "duplicate-key": "dataflow = 1\ninputs.x = {}\n[nodes]\nz = 'x'\nz = '-x'\n",
    "duplicate-table": "dataflow = 1\n[inputs]\nx = {}\n[inputs]\ny = {}\n",
    "duplicate-name": "dataflow = 1\n[inputs]\nx = {}\n[nodes]\nx = '1'\n",
    "duplicate-after-nfkc": "dataflow = 1\n[constants]\n'ﬁ' = { value = 1 }\nfi = { value = 2 }\n",
    "dunder-names": "dataflow = 1\ninputs.__class__ = {}\n"
    "nodes.__init__ = '-__class__'\nnodes.__dict__ = '__init__ + 1'\n",
    "dotted-name": NODE + "'os.system' = 'x'\n",
    "terminal-escape": 'dataflow = 1\nname = "\\u001b]0;owned\\u0007"\n',
    "override-name": NODE + '"\\u202ex" = "x"\n',
    # graphs that cannot be
    "cycle": NODE + "a = 'b + 1'\nb = 'c * 2'\nc = '-a'\n",
    "self-loop": NODE + "a = 'a + x'\n",
    "dangling-input": NODE + "a = 'relu(y)'\n",
    "dangling-output": X + "model.outputs = ['gone']\n",
    "fan-in": NODE + "a = { op = 'add', inputs = [" + "'x'," * 1_000 + "] }\n",
    "fan-in-variadic": NODE + "a = { op = 'concatenate', inputs = [" + "'x'," * 100_000 + "] }\n",
    "fan-in-expression": node("[" + "x," * 49_000 + "]"),
    "blocks-that-double": _blocks(30, "b{0}(x) + b{0}(x)", "x + 1"),
    "blocks-too-deep": _blocks(40, "b{0}(x)", "x + 1"),
    "block-calls-itself": "dataflow = 1\ninputs.x = {}\n[blocks.b]\ninputs = ['x']\noutput = 'y'\nnodes.y = 'b(x)'\n",
    "block-like-an-op": "dataflow = 1\n[blocks.relu]\ninputs = ['x']\noutput = 'x'\n",
    "shares-in-a-circle": "dataflow = 1\ninputs.x = {}\n[blocks.b]\ninputs = ['a']\noutput = 'y'\nnodes.y = '-a'\n"
    "[nodes]\np = 'b(x, share=\"q\")'\nq = 'b(x, share=\"p\")'\n",
    "shares-with-its-inside": BLOCK + "[nodes]\ny = 'b(x, share=\"y.y\")'\n",
    "shares-deeper-and-deeper": BLOCK + "[nodes]\ny = 'b(x, share=\"z.a.a\")'\nz = 'b(x, share=\"y.a.a\")'\n",
    # shapes and values
    "sizes-divided-in-three-ways": "dataflow = 1\ninputs.x = { shape = ['a'] }\n[nodes]\ny0 = 'x[::2]'\n"
    + "".join(f"y{i + 1} = 'concatenate(y{i}[::2], y{i}[::3], y{i}[::5])'\n" for i in range(32)),
    "integer-hexadecimal": "dataflow = 1\nconstants = { c = 0x" + "f" * 5000 + " }\n",
    "integer-octal-as-a-seed": X + "[train]\nseed = 0o" + "7" * 6000 + "\n",
    "integer-binary-as-an-attribute": NODE
    + "z = { op = 'sum', inputs = ['x'], attributes = { axis = 0b"
    + "1" * 20000
    + " } }\n",
    "shape-overflows": parameter("{ shape = [4294967296, 4294967296], init = 'zeros' }"),
    "shape-too-large": "dataflow = 1\ninputs.x = { shape = [9223372036854775807] }\n",
    "shape-of-33-axes": f"dataflow = 1\ninputs.x = {{ shape = {[1] * 33} }}\n",
    "size-negative": "dataflow = 1\ninputs.x = { shape = ['n', -1] }\n",
    "size-float": "dataflow = 1\ninputs.x = { shape = [2.0] }\n",
    "size-true": "dataflow = 1\ninputs.x = { shape = [true] }\n",
    "size-formula": "dataflow = 1\ninputs.x = { shape = ['" + "(" * 100 + "n" + ")" * 100 + "'] }\n",
    "size-power": "dataflow = 1\ninputs.x = { shape = ['" + "*".join(["(a+b+c+d+e+f)"] * 13) + "'] }\n",
    "size-division": "dataflow = 1\ninputs.x = { shape = ['n//0'] }\n",
    "size-terms": "dataflow = 1\ninputs.x = { shape = ['"
    + "*".join(f"({a}+{b})" for a, b in zip("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", strict=True))
    + "'] }\n",
    "size-squared-again-and-again": _squares("1000"),
    "size-symbol-squared-again-and-again": _squares("'n'"),
    "size-halved-again-and-again": "dataflow = 1\ninputs.x = { shape = ['n+1'] }\n[nodes]\na0 = 'x[::2]'\n"
    + "".join(f"a{i} = 'a{i - 1}[::2]'\n" for i in range(1, 1000)),
    "axes-without-end": "dataflow = 1\ninputs.x = {}\n[nodes]\na0 = 'x + 1'\n"
    + "".join(f"a{i} = 'a{i - 1}[newaxis]'\n" for i in range(1, 1000)),
    "broadcast-overflows": node("broadcast_to(x[0, 0], shape=[4611686018427387903, 4611686018427387903])"),
    "reshape-negative": node("reshape(x, shape=[-2, 3])"),
    "ragged": parameter("{ value = [[1, 2], [3]] }"),
    "value-of-text": parameter("{ value = ['1'] }"),
    "value-not-finite": X + "constants.c = { value = [nan], dtype = 'int64' }\n",
    "rate-not-finite": X + "[train]\noptimizer = { name = 'sgd', learning_rate = inf }\n",
    "scale-not-finite": X + "[data]\nfile = 'd.csv'\nscale = { x = inf }\n",
    "deviation-negative": parameter("{ shape = [2], init = { name = 'normal', std = -1.0 } }"),
    "classes": X + "[data]\nfile = 'd.csv'\none_hot = { x = 1000000000 }\n",
    "missing-code": DATA + "missing = { a = { fill = 'median', __class__ = 1 } }\n",
    "missing-not-finite": DATA + "missing = { a = nan }\n",
    "categories-of-module": DATA + "categories = { a = 'os.system' }\n",
    "categories-twice": DATA + "categories = { a = { kind = 'index', names = ['b', 'b'] } }\n",
    "standardize-no-input": DATA + "standardize = ['__class__']\n",
    "learned-deviation": DATA + "learned.inputs.x = { mean = [0, 0], deviation = [1, 0] }\n",
    "learned-ragged": DATA + "learned.inputs.x = { mean = [[0], [0, 1]], deviation = [1, 1] }\n",
    "learned-more": DATA + "learned.os = { system = 'true' }\n",
    "width-of-examples": "dataflow = 2\ninputs.x = { shape = ['n', 'k'] }\n"
    "parameters.W = { shape = ['n'], init = 'zeros' }\n",
    "widths-of-nothing": "dataflow = 2\n"
    + "".join(f"inputs.x{i} = {{ shape = ['n', 'k{i}'] }}\n" for i in range(300))
    + "".join(f"parameters.w{i} = {{ shape = ['k{i}', 'm{i}'], init = 'zeros' }}\n" for i in range(300)),
    "root-number": DATA + "root = 3\n",
    "seed-negative": X + "[train]\nseed = -1\n",
    "loss-no-number": node("relu(x)") + "[model]\nloss = 'z'\n",
    # code
    "import": node('__import__("os").system("true")'),
    "subclasses": node("().__class__.__bases__[0].__subclasses__()"),
    "attribute-of-value": node("x.__class__"),
    "eval": node('eval("1")'),
    "open": node('open("/etc/passwd")'),
    "lambda": node("lambda: 0"),
    "comprehension": node("[a for a in x]"),
    "walrus": node("(a := x)"),
    "f-string": node('f"{x}"'),
    "format-string": node("relu({x})"),
    "statement": node("import antigravity"),
    "semicolon": node("x; x"),
    "op-of-module": NODE + "z = { op = 'os.system', inputs = ['x'] }\n",
    "op-antigravity": node("antigravity(x)"),
    "init-of-module": parameter("{ shape = [2], init = 'numpy.random.normal' }"),
    "optimizer-of-module": X + "[train]\noptimizer = 'antigravity'\n",
    "attribute-unknown": NODE + "z = { op = 'sum', inputs = ['x'], attributes = { __class__ = 'os' } }\n",
    "attribute-wrong-type": node('sum(x, axis="0")'),
    "attribute-deep": node("sum(x, axis=" + "[" * 60 + "0" + "]" * 60 + ")"),
    # expressions
    "expression-long": node("x + " * 250_000 + "x"),
    "expression-parentheses": node("(" * 49_000 + "x" + ")" * 49_000),
    "expression-parentheses-many": node("(" * 100_000 + "x" + ")" * 100_000),
    "expression-signs": node("-" * 99_000 + "x"),
    "expression-powers": node("x" + "**x" * 33_000),
    "expression-operators": node("x" + "+x" * 49_000),
    "expression-calls": node("relu(" * 16_000 + "x" + ")" * 16_000),
    "expression-power-of-powers": node("9**9**9**9"),
    "expression-digits": node("x + " + "9" * 90_000),
    "expression-float": node("x + 1e999"),
    "expression-string": NODE + 'z = "sum(x, axis=\'aaa"\n',
    "expression-escape": NODE + "z = 'x \\x1b[2J'\n",
    # paths
    "path-up": X + "[data]\nfile = '../../../../etc/passwd'\n",
    "path-absolute": X + "[data]\nfile = '/etc/passwd'\n",
    "path-drive": X + "[data]\nfile = 'C:/secret.csv'\n",
    "path-share": X + "[data]\nfile = '\\\\server\\share\\x.csv'\n",
    "path-inside-and-up": X + "[data]\nfile = 'a/../../secret.csv'\n",
    "path-nul": X + '[data]\nfile = "a\\u0000.csv"\n',
    "path-url": X + "[data]\nfile = 'http://127.0.0.1/x.csv'\n",
    "path-pickle": X + "[data]\nfile = 'is-pickle.pkl'\n",
    "path-itself": X + "[data]\nfile = 'path-itself.toml'\n",
}
"""Names without their ending, and what is in each."""
