"""Hostile files: a corpus, mutators that know the formats, and a watch on what reading one costs."""
