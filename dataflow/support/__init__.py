"""Helpers that know nothing of models: texts, byte sizes, files written whole or not at all, the paused collector."""
