"""Programs at work: a runner for a plan, a training loop, a team of threads."""
