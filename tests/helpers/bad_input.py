"""Bad model files: the text, the error, its place, and a part of its message."""

from __future__ import annotations

from dataflow.errors import (
    DataError,
    DtypeError,
    ExpressionError,
    FileFormatError,
    GraphError,
    OpError,
    PluginError,
    ShapeError,
)

X = "dataflow = 1\n[inputs]\nx = { shape = ['n', 2] }\n"  # the next line is line 4


BLOCK = """\
dataflow = 1
inputs.x = { shape = ["n", 2] }
[blocks.layer]
inputs = ["a"]
output = "z"
parameters.W = { shape = [3, 2], init = "zeros" }
nodes.z = "relu(a @ W.T)"
[blocks.other]
inputs = ["a", "b"]
output = "a"
[nodes]
"""  # the next line is line 12


FILE = [
    ("", FileFormatError, 1, None, "the version of the format is missing; begin the file with: dataflow = 1"),
    ("dataflow = 3\nnew = 3", FileFormatError, 1, 12, "needs format 3; this reads up to 2; upgrade dataflow"),
    ("dataflow = 0", FileFormatError, 1, 12, "takes the version of the format, 1 or 2, not 0"),
    ("dataflow = '1'", FileFormatError, 1, 13, "takes the version of the format, 1 or 2, not '1'"),
    ("dataflow = true", FileFormatError, 1, 12, "not true"),
    ("dataflow = 1\nname = xor", FileFormatError, 2, 8, "not TOML"),
    ("dataflow = 1\n[nodes]\nζ1 = '1'", FileFormatError, 3, 1, 'letters beyond a to z stands in quotes: "ζ1"'),
    ("dataflow = 1\n[inputs]\ngröße = {}", FileFormatError, 3, 3, 'stands in quotes: "größe"'),
    ("dataflow = 1\ninputs = { x = {}, ä = {} }", FileFormatError, 2, 20, 'stands in quotes: "ä"'),
    ("dataflow = 1\n[blocks.ä]", FileFormatError, 2, 9, 'stands in quotes: "ä"'),
    ("dataflow = 1\n[nodes]\nz = '1'\nz = '2'", FileFormatError, 4, 1, "'z' is given twice, first on line 3"),
    ("dataflow = 1\n\nnam = 'x'", FileFormatError, 3, 1, "unknown key 'nam' in the file; did you mean 'name'?"),
    ("dataflow = 1\nname = 3", FileFormatError, 2, 8, "name takes text on one line, of at most 200 characters, not 3"),
    ('dataflow = 1\nname = "a\\nb"', FileFormatError, 2, 9, "text on one line"),
    ("dataflow = 1\ndoc = ['a']", FileFormatError, 2, 7, "doc takes text, not ['a']"),
    ("dataflow = 1\ndtype = 'float8'", DtypeError, 2, 10, "unknown dtype 'float8'; did you mean 'float"),
    ("dataflow = 1\ndtype = 64", FileFormatError, 2, 9, 'a dtype such as "float32", not 64'),
    ("dataflow = 1\ninputs = 3", FileFormatError, 2, 10, "[inputs] takes a table, not 3"),
    ("dataflow = 1\n[[nodes]]\nz = 'x'", FileFormatError, 2, 3, "[nodes] takes a table, not ["),
]


NAMES = [
    (X + "x = 3", FileFormatError, 4, 1, "'x' is given twice, first on line 3"),
    (
        X + "[parameters]\nx = { value = 1 }",
        GraphError,
        5,
        1,
        "'x' is used twice: for a parameter here, and for an input",
    ),
    (X + "[nodes]\nx = '1'", GraphError, 5, 1, "for a node here, and for an input on line 3; rename one"),
    (
        "dataflow = 1\n[nodes]\nx = '1'\n[inputs]\nx = {}",
        GraphError,
        5,
        1,
        "for an input here, and for a node on line 3",
    ),
    ("dataflow = 1\n[constants]\n'ﬁ' = { value = 1 }\nfi = { value = 2 }", GraphError, 4, 1, "'fi' is used twice"),
    ("dataflow = 1\n[nodes]\n'a.b' = '1'", GraphError, 3, 1, "a dot is not part of a name"),
    (
        "dataflow = 1\n[nodes]\n2a = '1'",
        GraphError,
        3,
        1,
        "'2a' is not a name; a name has letters, digits and underscores",
    ),
    ("dataflow = 1\n[nodes]\na-b = '1'", GraphError, 3, 1, "'a-b' is not a name"),
    ("dataflow = 1\n[nodes]\n'' = '1'", GraphError, 3, 1, "'' is not a name"),
    ("dataflow = 1\n[nodes]\nTrue = '1'", GraphError, 3, 1, "True is a constant of expressions"),
    (f"dataflow = 1\n[nodes]\n{'a' * 1001} = '1'", GraphError, 3, 1, "at most 1000 characters"),
    ("dataflow = 1\n[inputs]\nfile = {}", GraphError, 3, 1, "'file' names no input, because it has a meaning under"),
    ("dataflow = 1\n[inputs]\none_hot = {}", GraphError, 3, 1, "'one_hot' names no input"),
]


