"""Prune a model: score its weights, make and hold masks, and shrink it."""
