"""All ways to run a network, in one place: each takes a Keras model, returns an `Executable`.

`eager` and `compiled` run it with TensorFlow, `sparse` and `numpy_dense` chains of Dense layers
with NumPy, `litert` and `onnx` in the runtimes of that name.
"""

from pruninglib.csr import numpy_dense, sparse
from pruninglib.executable import Executable
from pruninglib.graphs import compiled, eager
from pruninglib.lite import litert
from pruninglib.onnx_runtime import onnx

__all__ = ["Executable", "compiled", "eager", "litert", "numpy_dense", "onnx", "sparse"]
