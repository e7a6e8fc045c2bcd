"""How well predictions fit their targets: what a metric is, what it compares, and which nodes those are."""
