"""Training: the graph of a run, its optimizers, and the loop with its hooks."""
