"""Data that need not fit into memory: read piece by piece in the background, prepared as a table in memory is."""
