"""The same on TensorFlow, JAX and PyTorch (`make test-backends`), or words on what is needed."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy
from numpy.testing import assert_allclose, assert_array_equal

import pruninglib as pl

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
np.testing.assert_allclose(*(m.predict(x, verbose=0) for m in (small, pruned)), atol=1e-5)
"""


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="Keras runs on TensorFlow; make test-backends"
)
def test_tensorflow_is_not_imported_for_what_needs_none():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


pytestmark = pytest.mark.more  # on TensorFlow other tests say the same, and more
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(300, 8)).astype(np.float32)
Y = X[:, :3].argmax(axis=1)
DATA = pl.Dataset("own", X, Y, X, Y, X, Y)


def compiled():
    keras.utils.set_random_seed(0)
    parts = [keras.layers.Dense(16, "relu", name="a"), keras.layers.Dense(12, "relu", name="b")]
    model = keras.Sequential([keras.Input((8,)), *parts, keras.layers.Dense(3, name="c")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def model():
    """Trained; to be left as it is."""
    network = compiled()
    network.fit(X, Y, epochs=5, verbose=0)
    return network


def outputs(model):
    return model.predict(X, verbose=0)


def half(model, criterion=pl.magnitude):
    return pl.prune(model, pl.make_masks(model, criterion, 0.5))


def test_masks_are_held_and_the_original_stays(model):
    before, weights = outputs(model), [np.array(w) for w in model.get_weights()]
    pruned = half(model)
    pruned.fit(X, Y, epochs=2, verbose=0)
    assert pl.measure_sparsity(pruned) == 0.5
    assert_array_equal(outputs(model), before)
    for found, expected in zip(model.get_weights(), weights, strict=True):
        assert_array_equal(found, expected)
    again = pl.hold(pl.strip(pruned))
    again.fit(X, Y, verbose=0)
    assert pl.measure_sparsity(again) == 0.5


def test_new_masks_are_held_by_a_model_that_was_trained(model):
    pruned = half(model)
    pruned.fit(X, Y, verbose=0)
    pl.set_masks(pruned, pl.make_masks(model, pl.magnitude, 0.8))
    pruned.fit(X, Y, verbose=0)
    assert pl.measure_sparsity(pruned) == pytest.approx(0.8, abs=0.01)


def test_a_shrunk_model_puts_out_the_same(model):
    pruned = half(model, pl.unit_norm)
    assert [row["units_after"] for row in pl.plan_shrink(pruned)] == [8, 6, 3]
    assert_allclose(outputs(pl.shrink(pruned)), outputs(pruned), atol=1e-5)


def test_scores_are_what_the_activations_say(model):
    kernel = convert_to_numpy(model.get_layer("a").kernel)
    wanted = abs(kernel) * np.linalg.norm(X, axis=0)[:, None]
    assert_allclose(pl.activation_aware(model, X)["a"], wanted, rtol=1e-4)
    order = np.sort(pl.greedy_units(model, X)["b"])
    assert_allclose(order, np.arange(1, 13) / 12)


def test_a_repair_comes_nearer(model):
    pruned = half(model)
    repaired = pl.repair(pruned, model, X)
    before, after = (np.square(outputs(m) - outputs(model)).sum() for m in (pruned, repaired))
    assert after < 0.7 * before
    assert pl.measure_sparsity(repaired) == 0.5


@pytest.mark.parametrize("distillation", [0, 0.5])
def test_retraining_brings_the_loss_down_with_masks_held(model, distillation):
    pruned = pl.prune(model, pl.make_masks(model, pl.magnitude, 0.8))
    before = pruned.evaluate(X, Y, verbose=0)[0]
    pl.retrain(pruned, model, X, Y, 100, distillation=distillation, learning_rate=0.01)
    assert pruned.evaluate(X, Y, verbose=0)[0] < before
    assert pl.measure_sparsity(pruned) == pytest.approx(0.8, abs=0.01)


def test_gradual_pruning_prunes_while_it_trains():
    network, seen = compiled(), []
    tell = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(pl.measure_sparsity(network))
    )
    gradual = pl.GradualPruning(pl.magnitude, 0.8, 0, 30, 5)
    network.fit(X, Y, batch_size=30, epochs=4, verbose=0, callbacks=[gradual, tell])
    assert 0.4 < seen[0] < seen[1] < seen[2] == seen[3] == pytest.approx(0.8, abs=0.01)


def test_regrowth_exchanges_weights():
    network = half(compiled())
    before = convert_to_numpy(network.get_layer("a").kernel) != 0
    network.fit(X, Y, batch_size=30, epochs=3, verbose=0, callbacks=[pl.Regrowth(0.3, 0, 30, 5)])
    after = convert_to_numpy(network.get_layer("a").kernel) != 0
    assert pl.measure_sparsity(network) <= 0.5 + 0.02
    assert (after & ~before).any()


def test_networks_are_compared(model):
    (row,) = pl.compare({"it": model}, DATA, batch_sizes=()).to_dict("records")
    loss, accuracy = model.evaluate(X, Y, verbose=0)
    assert (row["accuracy"], row["loss"]) == pytest.approx((accuracy, loss), rel=1e-4)
    assert row["macs"] == 8 * 16 + 16 * 12 + 12 * 3
    rows = list(pl.sensitivity(model, pl.magnitude, [0.0, 0.5], (X, Y)))
    assert rows[0]["accuracy"] == pytest.approx(accuracy)


@pytest.mark.skipif(ON_TENSORFLOW, reason="it runs there")
@pytest.mark.parametrize("needs", [pl.compiled, lambda model: pl.taylor(model, X, Y)])
def test_what_needs_tensorflow_says_so(model, needs):
    with pytest.raises(ValueError, match="needs Keras on TensorFlow, this is"):
        needs(model)
