"""How much goes in which layer: exact counts, scopes, and what is refused."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from networks import dense
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import magnitude, make_masks, make_mlp, top_k_mask, unit_norm
from pruninglib.pruning.criteria import random_scores
from pruninglib.pruning.masks import layer_scores, mask_levels
from pruninglib.pruning.prune import check_masks
from pruninglib.structure.prunable import prunable_layers

MODEL = make_mlp(4, (6, 5), 3)
KERNELS = {layer.name: np.asarray(layer.kernel) for layer in MODEL.layers}


def dropped(masks):
    return {name: int((mask == 0).sum()) for name, mask in masks.items()}


@given(st.floats(0, 1))
def test_each_layer_loses_its_exact_share(sparsity):
    assert dropped(make_masks(MODEL, magnitude, sparsity)) == {
        "hidden_1": round(sparsity * 24),
        "hidden_2": round(sparsity * 30),
    }


@given(st.floats(0, 1))
def test_units_are_counted_too(sparsity):
    masks = make_masks(MODEL, unit_norm, sparsity)
    assert {name: mask.shape for name, mask in masks.items()} == {
        "hidden_1": (6,),
        "hidden_2": (5,),
    }
    assert dropped(masks) == {"hidden_1": round(sparsity * 6), "hidden_2": round(sparsity * 5)}


@given(st.floats(0, 1))
def test_global_scope_ranks_all_layers_together(sparsity):
    masks = make_masks(MODEL, magnitude, sparsity, scope="global")
    scores = np.concatenate([np.abs(KERNELS[name]).ravel() for name in masks])
    expected = np.split(top_k_mask(scores, sparsity), [24])
    assert_array_equal(masks["hidden_1"], expected[0].reshape(4, 6))
    assert_array_equal(masks["hidden_2"], expected[1].reshape(6, 5))


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("criterion", [magnitude, unit_norm])
def test_all_levels_at_once_equal_one_at_a_time(criterion, scope):
    levels = [0, 0.5, 0.9, 1, 0.1]
    found = mask_levels(layer_scores(MODEL, criterion, scope), levels, scope)
    for sparsity, masks in zip(levels, found, strict=True):
        expected = make_masks(MODEL, criterion, sparsity, scope)
        assert masks.keys() == expected.keys()
        for name in masks:
            assert_array_equal(masks[name], expected[name])


def test_logits_are_left_alone_unless_named():
    assert list(make_masks(MODEL, magnitude, 0.5)) == ["hidden_1", "hidden_2"]
    assert list(make_masks(MODEL, magnitude, 0.5, include=["logits"])) == ["logits"]
    assert list(make_masks(MODEL, magnitude, {"logits": 0.5})) == ["logits"]


def test_a_dict_of_sparsities_prunes_the_layers_that_it_names():
    masks = make_masks(MODEL, magnitude, {"hidden_2": 0.5, "logits": 0.2})
    assert dropped(masks) == {"hidden_2": 15, "logits": 3}


def test_unit_norms_are_divided_by_the_root_of_the_fan_in_in_global_scope_only():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(5, 3, name="conv"),
            layers.Flatten(),
            dense(6, name="dense"),
            dense(2, None, name="end"),
        ]
    )
    by_layer, together = layer_scores(model, unit_norm), layer_scores(model, unit_norm, "global")
    assert_allclose(together["conv"], by_layer["conv"] / np.sqrt(3 * 3 * 2), rtol=1e-6)
    assert_allclose(together["dense"], by_layer["dense"] / np.sqrt(6 * 6 * 5), rtol=1e-6)


def test_layers_of_equal_weights_compare_equal_in_global_unit_scope():
    model = make_mlp(4, (100, 5), 3)
    for layer in model.layers:
        layer.kernel.assign(np.full(layer.kernel.shape, 0.5))
    scores = np.concatenate(list(layer_scores(model, unit_norm, "global").values()))
    assert_allclose(scores, 0.5, rtol=1e-6)


def test_other_criteria_are_ranked_as_they_are():
    scores = layer_scores(MODEL, magnitude, "global")
    assert_array_equal(scores["hidden_1"], np.abs(KERNELS["hidden_1"]))


def test_scores_may_come_from_elsewhere_in_a_dict():
    scores = {"hidden_1": np.arange(6), "hidden_2": np.arange(5)}
    masks = make_masks(MODEL, scores, 0.5)
    assert_array_equal(masks["hidden_1"], [0, 0, 0, 1, 1, 1])
    assert_array_equal(masks["hidden_2"], [0, 0, 1, 1, 1])


def test_a_criterion_of_ones_own_is_any_function_of_the_kernel():
    masks = make_masks(MODEL, lambda kernel: kernel.max(axis=0), 0.5)
    best = np.argsort(KERNELS["hidden_1"].max(axis=0))[3:]
    assert_array_equal(np.flatnonzero(masks["hidden_1"]), np.sort(best))


def test_random_masks_differ_between_layers_of_one_shape():
    model = make_mlp(6, (6, 6), 3)
    masks = make_masks(model, random_scores, 0.5)
    assert (masks["hidden_1"] != masks["hidden_2"]).any()


def test_the_model_is_left_as_it_was():
    before = MODEL.get_weights()
    make_masks(MODEL, magnitude, 0.9, "global")
    for one, other in zip(before, MODEL.get_weights(), strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("sparsity", [-0.1, 90, float("nan"), {"hidden_1": 1.5}])
def test_sparsity_outside_0_to_1_is_refused(sparsity):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got .* Pass 0\.9 for 90 %"):
        make_masks(MODEL, magnitude, sparsity)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scope": "local"}, "scope must be .* got 'local'"),
        ({"include": ["hidden_9"]}, r"Unknown layers \['hidden_9'\].*'hidden_1', 'hidden_2'"),
        ({"sparsity": {"hidden_9": 0.5}}, r"Unknown layers \['hidden_9'\].*'logits'"),
        ({"sparsity": {"hidden_1": 0.5}, "scope": "global"}, "dict of sparsities.*layer scope"),
        ({"sparsity": {"hidden_1": 0.5}, "include": ["hidden_1"]}, "A dict of sparsities names"),
        ({"criterion": {"other": np.ones(6)}}, r"Unknown layers \['other'\]"),
        (
            {"criterion": {"hidden_1": np.ones(6)}},
            r"lack the layers \['hidden_2'\].*=\['hidden_1'\]",
        ),
        ({"criterion": lambda k: k.T}, r"'hidden_1': expected shape \(4, 6\).*\(6,\).*\(6, 4\)"),
        ({"criterion": lambda k: k * np.nan}, "24 NaN among 24 values.*Check the criterion"),
        (
            {"criterion": {"hidden_1": np.ones(6), "hidden_2": np.ones((6, 5))}, "scope": "global"},
            "either weights or units",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    arguments = {"criterion": magnitude, "sparsity": 0.5} | arguments
    with pytest.raises(ValueError, match=message):
        make_masks(MODEL, **arguments)


def test_the_name_of_a_criterion_is_no_criterion():
    with pytest.raises(TypeError, match=r"must be a function kernel -> scores.*got 'magnitude'"):
        make_masks(MODEL, "magnitude", 0.5)


def test_a_model_of_logits_only_says_how_to_prune_them():
    model = make_mlp(4, (), 3)
    with pytest.raises(ValueError, match=r"besides the one that makes.*include=\['logits'\]"):
        make_masks(model, magnitude, 0.5)
    assert dropped(make_masks(model, magnitude, 0.5, include=["logits"])) == {"logits": 6}


def test_refuses_models_that_cannot_be_pruned(bad_model):
    model, error, match = bad_model
    with pytest.raises(error, match=match):
        make_masks(model, magnitude, 0.5)


@pytest.mark.parametrize(
    ("masks", "error", "message"),
    [
        ([np.ones(6)], TypeError, "must be a dict.*got list"),
        ({"hidden_9": np.ones(6)}, ValueError, r"Unknown layers \['hidden_9'\]"),
        ({"hidden_1": np.ones(4)}, ValueError, r"'hidden_1': .*\(4, 6\).*\(6,\).*got \(4,\)"),
        ({"hidden_1": np.ones((6, 4))}, ValueError, r"expected shape \(4, 6\).*got \(6, 4\)"),
        ({"hidden_1": np.full(6, 2)}, ValueError, "'hidden_1' must hold only 0 and 1.* 2 to 2"),
        ({"hidden_1": np.full(6, 0.5)}, ValueError, "only 0 and 1.*0.5 to 0.5.*top_k_mask"),
        ({"hidden_1": np.full(6, np.nan)}, ValueError, "only 0 and 1.*nan"),
    ],
)
def test_bad_masks_are_refused(masks, error, message):
    with pytest.raises(error, match=message):
        check_masks(masks, prunable_layers(MODEL))


@pytest.mark.parametrize("dtype", [bool, np.uint8, int, np.float32])
def test_masks_of_zeros_and_ones_are_accepted_in_any_type(dtype):
    masks = {"hidden_1": [0, 1, 1, 0, 1, 1], "hidden_2": np.ones((6, 5), dtype)}
    checked = check_masks(masks, prunable_layers(MODEL))
    assert_array_equal(checked["hidden_1"], masks["hidden_1"])
    assert_array_equal(checked["hidden_2"], 1)


def test_patterns_are_made_of_every_layers_inputs():
    model = keras.Sequential([keras.Input((8,)), dense(6, name="a"), dense(5, name="b"), dense(3)])
    masks = make_masks(model, magnitude, "2:4", exclude=["b"])
    assert_array_equal(masks["a"].reshape(2, 4, 6).sum(axis=1), 2)
    with pytest.raises(ValueError, match=r"'b': 2:4 needs .*\(6, 5\).*exclude=\['b'\]"):
        make_masks(model, magnitude, "2:4")


def test_patterns_of_a_transposed_convolution_go_along_its_inputs():
    model = keras.Sequential([keras.Input((4, 4, 8)), keras.layers.Conv2DTranspose(6, 3, name="a")])
    mask = make_masks(model, magnitude, "1:4", include=["a"])["a"]
    assert_array_equal(mask.reshape(3, 3, 6, 2, 4).sum(axis=-1), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": "2/4"}, "sparsity must be a number, a dict, or a pattern.*got '2/4'"),
        ({"sparsity": "2:4", "scope": "global"}, "goes with layer scope; got '2:4' and 'global'"),
        (
            {"sparsity": "2:4", "criterion": unit_norm},
            "'hidden_1': '2:4' chooses among .* scores of weights",
        ),
        ({"sparsity": "3:2", "include": ["hidden_1"]}, "'hidden_1': 3:2 needs 0 < 3 <= 2"),
        ({"include": ["hidden_1"], "exclude": ["hidden_1"]}, "or those excluded"),
        ({"sparsity": {"hidden_1": 0.5}, "exclude": ["hidden_1"]}, "A dict of sparsities names"),
    ],
)
def test_bad_patterns_and_choices_are_refused(arguments, message):
    arguments = {"criterion": magnitude, "sparsity": 0.5} | arguments
    with pytest.raises(ValueError, match=message):
        make_masks(MODEL, **arguments)


def sequence_model():
    """An Embedding and attention in a nested model, then a SimpleRNN both ways, and Dense."""
    inner_inputs = keras.Input((7,), dtype="int32")
    x = layers.Embedding(9, 4, name="words")(inner_inputs)
    x = layers.MultiHeadAttention(1, 2, name="attention")(x, x)
    inner = keras.Model(inner_inputs, dense(6, name="wide")(x), name="inner")
    inputs = keras.Input((7,), dtype="int32")
    x = layers.PReLU()(layers.Bidirectional(layers.SimpleRNN(1), name="both")(inner(inputs)))
    return keras.Model(inputs, dense(4, name="end")(x), name="sequence")


def test_layers_left_out_because_they_cannot_be_pruned_are_named():
    model = sequence_model()
    left_out = 9 * 4 + 4 * 4 * 2 + 2 * (6 + 1)  # Embedding, attention, SimpleRNN both ways
    share = round(100 * left_out / (left_out + 4 * 6 + 2 * 4))
    expected = (
        r"^The layers 'inner/words' \(Embedding\), 'inner/attention' \(MultiHeadAttention\), "
        rf"'both' \(Bidirectional\) cannot be pruned yet .*with {share} % of the weights"
    )
    with pytest.warns(UserWarning, match=expected) as found:
        make_masks(model, magnitude, 0.5)
    (told,) = (each for each in found if each.category is UserWarning)
    assert told.filename == __file__
    with pytest.warns(
        UserWarning, match=r"^The layers 'inner/words' \(Embedding\) cannot"
    ) as found:
        make_masks(model, unit_norm, 0.5, exclude=["both", layers.MultiHeadAttention])
    assert sum(each.category is UserWarning for each in found) == 1


def test_a_frozen_or_quantized_layer_is_named_too():
    model = keras.Sequential([keras.Input((5, 8)), layers.GRU(4, name="gru"), dense(8, name="a")])
    model.add(dense(4, name="integers"))
    model.add(dense(2))
    model.get_layer("gru").trainable = False
    model.get_layer("integers").quantize("int8")
    with pytest.warns(UserWarning, match=r"'gru' \(GRU\), 'integers' \(Dense\) cannot be pruned y"):
        assert list(make_masks(model, magnitude, 0.5)) == ["a"]


@pytest.mark.parametrize(
    "settings",
    [
        {"sparsity": 0.5, "include": ["inner/wide"]},
        {"sparsity": 0.5, "include": layers.Dense},
        {"sparsity": {"inner/wide": 0.5}},
        {"sparsity": 0.5, "exclude": ["inner/words", "inner/attention", "both"]},
        {"sparsity": 0.5, "exclude": (layers.Embedding, layers.MultiHeadAttention, "both")},
    ],
)
def test_layers_left_out_on_purpose_are_not_named(settings):
    assert "inner/wide" in make_masks(sequence_model(), magnitude, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"sparsity": 0.5, "include": ["inner/wide", "both"]},
        {"sparsity": 0.5, "include": "both"},
        {"sparsity": 0.5, "include": layers.Bidirectional},
        {"sparsity": {"both": 0.5}},
    ],
)
def test_a_layer_that_cannot_be_pruned_is_refused_by_name(settings):
    expected = r"'both' \(Bidirectional\) cannot be pruned yet: .*some of \['inner/wide', 'end'\]"
    with pytest.raises(ValueError, match=expected):
        make_masks(sequence_model(), magnitude, **settings)


def test_scales_are_no_weight_matrices():
    parts = [
        layers.LayerNormalization((1, 2)),
        layers.PReLU(),
        layers.Flatten(),
        dense(3),
        dense(2),
    ]
    make_masks(keras.Sequential([keras.Input((5, 2)), *parts]), magnitude, 0.5)
