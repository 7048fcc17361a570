"""Zeros stay zero, whatever the optimizer, and after saving and loading; `strip` frees them."""

import json
import zipfile

import keras
import numpy as np
import pytest
from cases import more
from keras import layers, optimizers
from networks import BAD_MODELS, dense, with_moving_average
from numpy.testing import assert_array_equal

from pruninglib import (
    hold,
    magnitude,
    make_masks,
    make_mlp,
    measure_sparsity,
    prune,
    set_masks,
    shrink,
    strip,
    train,
    unit_norm,
)
from pruninglib.pruning.prune import HoldMask
from pruninglib.registered import EndOf

MASKS = {"a": np.arange(24).reshape(4, 6) % 3 > 0, "b": np.array([1, 0, 1, 1, 0])}


def network():
    """4-6-5-3 with biases."""
    parts = [dense(6, "gelu", name="a"), dense(5, "gelu", name="b"), dense(3, None, name="logits")]
    return keras.Sequential([keras.Input((4,)), *parts])


def arrays(model):
    return {weight.path: np.array(weight) for weight in model.weights}


def fit(model, tiny, epochs=2):
    model.fit(tiny.x_train, tiny.y_train, batch_size=30, epochs=epochs, verbose=0)
    return model


def compiled(model, optimizer=None, **settings):
    """Compile with what takes little time to trace, unless told otherwise."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer or optimizers.SGD(0.1, momentum=0.9), loss, **{"jit_compile": False} | settings
    )
    return model


def assert_holds(model, masks=MASKS):
    for name, mask in masks.items():
        layer = model.get_layer(name)
        kernel = np.asarray(layer.kernel)
        assert_array_equal(kernel != 0, np.broadcast_to(mask, kernel.shape))
        if np.ndim(mask) == 1 and layer.use_bias:
            assert_array_equal(np.asarray(layer.bias) != 0, mask)


def test_masked_weights_are_zero_and_all_others_as_they_were():
    model = network()
    pruned = prune(model, MASKS)
    kernel, bias = (np.asarray(weight) for weight in model.get_layer("b").weights)
    assert_array_equal(pruned.get_layer("a").kernel, model.get_layer("a").kernel * MASKS["a"])
    assert_array_equal(pruned.get_layer("a").bias, model.get_layer("a").bias)
    assert_array_equal(pruned.get_layer("b").kernel, kernel * MASKS["b"])
    assert_array_equal(pruned.get_layer("b").bias, bias * MASKS["b"])
    assert_array_equal(pruned.get_layer("logits").kernel, model.get_layer("logits").kernel)


def test_the_original_is_untouched_even_when_the_pruned_one_is_trained(tiny):
    model = compiled(network())
    before, optimizer = arrays(model), model.optimizer
    fit(prune(model, MASKS), tiny)
    assert_array_equal(list(before), list(arrays(model)))
    for path, values in arrays(model).items():
        assert_array_equal(values, before[path])
    assert model.optimizer is optimizer and int(optimizer.iterations) == 0
    assert all(layer.kernel_constraint is None for layer in model.layers)


OPTIMIZERS = {
    "adam": (lambda: optimizers.Adam(0.01), {}),
    "adam, jit": (lambda: optimizers.Adam(0.01), {"jit_compile": True}),
    "adam, several steps an execution": (
        lambda: optimizers.Adam(0.01),
        {"steps_per_execution": 2},
    ),
    "momentum": (lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True), {}),
    "weight decay": (lambda: optimizers.AdamW(0.01, weight_decay=0.1), {}),
    "gradient accumulation": (lambda: optimizers.Adam(0.01, gradient_accumulation_steps=2), {}),
}


FIRST = ("adam, jit", "momentum")


@pytest.mark.parametrize(
    "name", [*FIRST, *more(*(name for name in OPTIMIZERS if name not in FIRST))]
)
def test_zeros_are_held_while_the_rest_trains(name, tiny):
    optimizer, settings = OPTIMIZERS[name]
    pruned = prune(compiled(network(), optimizer(), **settings), MASKS)
    before = arrays(pruned)
    fit(pruned, tiny)
    assert_holds(pruned)
    changed = [path for path, values in arrays(pruned).items() if (values != before[path]).any()]
    assert len(changed) == 6


@pytest.mark.more
def test_zeros_are_held_after_another_compilation(tiny):
    pruned = fit(prune(compiled(network()), MASKS), tiny)
    assert_holds(fit(compiled(pruned, optimizers.SGD(0.1)), tiny))


def test_mask_holds_after_save_and_load(tiny, tmp_path):
    pruned = prune(compiled(network()), MASKS)
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    for one, other in zip(pruned.get_weights(), loaded.get_weights(), strict=True):
        assert_array_equal(one, other)
    before = np.array(loaded.get_layer("a").kernel)
    assert_holds(fit(loaded, tiny))
    assert (before != np.asarray(loaded.get_layer("a").kernel)).any()


def test_pruning_again_only_removes(tiny):
    first = prune(compiled(network()), MASKS)
    other = {"a": 1 - MASKS["a"] * (np.arange(6) > 2), "b": [1, 1, 1, 1, 0]}
    second = fit(prune(first, other), tiny)
    assert_holds(second, {"a": MASKS["a"] * other["a"], "b": MASKS["b"]})


def test_units_may_go_after_weights():
    pruned = prune(prune(network(), {"a": MASKS["a"]}), {"a": np.array([1, 1, 0, 1, 1, 1])})
    assert_array_equal(
        np.asarray(pruned.get_layer("a").kernel) != 0, MASKS["a"] * [1, 1, 0, 1, 1, 1]
    )
    assert np.asarray(pruned.get_layer("a").bias)[2] == 0


def test_a_constraint_that_the_layer_had_still_acts(tiny):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            dense(6, name="a", kernel_constraint="non_neg", bias_constraint="non_neg"),
            dense(3, None),
        ]
    )
    pruned = fit(prune(compiled(model), {"a": np.array([1, 0, 1, 1, 1, 1])}), tiny)
    for weight in pruned.get_layer("a").weights:
        assert (np.asarray(weight) >= 0).all()
        assert not np.asarray(weight)[..., 1].any()
    assert isinstance(strip(pruned).get_layer("a").kernel_constraint, keras.constraints.NonNeg)


def test_convolutions_and_functional_models_are_pruned(tmp_path):
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, bias_initializer="ones", name="conv")(inputs)
    x = layers.Flatten()(layers.BatchNormalization()(x))
    model = compiled(keras.Model(inputs, dense(3, None)(x)))
    pruned = prune(model, {"conv": [1, 0, 1, 0]})
    x = np.random.default_rng(0).random((8, 6, 6, 2), np.float32)
    pruned.fit(x, np.arange(8) % 3, verbose=0)
    kernel, bias = (np.asarray(weight) for weight in pruned.get_layer("conv").weights)
    assert_array_equal(kernel.any(axis=(0, 1, 2)), [1, 0, 1, 0])
    assert_array_equal(bias != 0, [1, 0, 1, 0])


def test_masks_can_be_exchanged_between_two_trainings(tiny):
    pruned = fit(prune(compiled(network()), MASKS), tiny)
    steps, kept = pruned.train_function, {"a": 1 - MASKS["a"], "b": np.array([0, 1, 1, 1, 1])}
    set_masks(pruned, kept)
    assert not (np.asarray(pruned.get_layer("a").kernel)[MASKS["a"]]).any()
    assert_holds(fit(pruned, tiny), kept)
    if keras.config.backend() != "jax":  # where a step holds masks as constants
        assert pruned.train_function is steps, "compiled again"


def test_masks_of_ones_let_weights_grow_back(tiny):
    pruned = prune(compiled(network()), MASKS)
    set_masks(pruned, {name: np.ones_like(mask) for name, mask in MASKS.items()})
    assert measure_sparsity(pruned) > 0.3
    assert measure_sparsity(fit(pruned, tiny)) == 0


@pytest.mark.parametrize("masks", [{"logits": np.ones(3)}, {"a": np.ones(6)}])
def test_only_a_mask_of_the_same_kind_can_be_exchanged(masks):
    name, mask = next(iter(masks.items()))
    with pytest.raises(
        ValueError, match=rf"'{name}' holds no mask of shape \({mask.size},\).*prun"
    ):
        set_masks(prune(network(), MASKS), masks)


def test_stripped_model_computes_the_same_and_holds_nothing(tiny):
    pruned = prune(compiled(network()), MASKS)
    plain = strip(pruned)
    assert_array_equal(plain(tiny.x_test), pruned(tiny.x_test))
    assert measure_sparsity(plain) == measure_sparsity(pruned) > 0
    assert measure_sparsity(fit(plain, tiny)) == 0
    assert isinstance(pruned.get_layer("a").kernel_constraint, HoldMask)


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "mean_squared_error"])
def test_stripped_model_is_saved_without_a_trace_of_pruninglib(loss, mlp, tiny, tmp_path):
    train(mlp, tiny.x_train, tiny.y_train, 0, loss=loss)
    plain = strip(prune(mlp, make_masks(mlp, magnitude, 0.5)))
    plain.save(tmp_path / "plain.keras")
    with zipfile.ZipFile(tmp_path / "plain.keras") as file:
        config = file.read("config.json").decode()
    assert "pruninglib" not in config and "HoldMask" not in config
    assert json.loads(config)["class_name"] == "Sequential"
    loaded = keras.models.load_model(tmp_path / "plain.keras")
    assert_array_equal(loaded(tiny.x_test), plain(tiny.x_test))


@pytest.mark.parametrize("ends", [*more(0, 1), 2])
def test_stripped_model_has_the_whole_schedule_of_rates(ends, mlp, tiny, tmp_path):
    rate = optimizers.schedules.CosineDecay(0.1, 40)
    for _ in range(ends):
        rate = EndOf(rate, offset=5)
    train(mlp, tiny.x_train, tiny.y_train, 2, learning_rate=rate)
    strip(mlp).save(tmp_path / "plain.keras")
    with zipfile.ZipFile(tmp_path / "plain.keras") as file:
        assert "pruninglib" not in file.read("config.json").decode()
    loaded = keras.models.load_model(tmp_path / "plain.keras")
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.1)


def test_hold_keeps_zeros_that_came_from_elsewhere(tiny):
    held = hold(compiled(strip(prune(network(), MASKS))))
    kernels = {name: np.asarray(held.get_layer(name).kernel) != 0 for name in MASKS}
    fit(held, tiny)
    for name, kept in kernels.items():
        assert_array_equal(np.asarray(held.get_layer(name).kernel) != 0, kept)


def test_sparsity_is_the_share_of_zeros_without_the_logits():
    model = make_mlp(2, (2, 2), 3)
    model.get_layer("hidden_1").kernel.assign([[0, 1], [2, 3]])
    model.get_layer("hidden_2").kernel.assign([[0, 0], [0, 1]])
    model.get_layer("logits").kernel.assign([[0, 0, 1], [1, 1, 1]])
    assert measure_sparsity(model) == 0.5
    assert measure_sparsity(model, ["hidden_1"]) == 0.25
    assert measure_sparsity(model, ["hidden_1", "logits"]) == pytest.approx(0.3)
    assert measure_sparsity(prune(model, {"hidden_1": [0, 0]})) == 7 / 8


def test_sparsity_of_a_model_of_logits_only_is_theirs():
    model = make_mlp(2, (), 2)
    model.get_layer("logits").kernel.assign([[0, 1], [1, 1]])
    assert measure_sparsity(model) == 0.25


def test_sparsity_of_all_weight_matrices_counts_every_layer():
    """Each once, in nested and subclassed models, frozen or not; biases and scales do not count."""
    once = keras.layers.LSTM(2, name="lstm")
    inner = keras.Sequential([keras.Input((3, 4)), once], name="inner")
    inputs = keras.Input((3, 4))
    joined = keras.layers.Add()([inner(inputs), once(inputs)])
    model = keras.Model(inputs, dense(5)(keras.layers.BatchNormalization()(joined)))
    once.cell.kernel.assign(np.zeros((4, 8)))
    model.layers[-1].bias.assign(np.zeros(5))

    class Around(keras.Model):
        def __init__(self):
            super().__init__()
            self.model = model
            self.shift = self.add_weight(shape=(2, 5), initializer="ones")

        def call(self, inputs):
            return self.model(inputs) + self.shift[0]

    outer = Around()
    outer(np.zeros((1, 3, 4)))
    for trainable in (True, False):
        outer.trainable = trainable
        assert measure_sparsity(model, "all") == pytest.approx(32 / (32 + 16 + 10))
        assert measure_sparsity(outer, layers="all") == pytest.approx(32 / (32 + 16 + 10 + 10))


def test_sparsity_of_all_of_a_quantized_model_is_refused(mlp):
    mlp.get_layer("hidden_2").quantize("int8")
    with pytest.raises(ValueError, match=r"\['hidden_2'\] are quantized.*before quantize"):
        measure_sparsity(mlp, "all")


def test_sparsity_of_a_model_without_weight_matrices_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()], name="flat")
    with pytest.raises(ValueError, match="'flat' has no weight matrices"):
        measure_sparsity(model, "all")


def test_sparsity_of_unknown_layers_is_refused(mlp):
    with pytest.raises(ValueError, match=r"Unknown layers \['hidden_9'\]; expected some of"):
        measure_sparsity(mlp, ["hidden_9"])


def test_measured_sparsity_is_what_was_asked(mlp):
    assert measure_sparsity(prune(mlp, make_masks(mlp, magnitude, 0.5, "global"))) == 0.5
    assert measure_sparsity(prune(mlp, {"hidden_1": np.zeros(6), "hidden_2": np.zeros(5)})) == 1


@pytest.mark.parametrize(
    "function", [lambda model: prune(model, {}), hold, measure_sparsity, shrink]
)
def test_refuses_models_that_cannot_be_pruned(function, bad_model):
    model, error, match = bad_model
    with pytest.raises(error, match=match):
        function(model)


@pytest.mark.parametrize("kind", ["never built", "no model"])
def test_strip_refuses_models_that_it_cannot_read(kind):
    make, error, match = BAD_MODELS[kind]
    with pytest.raises(error, match=match):
        strip(make())


def test_moving_average_of_the_weights_is_refused():
    model = with_moving_average()
    with pytest.raises(ValueError, match=r"'mlp' has use_ema=True.*Compile with use_ema=False"):
        prune(model, make_masks(model, unit_norm, 0.5))


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"z": np.ones(6)}, r"Unknown layers \['z'\]; expected some of \['a', 'b', 'logits'\]"),
        ({"a": np.ones((6, 4))}, r"'a': expected shape \(4, 6\) for weights or \(6,\) for units"),
        ({"a": np.full((4, 6), 3)}, "'a' must hold only 0 and 1, got values from 3 to 3"),
    ],
)
def test_bad_masks_are_refused(masks, message):
    with pytest.raises(ValueError, match=message):
        prune(network(), masks)


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize` method")
def test_strip_frees_layers_that_were_quantized_since(mode):
    pruned = prune(network(), MASKS)
    pruned.quantize(mode)
    x = np.random.default_rng(0).random((5, 4), np.float32)
    plain = strip(pruned)
    assert "HoldMask" in pruned.to_json() and "HoldMask" not in plain.to_json()
    assert not any(weight.constraint for weight in plain.weights)
    np.testing.assert_allclose(plain(x), np.asarray(pruned(x)), rtol=1e-6)
