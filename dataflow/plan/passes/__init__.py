"""One file a pass: each takes a plan and gives a plan that computes the same."""
