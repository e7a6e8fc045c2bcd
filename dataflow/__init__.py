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

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dataflow.support.gc_pause import collector_paused

with collector_paused(stays=True):
    from dataflow import files, ops, shapes
    from dataflow.backends import numpy_backend
    from dataflow.backends.cluster import ClusterEngine
    from dataflow.backends.interface import Backend, Runner
    from dataflow.backends.optimizer import Optimizer
    from dataflow.backends.schedule import Schedule
    from dataflow.errors import (
        ArgumentError,
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
        WorkLimitError,
    )
    from dataflow.execution.initializers import Initializer, initializer
    from dataflow.files import load, save
    from dataflow.files.file_format import FileFormat
    from dataflow.graph.graph import Graph
    from dataflow.graph.value import Value
    from dataflow.limits import Limits
    from dataflow.metrics.metric import Metric, metric
    from dataflow.model.model import Evaluation, Model
    from dataflow.model.train_settings import TrainSettings
    from dataflow.operations.declare_ops import op, ops_in, primitive
    from dataflow.operations.elementwise import elementwise
    from dataflow.operations.jacobians import Dense, Jacobian, Kronecker
    from dataflow.operations.op import Op
    from dataflow.operations.op_rules import Sample, sample
    from dataflow.operations.operation_cost import Cost
    from dataflow.registry import builtin_ops, registry
    from dataflow.registry.hookspecs import hookimpl
    from dataflow.shapes import DTYPES, Shape, Size, TensorSpec, parse_dtype
    from dataflow.support.arguments import checked

if TYPE_CHECKING:
    from dataflow.draw.drawer import draw
    from dataflow.draw.drawing import Drawing
    from dataflow.explain.explainer import explain
    from dataflow.explain.explanation import Explanation
    from dataflow.explain.symbolic import Derivation, derive
    from dataflow.model.composition import compose
    from dataflow.profiling import Profile, profile
    from dataflow.training import History, Progress, StopTraining, Trainer, train
    from dataflow.viewer.viewer import View, view

registry.register_builtin(builtin_ops, "dataflow")
registry.register_builtin(numpy_backend, "dataflow")
registry.register_builtin(files, "dataflow")


def _in_notebook(self: Model | Graph, include: Any = None, exclude: Any = None) -> Any:
    """What Jupyter shows of a model or a graph: its picture."""
    return import_module("dataflow.draw.notebook").mimebundle(self, include, exclude)


for _shown in (Model, Graph):  # they know nothing of pictures, which stand above them
    setattr(_shown, "_repr_mimebundle_", _in_notebook)  # noqa: B010
del _shown

broadcast_shapes = checked(shapes.broadcast_shapes)
element_count = checked(shapes.element_count)
format_shape = checked(shapes.format_shape)
normalize_axes = checked(shapes.normalize_axes)
normalize_axis = checked(shapes.normalize_axis)

__all__ = [
    "DTYPES",
    "ArgumentError",
    "Backend",
    "BackendError",
    "ClusterEngine",
    "Cost",
    "DataError",
    "DataflowError",
    "DataflowWarning",
    "Dense",
    "Derivation",
    "Drawing",
    "DtypeError",
    "Evaluation",
    "Explanation",
    "ExpressionError",
    "FileFormat",
    "FileFormatError",
    "Graph",
    "GraphError",
    "History",
    "Initializer",
    "Jacobian",
    "Kronecker",
    "Limits",
    "Metric",
    "MissingExtraError",
    "Model",
    "NonFiniteError",
    "Op",
    "OpError",
    "Optimizer",
    "PluginError",
    "Profile",
    "Progress",
    "RuleError",
    "Runner",
    "Sample",
    "Schedule",
    "Shape",
    "ShapeError",
    "Size",
    "StopTraining",
    "TensorSpec",
    "TrainSettings",
    "Trainer",
    "TrainingError",
    "Value",
    "View",
    "WorkLimitError",
    "__version__",
    "broadcast_shapes",
    "compose",
    "derive",
    "draw",
    "element_count",
    "elementwise",
    "explain",
    "format_shape",
    "hookimpl",
    "initializer",
    "load",
    "metric",
    "normalize_axes",
    "normalize_axis",
    "op",
    "ops",
    "ops_in",
    "parse_dtype",
    "primitive",
    "profile",
    "sample",
    "save",
    "train",
    "view",
]

_LATER = {
    "Derivation": "dataflow.explain.symbolic",
    "Drawing": "dataflow.draw.drawing",
    "Explanation": "dataflow.explain.explanation",
    "History": "dataflow.training",
    "Profile": "dataflow.profiling",
    "Progress": "dataflow.training",
    "StopTraining": "dataflow.training",
    "Trainer": "dataflow.training",
    "View": "dataflow.viewer",
    "compose": "dataflow.model.composition",
    "derive": "dataflow.explain.symbolic",
    "profile": "dataflow.profiling",
    "train": "dataflow.training",
    "view": "dataflow.viewer",
}
"""Where names are found that are imported when they are first asked for, so that a command starts quickly."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    if name in ("draw", "explain", "testing"):  # modules; the first two can be called
        return import_module(f"dataflow.{name}")
    if name == "__version__":
        return import_module("dataflow.support.version").installed_version()
    raise AttributeError(f"module 'dataflow' has no attribute '{name}'")
