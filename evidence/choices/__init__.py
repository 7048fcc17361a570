"""How the settings of the library were chosen, on validation images, never on the test set."""
