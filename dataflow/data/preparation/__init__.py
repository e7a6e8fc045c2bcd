"""From the columns of a table to inputs: missing cells, categories, classes, standardising. Learned from the training
rows alone, and applied to every later table."""
