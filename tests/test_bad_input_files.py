"""Bad model files: each fault is one line with the file, the line, the column, what is wrong and what to do."""

from __future__ import annotations

import os

import pytest

from dataflow.errors import (
    DataError,
    DataflowError,
    DtypeError,
    ExpressionError,
    FileFormatError,
    GraphError,
    OpError,
    PluginError,
    ShapeError,
)
from dataflow.files.text import load_toml, loads_toml

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
    ("dataflow = 2\nnew = 3", FileFormatError, 1, 12, "needs format 2; this reads up to 1; upgrade dataflow"),
    ("dataflow = 0", FileFormatError, 1, 12, "takes the version of the format, 1, not 0"),
    ("dataflow = '1'", FileFormatError, 1, 13, "takes the version of the format, 1, not '1'"),
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
    ("dataflow = 1\ndtype = 'float16'", DtypeError, 2, 10, "unknown dtype 'float16'; did you mean 'float64' or"),
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
    ("dataflow = 1\n[nodes]\n'a.b' = '1'", GraphError, 3, 1, "a dot is no part of a name"),
    (
        "dataflow = 1\n[nodes]\n2a = '1'",
        GraphError,
        3,
        1,
        "'2a' is no name; a name has letters, digits and underscores",
    ),
    ("dataflow = 1\n[nodes]\na-b = '1'", GraphError, 3, 1, "'a-b' is no name"),
    ("dataflow = 1\n[nodes]\n'' = '1'", GraphError, 3, 1, "'' is no name"),
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
        ShapeError,
        3,
        17,
        "numbers as sizes, not 'n'",
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
        "this row has 1 entry, others have 2",
    ),
    ("dataflow = 1\n[parameters]\nW = { value = [[1, 2],\n[3, 'a']] }", DataError, 4, 6, "'a' is no number"),
    ("dataflow = 1\n[parameters]\nW = { value = [[1], [[2]]] }", DataError, 3, 22, "a list stands where a number is"),
    ("dataflow = 1\n[parameters]\nW = { value = [[], 1] }", DataError, 3, 20, "a number stands where a list is"),
    ("dataflow = 1\n[parameters]\nW = { value = 1979-05-27 }", DataError, 3, 15, "is no number"),
    (
        "dataflow = 1\n[parameters]\nW = { value = 1_000_000_000_000_000_000_000 }",
        DataError,
        3,
        15,
        "more than 64 bits",
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
        15,
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
        "int64, which 1.5 does not fit",
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
    (X + "[nodes]\nz = { op = 'rel', inputs = ['x'] }", OpError, 5, 13, "unknown op 'rel'; did you mean 'relu'?"),
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
        *(ShapeError, 4, 28, "parameter 'W' takes numbers as sizes, not 'k'"),
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
    (BLOCK + "h = 'layer(x, shar=\"g\")'", OpError, 12, 6, "takes nothing by keyword but share, not 'shar'"),
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
        "no node 'yhta'; did you mean 'yhat'?",
    ),
    (X + "[model]\noutputs = ['x', 'x']", GraphError, 5, 18, "the output 'x' is listed twice"),
    (X + "[model]\nloss = 'los'", GraphError, 5, 9, "there is no node 'los'"),
    (X + "[model]\nloss = 'x'", GraphError, 5, 9, "the loss 'x' is float64 (n, 2); a loss is one float"),
    (X + "[data]\nxx = [[1, 2]]", FileFormatError, 5, 1, "there is no input 'xx', which [data] gives"),
    (X + "[data]\nx = [[1, 2], [3]]", DataError, 5, 14, "this row has 1 entry, others have 2"),
    (X + "[data]\nx = [[1, 2],\n [3, 'b']]", DataError, 6, 7, "'b' is no number"),
    (X + "[data]\nx = [1, 2]", DataError, 5, 5, "2 axes (n, 2) are expected, 1 found (2,)"),
    (X + "[data]\nx = [[1, 2, 3]]", DataError, 5, 5, "axis 1 should be 2"),
    ("dataflow = 1\n[inputs]\nk = { dtype = 'int64' }\n[data]\nk = 1.5", DataError, 5, 5, "'k' takes whole numbers"),
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
    (X + "[data]\nfile = 'a.csv'\ncolumns = { z = 'a' }", FileFormatError, 6, 13, "no input 'z', which columns names"),
    (
        X + "[data]\nfile = 'a.csv'\ncolumns = { x = 3 }",
        FileFormatError,
        6,
        17,
        "columns of 'x' takes a column, a range",
    ),
    (X + "[data]\nfile = 'a.csv'\none_hot = { x = 0 }", FileFormatError, 6, 17, "takes a number of classes from 1 to"),
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


