"""Sweeps: which runs there are, one run with its files, and the processes that take runs."""
