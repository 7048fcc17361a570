"""How a Keras model is read, followed and rebuilt."""
