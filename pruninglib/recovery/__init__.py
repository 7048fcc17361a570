"""Recover accuracy after pruning: repair, training, retraining, gradual pruning."""