ARRAYS = [
    (
        "dataflow = 1\n[inputs]\nx = ['n', 2]",
        FileFormatError,
        3,
        5,
        "input 'x' takes a table such as { shape = [\"n\", 2] }",
    ),
    (
        "dataflow = 1\n[inputs]\nx = { shap = [2] }",
        FileFormatError,
        3,
        7,
        "unknown key 'shap' in input 'x'; did you mean",
    ),
    ("dataflow = 1\n[inputs]\nx = { shape = ['n', -2] }", ShapeError, 3, 21, "a size is an integer ≥ 0"),
    ("dataflow = 1\n[inputs]\nx = { shape = ['n', 2.0] }", ShapeError, 3, 21, "not 2.0"),
    ("dataflow = 1\n[inputs]\nx = { shape = ['n+', 2] }", ShapeError, 3, 17, "not 'n+'"),
    (
        "dataflow = 1\n[inputs]\nx = { shape = 2 }",
        ShapeError,
        3,
        15,
        'a shape is a list of sizes such as ["n", 2], not 2',
    ),
    ("dataflow = 1\n[inputs]\nx = { dtype = 'float' }", DtypeError, 3, 16, "unknown dtype 'float'; did you mean"),
    ("dataflow = 1\n[parameters]\nW = {}", GraphError, 3, 1, "parameter 'W' needs an init or a value, such as init"),
    ("dataflow = 1\n[parameters]\nW = { init = 'zeros', value = 1 }", GraphError, 3, 1, "an init or a value, not both"),
    ("dataflow = 1\n[parameters]\nW = { init = 'zeros' }", GraphError, 3, 1, "has an init and needs a shape"),
    (
        "dataflow = 1\n[parameters]\nW = { shape = ['n'], init = 'zeros' }",
        FileFormatError,
        3,
        7,
        "a width that data decide needs format 2",
    ),
    ("dataflow = 1\n[parameters]\nW = { shape = [1048577, 1048577], init = 'zeros' }", ShapeError, 3, 15, "2^40"),
    (
        "dataflow = 1\n[parameters]\nW = { shape = [2], init = 'he_norml' }",
        PluginError,
        3,
        28,
        "did you mean 'he_normal'",
    ),
    (
        "dataflow = 1\n[parameters]\nW = { shape = [2], init = 3 }",
        FileFormatError,
        3,
        27,
        "a name, or a table of a name",
    ),
    ("dataflow = 1\n[parameters]\nW = { shape = [2], init = { std = 3 } }", FileFormatError, 3, 20, "the name of the"),
    (
        "dataflow = 1\n[parameters]\nW = { shape = [2], init = { name = 3 } }",
        FileFormatError,
        3,
        29,
        "takes text, not 3",
    ),
    (
        "dataflow = 1\n[parameters.W]\nshape = [2]\n[parameters.W.init]\nname = 'normal'\nst = 3",
        *(OpError, 6, 1, "initializer 'normal': unknown attribute 'st'; did you mean 'std'?"),
    ),
    (
        "dataflow = 1\n[parameters]\nW = { shape = [2], init = { name = 'normal', std = 'a' } }",
        *(OpError, 3, 46, "attribute 'std' takes float, not 'a'"),
    ),
    (
        "dataflow = 1\n[parameters]\nW = { shape = [2], init = 'constant' }",
        OpError,
        3,
        20,
        "'value' (float) is missing",
    ),
    (
        "dataflow = 1\n[parameters]\nW = { shape = [2], init = { name = 'normal', std = -3 } }",
        *(OpError, 3, 20, "initializer 'normal' cannot draw"),
    ),
    ("dataflow = 1\n[parameters]\nW = { shape = [], init = 'he_normal' }", OpError, 3, 19, "needs at least one axis"),
    (
        "dataflow = 1\n[parameters]\nW = { value = [[1, 2],\n[3]] }",
        DataError,
        4,
        1,
        "this has 1 entry, the first has 2 entries",
    ),
    (
        "dataflow = 1\n[parameters]\nW = { value = [[1, 2],\n[3, 'a']] }",
        DataError,
        4,
        6,
        "a number is expected, 'a' found",
    ),
    (
        "dataflow = 1\n[parameters]\nW = { value = [[1], [[2]]] }",
        DataError,
        3,
        21,
        "this has the shape [1, 1], the first has 1 entry",
    ),
    (
        "dataflow = 1\n[parameters]\nW = { value = [[], 1] }",
        DataError,
        3,
        20,
        "this is a number, the first has 0 entries",
    ),
    ("dataflow = 1\n[parameters]\nW = { value = 1979-05-27 }", DataError, 3, 15, "a number is expected, datetime.date"),
    (
        "dataflow = 1\n[parameters]\nW = { value = 1_000_000_000_000_000_000_000 }",
        DataError,
        3,
        15,
        "does not fit int64",
    ),
    ("dataflow = 1\n[parameters]\nW = { value = true }", DataError, 3, 15, "takes numbers, not booleans"),
    (
        "dataflow = 1\n[parameters]\nW = { value = [1], dtype = 'int64' }",
        DtypeError,
        3,
        20,
        "a parameter is float64 or",
    ),
    ("dataflow = 1\ndtype = 'int64'\n[parameters]\nW = { value = [1] }", DtypeError, 4, 1, "a parameter is float64 or"),
    (
        "dataflow = 1\n[parameters]\nW = { value = [1, 1e300], dtype = 'float32' }",
        DataError,
        3,
        19,
        "1e+300 does not fit",
    ),
    ("dataflow = 1\n[parameters]\nW = { value = [1, 2], shape = [3] }", ShapeError, 3, 15, "(3,), its value has (2,)"),
    ("dataflow = 1\n[constants]\nk = { shape = [2] }", GraphError, 3, 1, "constant 'k' needs a value"),
    ("dataflow = 1\n[constants]\nk = { init = 'zeros' }", FileFormatError, 3, 7, "unknown key 'init' in constant 'k'"),
    ("dataflow = 1\n[constants]\nk = 3.0", FileFormatError, 3, 5, "constant 'k' takes a table such as { value = "),
    (
        "dataflow = 1\n[constants]\nk = { value = 1.5, dtype = 'int64' }",
        DataError,
        3,
        15,
        "constant 'k': 1.5 does not fit int64, which holds whole numbers from",
    ),
    ("dataflow = 1\n[constants]\nk = { value = 4294967296, dtype = 'int32' }", DataError, 3, 15, "does not fit"),
]


