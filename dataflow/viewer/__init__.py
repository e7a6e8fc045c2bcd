"""A page in which a reader steps through a model: forward node by node, then back factor by factor."""

from dataflow.viewer.viewer import View, view

__all__ = ["View", "view"]
