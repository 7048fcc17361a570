"""What comes back: repair, training, retraining, gradual pruning."""
