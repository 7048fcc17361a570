"""What prunes and shrinks needs no TensorFlow where Keras runs on another backend."""

import subprocess
import sys

import keras
import pytest

CODE = """
import sys

import keras
import numpy as np

import pruninglib as pl

layers = [keras.layers.Dense(units, "relu") for units in (6, 5)]
model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(3)])
masks = pl.make_masks(model, pl.magnitude, 0.5, scope="global")
units = pl.make_masks(model, pl.unit_norm, 0.5, coupled=True)
assert pl.measure_sparsity(model) == 0 and "tensorflow" not in sys.modules
# as if it were not installed, for Keras imports it, if it can, to copy a layer of whatever backend
sys.modules["tensorflow"] = None
x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
pruned = pl.prune(model, masks)
assert pl.measure_sparsity(pruned) == 0.5
assert pl.measure_sparsity(pl.hold(pl.strip(pruned))) == 0.5
pruned = pl.prune(model, units)
assert [row["units_after"] for row in pl.plan_shrink(pruned)] == [3, 3, 3]
small = pl.shrink(pruned)
np.testing.assert_allclose(np.asarray(small(x)), np.asarray(pruned(x)), atol=1e-5)
"""


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="Keras runs on TensorFlow; make test-jax"
)
def test_tensorflow_is_not_imported_for_what_needs_none():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
