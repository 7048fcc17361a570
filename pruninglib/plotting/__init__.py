"""Figures, pictures, the slider."""