NODES = [
    (X + "[nodes]\nz = 3", FileFormatError, 5, 5, 'takes an expression such as "relu(z)", or a table such as'),
    (X + "[nodes]\nz = ''", ExpressionError, 5, 6, "empty"),
    (X + "[nodes]\nz = 'relu(x'", ExpressionError, 5, 10, "'(' is never closed"),
    (X + "[nodes]\nz = 'relu(x) $'", ExpressionError, 5, 14, "unexpected character '$'"),
    (X + "[nodes]\nz = '''\nrelu(x)\n + y'''", ExpressionError, 7, 4, "unknown name 'y'"),
    (X + "[nodes]\nz = 'x @ W11'\nW1 = '1'", ExpressionError, 5, 10, "unknown name 'W11'; did you mean 'W1'?"),
    (X + "[nodes]\nz = 'relu + 1'", ExpressionError, 5, 6, "'relu' is called with its inputs: relu(...)"),
    (X + "[nodes]\nz = 'x + matmull(x, x)'", OpError, 5, 10, "unknown op 'matmull'; did you mean 'matmul'?"),
    (X + "[nodes]\nz = 'relu(x, x)'", OpError, 5, 6, "op 'relu' takes 1 input (x), 2 given"),
    (X + "[nodes]\nz = 'sum(x, axs=0)'", OpError, 5, 6, "op 'sum': unknown attribute 'axs'; did you mean 'axis'?"),
    (X + "[nodes]\nz = 'sum(x, axis=7)'", ShapeError, 5, 6, "node 'z': sum(x): axis 7 is out of range"),
    (X + "[nodes]\nc = 'a + 1'\na = 'b * 2'\nb = 'relu(c)'", GraphError, 5, 1, "form a cycle: c -> b -> a -> c"),
    (X + "[nodes]\nh = 'x'\na = 'h + a'", GraphError, 6, 1, "the nodes form a cycle: a -> a"),
    (X + "[nodes]\nz = { op = 'relu' }", FileFormatError, 5, 1, "node 'z' has no inputs"),
    (X + "[nodes]\nz = { inputs = ['x'] }", FileFormatError, 5, 1, "node 'z' has no op"),
    (X + "[nodes]\nz.y = 'x'", FileFormatError, 5, 3, "unknown key 'y' in node 'z'"),
    (X + "[nodes]\nz = { op = 3, inputs = ['x'] }", FileFormatError, 5, 12, "op takes the name of an op, not 3"),
    (
        X + "[nodes]\nz = { op = 'rel', inputs = ['x'] }",
        OpError,
        5,
        13,
        "unknown op 'rel'; did you mean 'relu' or 'prelu'?",
    ),
    (X + "[nodes]\nz = { op = 'relu', inputs = 'x' }", FileFormatError, 5, 30, "a list of names and numbers, not 'x'"),
    (X + "[nodes]\nz = { op = 'relu', inputs = [['x']] }", FileFormatError, 5, 30, "names and numbers, not ['x']"),
    (X + "[nodes]\nz = { op = 'add', inputs = ['x', 'y'] }", ExpressionError, 5, 35, "unknown name 'y'"),
    (X + "[nodes]\nz = { op = 'relu', inputs = ['x', 1] }", OpError, 5, 29, "op 'relu' takes 1 input (x), 2 given"),
    (
        X + "[nodes]\nz = { op = 'sum', inputs = ['x'], attributes = { axs = 1 } }",
        *(OpError, 5, 50, "op 'sum': unknown attribute 'axs'; did you mean 'axis'?"),
    ),
    (
        X + "[nodes]\nz = { op = 'sum', inputs = ['x'], attributes = { axis = 'a' } }",
        *(OpError, 5, 50, "attribute 'axis' takes"),
    ),
    (X + "[nodes]\nz = { op = 'sum', inputs = ['x'], attributes = 3 }", FileFormatError, 5, 48, "takes a table, not 3"),
]


