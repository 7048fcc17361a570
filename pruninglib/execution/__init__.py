"""All ways to run a network, in one place: each takes a Keras model, returns an `Executable`.

`eager` and `compiled` run it with TensorFlow, `sparse` and `numpy_dense` chains of Dense layers
with NumPy, `litert` and `onnx` in the runtimes of that name.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "executable": ["Executable"],
        "numpy_runtime": ["numpy_dense", "sparse"],
        "runtimes": ["compiled", "eager", "litert", "onnx"],
    },
)