@pytest.mark.parametrize(("text", "error", "line", "column", "part"), ROWS, ids=[str(i) for i in range(len(ROWS))])
def test_fault(text: str, error: type[DataflowError], line: int, column: int | None, part: str) -> None:
    with pytest.raises(DataflowError) as caught:
        loads_toml(text, "net.toml")
    found = caught.value
    assert part in str(found)
    assert (type(found), found.file, found.line, found.column) == (error, "net.toml", line, column), str(found)
    assert str(found).startswith(f"net.toml:{line}:" + (f"{column}: " if column else " "))
    assert "\n" not in str(found)
    assert len(str(found)) < 400


def test_there_are_rows() -> None:
    assert len(ROWS) > 150


def test_shapes_that_do_not_fit_name_everything() -> None:
    text = X + "[parameters]\nW = { value = [[1, 2], [3, 4], [5, 6]] }\n[nodes]\nz = 'relu(x @ W)'\n"
    with pytest.raises(ShapeError) as caught:
        loads_toml(text, "net.toml")
    message = str(caught.value)
    assert message.startswith("net.toml:7:13: node 'z': matmul(x, W): ")
    assert "(n, 2)" in message
    assert "(3, 2)" in message
    assert message.endswith('in "relu(x @ W)"')


def test_shapes_that_do_not_fit_in_a_block_name_the_call() -> None:
    with pytest.raises(ShapeError) as caught:
        loads_toml(BLOCK + "h = 'tanh(layer(layer(x)))'\n", "net.toml")
    message = str(caught.value)
    assert message.startswith("net.toml:7:19: node 'h.layer_2.z': matmul(")
    assert message.endswith("in \"relu(a @ W.T)\", for the call 'h.layer_2' of block 'layer'")


def test_blocks_that_multiply_are_refused_before_they_fill_the_memory() -> None:
    text = "dataflow = 1\ninputs.x = {}\nnodes.y = 'b0(x)'\n"
    for i in range(30):
        body = f"b{i + 1}(x) + b{i + 1}(x)" if i < 29 else "x + 1"
        text += f"[blocks.b{i}]\ninputs = ['x']\noutput = 'y'\nnodes.y = '{body}'\n"
    with pytest.raises(GraphError, match=r"^net.toml:7:12: with all calls of blocks there are 1610612735 nodes"):
        loads_toml(text, "net.toml")


def test_blocks_are_nested_at_most_32_deep() -> None:
    def nested(depth: int) -> str:
        text = "dataflow = 1\ninputs.x = {}\nnodes.y = 'b0(x)'\n"
        for i in range(depth):
            body = f"b{i + 1}(x)" if i < depth - 1 else "x + 1"
            text += f"[blocks.b{i}]\ninputs = ['x']\noutput = 'y'\nnodes.y = '{body}'\n"
        return text

    assert loads_toml(nested(32)).run(x=1)["y"] == 2
    with pytest.raises(GraphError, match="more than 32 deep"):
        loads_toml(nested(33))


def test_a_cycle_of_many_nodes_is_found_without_recursion() -> None:
    nodes = "\n".join(f"h{i} = 'h{(i + 1) % 5000} + 1'" for i in range(5000))
    with pytest.raises(GraphError, match="h0 -> h4999 -> h4998"):
        loads_toml(f"dataflow = 1\n[nodes]\n{nodes}\n")


def test_a_missing_file(tmp_path) -> None:
    (tmp_path / "xor.toml").write_text("dataflow = 1\n")
    with pytest.raises(FileFormatError, match=r"xro.toml: there is no such file; did you mean '.*xor.toml'\?"):
        load_toml(tmp_path / "xro.toml")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_data_file_behind_a_link_out_of_the_folder(tmp_path) -> None:
    (tmp_path / "secret.csv").write_text("x0,x1\n1,2\n")
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "data.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "up").symlink_to(tmp_path)
    for name in ("data.csv", "up/secret.csv"):
        path = folder / "net.toml"
        path.write_text(X + f"[data]\nfile = '{name}'\n")
        with pytest.raises(DataError) as caught:
            load_toml(path)
        assert str(caught.value).startswith(f"{path}:5:9: the data file '{name}' lies outside the folder")


def test_a_data_file_that_is_not_there_is_missed_when_it_is_needed(tmp_path) -> None:
    path = tmp_path / "net.toml"
    path.write_text(X + "[data]\nfile = 'later.csv'\n")
    model = load_toml(path)
    with pytest.raises(DataError, match=r"later.csv: there is no such file"):
        model.run()
