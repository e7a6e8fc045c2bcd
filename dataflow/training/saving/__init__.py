"""What a run keeps: checkpoints, the lock on their folder, where parameters come from, what a signal does."""
