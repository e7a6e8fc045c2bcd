"""Expressions such as "relu(x @ W1 + b1)": from text to nodes, and back."""
