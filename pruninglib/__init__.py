"""Prune Keras 3 models, hold the mask, shrink the network exactly and measure it."""

import lazy_loader
import wrapt

__version__ = "0.1.0"  # part of a batch run's key: results of another version are not reused

# the public names stand in __init__.pyi, in reading order; each is imported on first use
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


@wrapt.when_imported("keras")
def _register(_):
    """Let `keras.models.load_model` find the classes that saved models name."""
    import pruninglib.registered
