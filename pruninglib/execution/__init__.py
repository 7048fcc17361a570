"""Run and store a network: each way to run takes a Keras model and returns an `Executable`.

`eager` and `compiled` run it in TensorFlow, `litert` and `onnx` in the runtimes of that name;
`sparse` and `numpy_dense` run chains of Dense layers in NumPy.
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
