"""From data to gradients: which examples, in which order, and what a minibatch gives."""
