"""From results to words: claims, how settings were chosen, numbers in pages. Not installed."""
