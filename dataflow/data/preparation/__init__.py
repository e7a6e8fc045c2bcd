"""From the columns of a table to inputs: missing cells, categories, classes, standardizing. Learned from the training
rows alone, and applied to every later table."""
