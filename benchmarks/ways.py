"""The ways to run a dense network that sparse and shrunk ones are timed against."""

import pruninglib as pl

DENSE = {
    "compiled graph": pl.compiled,
    "NumPy": pl.numpy_dense,
    "LiteRT": pl.litert,
    "ONNX Runtime": pl.onnx,
}
