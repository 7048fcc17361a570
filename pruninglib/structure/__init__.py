"""Read a Keras model: its layers, its graph, its channels and its costs; and rebuild it."""
