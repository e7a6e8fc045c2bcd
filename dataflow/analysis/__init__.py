"""Costs, gradient checks, finite differences, and evaluation with 50 digits."""
