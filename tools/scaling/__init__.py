"""Sums over many workers: simulated, measured between processes, and drawn beside the cost model."""
