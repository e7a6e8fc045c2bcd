"""Explanations: the chain rule, factor by factor, with every local Jacobian and what it costs."""
