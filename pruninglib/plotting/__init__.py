"""Draw results: curves, pictures of networks, a slider through the sparsities."""