BLOCKS = [
    ("dataflow = 1\nblocks = 3", FileFormatError, 2, 10, "[blocks] takes a table, not 3"),
    ("dataflow = 1\n[blocks.relu]\noutput = 'a'", GraphError, 2, 9, "there is an op 'relu'; call the block something"),
    ("dataflow = 1\n[blocks.b]\ninputs = ['x']", FileFormatError, 2, 9, "block 'b' has no output"),
    ("dataflow = 1\n[blocks.b]\nin = ['x']\noutput = 'x'", FileFormatError, 3, 1, "unknown key 'in' in block 'b'"),
    ("dataflow = 1\n[blocks.b]\ninputs = 'x'\noutput = 'x'", FileFormatError, 3, 11, "inputs takes a list of names"),
    ("dataflow = 1\n[blocks.b]\ninputs = ['x', 3]\noutput = 'x'", FileFormatError, 3, 16, "list of names, not 3"),
    (
        "dataflow = 1\n[blocks.b]\ninputs = ['x', 'x']\noutput = 'x'",
        GraphError,
        3,
        16,
        "'x' is used twice: for a block",
    ),
    ("dataflow = 1\n[blocks.b]\ninputs = ['x']\noutput = 'y'\nnodes.z = '1'", GraphError, 4, 11, "no node 'y'"),
    ("dataflow = 1\n[blocks.b]\ninputs = ['x']\noutput = 'y'\nnodes.y = 'rel(x)'", OpError, 5, 12, "unknown op 'rel'"),
    (
        "dataflow = 1\n[inputs]\nv = {}\n[blocks.b]\ninputs = ['x']\noutput = 'y'\nnodes.y = 'x + v'",
        *(ExpressionError, 7, 16, "unknown name 'v'"),
    ),
    (
        "dataflow = 1\n[blocks.b]\noutput = 'W'\nparameters.W = { shape = ['k'], init = 'zeros' }",
        *(FileFormatError, 4, 18, "a width that data decide needs format 2"),
    ),
    (
        (
            "dataflow = 1\n[blocks.b]\ninputs = ['x']\noutput = 'y'\nnodes.y = 'c(x)'\n"
            "[blocks.c]\ninputs = ['x']\noutput = 'y'\nnodes.y = 'relu(b(x))'"
        ),
        *(GraphError, 2, 9, "block 'b' calls itself: b -> c -> b; a block is no loop"),
    ),
    ("dataflow = 1\n[blocks.b]\noutput = 'y'\nnodes.y = 'b()'", GraphError, 2, 9, "block 'b' calls itself: b -> b"),
    (BLOCK + "h = 'layr(x)'", OpError, 12, 6, "unknown op 'layr'; did you mean 'layer'"),
    (BLOCK + "h = 'layer + x'", ExpressionError, 12, 6, "'layer' is called with its inputs: layer(...)"),
    (BLOCK + "h = 'x + layer(x, x)'", OpError, 12, 10, "block 'layer' takes 1 input (a), 2 given"),
    (BLOCK + "h = 'other(x)'", OpError, 12, 6, "block 'other' takes 2 inputs (a, b), 1 given"),
    (BLOCK + "h = { op = 'layer', inputs = [] }", OpError, 12, 30, "block 'layer' takes 1 input (a), 0 given"),
    (BLOCK + "h = 'layer(None)'", OpError, 12, 6, "input 'a' of block 'layer' takes a value or a number, not None"),
    (
        BLOCK + "h = 'layer(x, shar=\"g\")'",
        OpError,
        12,
        6,
        "block 'layer' has no attribute 'shar'; did you mean 'share'?",
    ),
    (BLOCK + "h = 'layer(x, share=1)'", OpError, 12, 6, "share takes the path of another call in quotes, not 1"),
    (BLOCK + "h = 'layer(x, share=\"g\")'", OpError, 12, 6, "no call 'g' of block 'layer' to share with; no other"),
    (
        BLOCK + "h1 = 'layer(x)'\nh2 = 'layer(x, share=\"h\")'",
        OpError,
        13,
        7,
        "no call 'h' of block 'layer' to share with",
    ),
    (BLOCK + "g = 'other(x, x)'\nh = 'layer(x, share=\"g\")'", OpError, 13, 6, "'g' is a call of block 'other', and"),
    (BLOCK + "h = 'layer(x, share=\"h\")'", GraphError, 12, 6, "so that none has parameters: h -> h"),
    (BLOCK + "h = 'layer(x, share=\"g\")'\ng = 'layer(x, share=\"h\")'", GraphError, 12, 6, "in a circle"),
    (
        BLOCK + "h = { op = 'layer', inputs = ['x'], attributes = { share = 'g' } }",
        *(OpError, 12, 61, "there is no call 'g' of block 'layer'"),
    ),
]


