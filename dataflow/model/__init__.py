"""Models: a graph with parameters, and what its file declares of data and training."""
