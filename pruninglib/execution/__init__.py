"""All ways to run a network, in one place: each takes a Keras model, returns an `Executable`.

`eager` and `compiled` run it with TensorFlow, `sparse` and `numpy_dense` chains of Dense layers
with NumPy, `litert` and `onnx` in the runtimes of that name.
"""

from pruninglib.execution.executable import Executable
from pruninglib.execution.lite import litert
from pruninglib.execution.numpy_runtime import numpy_dense, sparse
from pruninglib.execution.onnx_runtime import onnx
from pruninglib.execution.runtimes import compiled, eager

__all__ = ["Executable", "compiled", "eager", "litert", "numpy_dense", "onnx", "sparse"]
