"""dataflow: a model is a file that can be run, differentiated, trained and explained.

>>> import dataflow
>>> graph = dataflow.Graph("double")
>>> x = graph.input("x", ("n",))
>>> y = graph.node("y", 2 * x)
>>> model = dataflow.Model(graph, outputs=["y"])
>>> model.run(x=[1, 2])["y"]
array([2., 4.])
"""

from __future__ import annotations

from dataflow import files, registry
from dataflow.backends import numpy_backend
from dataflow.errors import (
    BackendError,
    DataError,
    DataflowError,
    DataflowWarning,
    DtypeError,
    ExpressionError,
    FileFormatError,
    GraphError,
    MissingExtraError,
    NonFiniteError,
    OpError,
    PluginError,
    RuleError,
    ShapeError,
    TrainingError,
)
from dataflow.files import load, save
from dataflow.graph import Graph
from dataflow.hookspecs import hookimpl
from dataflow.interfaces import Backend, FileFormat, Initializer, Optimizer, Runner, initializer
from dataflow.model import Evaluation, Model, TrainSettings
from dataflow.op import Op, Sample, op, ops_in, primitive, sample
from dataflow.operators import Dense, Jacobian, Kronecker
from dataflow.shapes import (
    DTYPES,
    Shape,
    Size,
    TensorSpec,
    broadcast_shapes,
    element_count,
    format_shape,
    normalize_axes,
    normalize_axis,
    parse_dtype,
)
from dataflow.training import History, Trainer, train
from dataflow.value import Value

registry.register_builtin(numpy_backend, "dataflow")
registry.register_builtin(files, "dataflow")
