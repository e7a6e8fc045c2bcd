"""Readers of tables and arrays, a file for each format; nothing in a data file is executed."""
