"""A plan turned into a program for the interpreter, with code of its own where that pays."""
