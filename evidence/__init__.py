"""Turn results into words: claims, choices of settings, numbers in pages. Not installed."""
