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

from dataflow import files, ops, registry
from dataflow.backends import numpy_backend
from dataflow.cost import Cost
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
from dataflow.limits import Limits
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
from dataflow.value import Value

if TYPE_CHECKING:
    from dataflow.composition import compose
    from dataflow.draw.drawer import draw
    from dataflow.draw.drawing import Drawing
    from dataflow.explain.explainer import explain
    from dataflow.explain.explanation import Explanation
    from dataflow.explain.symbolic import Derivation, derive
    from dataflow.profiling import Profile, profile
    from dataflow.training import History, Trainer, train
    from dataflow.viewer.viewer import View, view

registry.register_builtin(numpy_backend, "dataflow")
registry.register_builtin(files, "dataflow")


def _in_notebook(self: Model | Graph, include: Any = None, exclude: Any = None) -> Any:
    """What Jupyter shows of a model or a graph: its picture."""
    return import_module("dataflow.draw.notebook").mimebundle(self, include, exclude)


for _shown in (Model, Graph):  # they know nothing of pictures, which stand above them
    setattr(_shown, "_repr_mimebundle_", _in_notebook)  # noqa: B010
del _shown

__all__ = [
    "DTYPES",
    "Backend",
    "BackendError",
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
    "MissingExtraError",
    "Model",
    "NonFiniteError",
    "Op",
    "OpError",
    "Optimizer",
    "PluginError",
    "Profile",
    "RuleError",
    "Runner",
    "Sample",
    "Shape",
    "ShapeError",
    "Size",
    "TensorSpec",
    "TrainSettings",
    "Trainer",
    "TrainingError",
    "Value",
    "View",
    "__version__",
    "broadcast_shapes",
    "compose",
    "derive",
    "draw",
    "element_count",
    "explain",
    "format_shape",
    "hookimpl",
    "initializer",
    "load",
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
    "Trainer": "dataflow.training",
    "View": "dataflow.viewer",
    "compose": "dataflow.composition",
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
        metadata = import_module("importlib.metadata")
        try:
            return metadata.version("dataflow-autodiff")
        except metadata.PackageNotFoundError:  # a checkout that is not installed
            return "0"
    raise AttributeError(f"module 'dataflow' has no attribute '{name}'")
