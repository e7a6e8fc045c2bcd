"""Backends: what runs a plan. The numpy backend is here; others come as plugins."""
