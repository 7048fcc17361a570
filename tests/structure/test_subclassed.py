"""Subclassed models: their layers are pruned, but what needs a graph says so."""

import keras
import numpy as np
import pytest
from networks import dense, subclassed
from numpy.testing import assert_allclose, assert_array_equal

import pruninglib as pl
from pruninglib.structure.prunable import prunable_layers

X = np.random.default_rng(0).random((60, 4), np.float32)
Y = np.eye(3)[X[:, :3].argmax(axis=1)]


@keras.saving.register_keras_serializable(package="test_subclassed")
class Subclassed(keras.Model):
    def __init__(self, name="subclassed", **settings):
        super().__init__(name=name, **settings)
        self.first, self.last = dense(8, name="first"), dense(3, None, name="last")

    def call(self, inputs):
        return self.last(self.first(inputs))


@pytest.fixture
def model():
    model = Subclassed()
    model.compile("sgd", "mse", jit_compile=False)
    model(X)
    return model


def zeros(model):
    return np.asarray(model.get_layer("first").kernel) == 0


def test_masks_are_held(model):
    masks = pl.make_masks(model, pl.magnitude, 0.5, include=["first"])
    pruned = pl.prune(model, masks)
    before = np.asarray(pruned(X))
    pruned.fit(X, Y, epochs=2, verbose=0)
    assert_array_equal(zeros(pruned), masks["first"] == 0)
    assert pl.measure_sparsity(pruned, ["first"]) == 0.5
    assert np.abs(np.asarray(pruned(X)) - before).max() > 0
    assert not zeros(model).any()


def test_a_class_that_takes_no_settings_is_pruned_too():
    model = subclassed()
    (name,) = prunable_layers(model)
    pruned = pl.prune(model, pl.make_masks(model, pl.magnitude, 0.5, include=[name]))
    assert pl.measure_sparsity(pruned, list(prunable_layers(pruned))) == 0.5


def test_a_file_that_could_not_be_loaded_is_not_written(model, tmp_path):
    pl.export(model, tmp_path / "model.npz")
    assert_array_equal(pl.load(tmp_path / "model.npz")(X), model(X))
    with pytest.raises(ValueError, match=r"cannot be made again from its config.*get_config"):
        pl.export(subclassed(), tmp_path / "other.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


def test_zeros_are_held_again_after_saving_and_loading(model, tmp_path):
    pl.prune(model, pl.make_masks(model, pl.magnitude, 0.5, include=["first"])).save(
        tmp_path / "model.keras"
    )
    loaded = keras.models.load_model(tmp_path / "model.keras")
    held = pl.hold(loaded)
    held.fit(X, Y, epochs=1, verbose=0)
    assert zeros(held).mean() == 0.5
    loaded.fit(X, Y, epochs=1, verbose=0)
    assert zeros(loaded).mean() < 0.5


def test_stripped_of_its_masks_it_computes_the_same(model):
    pruned = pl.prune(model, pl.make_masks(model, pl.unit_norm, 0.5, include=["first"]))
    plain = pl.strip(pruned)
    assert plain.get_layer("first").kernel_constraint is None
    assert_allclose(plain(X), pruned(X))


@pytest.mark.parametrize(
    "function",
    {
        "shrink": pl.shrink,
        "plan_shrink": pl.plan_shrink,
        "count_macs": pl.count_macs,
        "coupled": lambda m: pl.make_masks(m, pl.unit_norm, 0.5, include=["first"], coupled=True),
        "activation_aware": lambda m: pl.activation_aware(m, X),
        "greedy_units": lambda m: pl.greedy_units(m, X),
    }.items(),
    ids=lambda item: item[0],
)
def test_what_needs_a_graph_says_so(function, model):
    with pytest.raises(ValueError, match="'subclassed' is subclassed, so its graph of layers cann"):
        function[1](model)


@pytest.mark.parametrize(
    "function", [lambda m: pl.make_masks(m, pl.magnitude, 0.5), pl.measure_sparsity]
)
def test_without_names_it_cannot_tell_the_layers_to_prune(function, model):
    with pytest.raises(ValueError, match=r"which of its layers makes the logits.*'first', 'last'"):
        function(model)
