"""Training that knows no task: loop, checkpoints, precision, seeds, stored models."""