SETTINGS = [
    (X + "[model]\noutput = ['x']", FileFormatError, 5, 1, "unknown key 'output' in [model]; did you mean 'outputs'?"),
    (X + "[model]\noutputs = 'x'", FileFormatError, 5, 12, "outputs takes a list of names of nodes, not 'x'"),
    (
        X + "[nodes]\nyhat = 'x'\n[model]\noutputs = ['x', 'yhta']",
        GraphError,
        7,
        18,
        "unknown node 'yhta'; did you mean 'yhat'?",
    ),
    (X + "[model]\noutputs = ['x', 'x']", GraphError, 5, 18, "the output 'x' is listed twice"),
    (X + "[model]\nloss = 'los'", GraphError, 5, 9, "unknown node 'los'"),
    (X + "[model]\nloss = 'x'", GraphError, 5, 9, "the loss 'x' is float64 (n, 2); a loss is one float"),
    (X + "[data]\nxx = [[1, 2]]", FileFormatError, 5, 1, "unknown input 'xx', which [data] gives"),
    (X + "[data]\nx = [[1, 2], [3]]", DataError, 5, 14, "this has 1 entry, the first has 2 entries"),
    (X + "[data]\nx = [[1, 2],\n [3, 'b']]", DataError, 6, 7, "a number is expected, 'b' found"),
    (X + "[data]\nx = [1, 2]", DataError, 5, 5, "1 found (2,); one example is a batch of one"),
    (
        X.replace("2", "1") + "[data]\nx = [1, 2]",
        DataError,
        5,
        5,
        "2 axes (n, 1) are expected, 1 found (2,); put each entry in brackets of its own: a column is [[1], [2]]",
    ),
    (X + "[data]\nx = [[1, 2, 3]]", DataError, 5, 5, "axis 1 should be 2"),
    (
        "dataflow = 1\n[inputs]\nk = { dtype = 'int64' }\n[data]\nk = 1.5",
        DataError,
        5,
        5,
        "'k': 1.5 does not fit int64",
    ),
    (X + "y = { shape = ['n'] }\n[data]\nx = [[1, 2]]\ny = [1, 2]", DataError, 5, 2, "different numbers of rows"),
    (X + "[data]\nfile = 'a.csv'\nx = [[1, 2]]", FileFormatError, 6, 1, "arrays and a file; leave out one"),
    (X + "[data]\nfile = '/etc/passwd'", DataError, 5, 9, "outside the folder of its model"),
    (X + "[data]\nfile = '../a.csv'", DataError, 5, 9, "outside the folder of its model"),
    (X + "[data]\nfile = 'a/../../a.csv'", DataError, 5, 9, "outside the folder of its model"),
    (X + "[data]\nfile = 'C:a.csv'", DataError, 5, 9, "outside the folder of its model"),
    (X + "[data]\nfile = 'a\\b.csv'", DataError, 5, 9, "with slashes between folders"),
    (X + '[data]\nfile = "a\\u0000.csv"', DataError, 5, 9, "the name of a data file"),
    (X + "[data]\nfile = ''", DataError, 5, 9, "the name of a data file"),
    (X + "[data]\nfile = 3", FileFormatError, 5, 8, "file takes the name of a data file, not 3"),
    (X + "[data]\nx = [[1, 2]]\ncolumns = { x = 'a' }", FileFormatError, 6, 1, "columns are those of a file"),
    (
        X + "[data]\nfile = 'a.csv'\ncolumns = { z = 'a' }",
        FileFormatError,
        6,
        13,
        "unknown input 'z', which columns names",
    ),
    (
        X + "[data]\nfile = 'a.csv'\ncolumns = { x = 3 }",
        FileFormatError,
        6,
        17,
        "columns of 'x' takes a column, a range",
    ),
    (X + "[data]\nfile = 'a.csv'\none_hot = { x = 0 }", FileFormatError, 6, 17, "a number of classes from 1 to"),
    *(
        (X.replace("= 1", "= 2", 1) + f"[data]\nfile = 'a.csv'\n{text}", FileFormatError, 6, column, message)
        for text, column, message in (
            ("missing = 'median'", 12, "missing takes a table, not 'median'"),
            ("missing = { a = { fil = 1 } }", 25, "missing of 'a': unknown key 'fil'; did you mean 'fill'?"),
            ("missing = { a = {} }", 17, "missing of 'a': the key 'fill' is missing"),
            ("missing = { a = [1] }", 17, "a fill is one of error, drop, mean, median, most_frequent, or a value"),
            ("missing = { a = { fill = 'drop', indicator = true } }", 46, "fill = 'drop' fills none"),
            ("missing = { a = { fill = 0, indicator = 1 } }", 41, "indicator is true or false"),
            ("categories = { a = 'onehot' }", 21, "kind is one_hot or index, not 'onehot'"),
            ("categories = { a = { kind = 'index', unknown = 'ignore' } }", 49, "gives zeros, and an index has none"),
            ("categories = { a = { kind = 'index', names = 3 } }", 46, "names are a list of texts"),
            ("categories = { a = { kind = 'index', names = ['b', 3] } }", 52, "a name is a text, not 3"),
            ("one_hot = { x = ['no', 'no'] }", 25, "one_hot of 'x': the name 'no' is listed twice"),
            ("one_hot = { x = false }", 17, "their names in order, or true is expected, not false"),
            ("standardize = 'x'", 16, "standardize takes a list of inputs, not 'x'"),
            ("standardize = ['x', 'xx']", 22, "unknown input 'xx', which standardize names; did you mean 'x'?"),
            ("weights = 3", 11, "weights takes the name of a column, not 3"),
            ("learned = { inputs = { x = { mean = [1] } } }", 24, "mean and deviation have one shape"),
            ("learned = { inputs = { z = {} } }", 24, "unknown input 'z', which learned names"),
            ("learned = { columns = { a = { fill = [] } } }", 31, "a fill is a number, a text or a boolean"),
        )
    ),
    (X + "[parameters]\nW = { shape = ['k'], init = 'zeros' }", FileFormatError, 5, 7, "needs format 2; begin the"),
    *(
        (X.replace("= 1", "= 2", 1).replace("2]", "'k']") + f"[parameters]\nW = {text}", error, 5, column, message)
        for text, error, column, message in (
            ("{ shape = ['n'], init = 'zeros' }", ShapeError, 1, "'n' is how many examples there are"),
            ("{ shape = [3, 'm'], init = 'zeros' }", ShapeError, 1, "or widths of inputs; available: 'k'"),
            ("{ shape = ['k'], value = [1] }", ShapeError, 17, "takes numbers as sizes, not 'k'"),
        )
    ),
    (X + "[data]\nfile = 'a.csv'\nmissing = { a = 0 }", FileFormatError, 6, 1, "missing needs format 2; begin the"),
    (X + "[data]\none_hot = { x = true }", FileFormatError, 5, 13, "one_hot by names needs format 2"),
    (X + "[data]\nfile = 'a.csv'\none_hot = 3", FileFormatError, 6, 11, "one_hot takes a table, not 3"),
    (X + "[data]\nfile = 'a.csv'\nscale = { x = 'a' }", FileFormatError, 6, 16, "scale of 'x' takes a number, not 'a'"),
    (X + "[data]\nfile = 'a.csv'\nscale = { x = nan }", FileFormatError, 6, 15, "scale of 'x' takes a number, not nan"),
    (X + "[train]\nepoch = 3", FileFormatError, 5, 1, "unknown key 'epoch' in [train]; did you mean 'epochs'?"),
    (X + "[train]\nepochs = 'many'", FileFormatError, 5, 11, "epochs takes an integer ≥ 0, not 'many'"),
    (X + "[train]\nepochs = -1", FileFormatError, 5, 10, "epochs takes an integer ≥ 0, not -1"),
    (X + "[train]\nepochs = 1.5", FileFormatError, 5, 10, "epochs takes an integer ≥ 0, not 1.5"),
    (X + "[train]\nbatch_size = 0", FileFormatError, 5, 14, "batch_size takes an integer ≥ 1, not 0"),
    (X + "[train]\nshuffle = 1", FileFormatError, 5, 11, "shuffle takes true or false, not 1"),
    (X + "[train]\nseed = true", FileFormatError, 5, 8, "seed takes an integer ≥ 0, not true"),
    (X + "[train]\nvalidation = 1", FileFormatError, 5, 14, "a share from 0 up to, not including, 1, not 1"),
    (X + "[train]\noptimizer = 3", FileFormatError, 5, 13, "a name, or a table of a name and attributes, not 3"),
    (X + "[train]\noptimizer = 'sdg'", PluginError, 5, 14, "unknown optimizer 'sdg'; did you mean 'sgd'?"),
    (X + "[train]\noptimizer = { name = 'sdg' }", PluginError, 5, 23, "unknown optimizer 'sdg'; did you mean 'sgd'?"),
    (X + "[train]\noptimizer = { rate = 1 }", FileFormatError, 5, 1, "the name of the optimizer is missing"),
    (
        X + "[train]\noptimizer = { name = 'sgd', rate = 1 }",
        OpError,
        5,
        29,
        "optimizer 'sgd': unknown attribute 'rate'",
    ),
    (X + "[train]\noptimizer = { name = 'sgd', momentum = 'a' }", OpError, 5, 29, "takes float, not 'a'"),
    (X + "[train]\noptimizer = { name = 'sgd', learning_rate = -1 }", OpError, 5, 29, "learning_rate is a number ≥ 0"),
]


ROWS = [*FILE, *NAMES, *ARRAYS, *NODES, *BLOCKS, *SETTINGS]
