"""Derivatives: the reverse sweep, gradient graphs, Jacobians, and all modes built on them."""

from dataflow.autodiff.reverse import gradient_graph, pullback

__all__ = ["gradient_graph", "pullback"]
