"""Rates by name against formulas; the part of the rate that a retraining begins with, by hand."""

import json

import keras
import numpy as np
import pytest
from keras.optimizers import schedules
from numpy.testing import assert_allclose

from pruninglib import budget, magnitude, make_masks, make_mlp, prune, repair, shrink, unit_norm
from pruninglib.recovery.retraining import rates
from pruninglib.registered import EndOf

COSINE = [0.05 * (1 + np.cos(np.pi * t / 40)) for t in range(41)]  # from 0.1 to 0 in 40 iterations


def two_layers():
    """2-2-1 network with kernels of norms 5 and 12, thus 13 together."""
    model = make_mlp(2, (2,), 1)
    model.set_weights([np.array([[1.0, 2.0], [2.0, 4.0]]), np.array([[12.0], [0.0]])])
    return model


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [0.1, 0.05, 0.01]),
        ("budget", [0.1, 0.05, 0.01]),  # `retrain` scales the rate that it begins with
        ("constant", [0.1, 0.1, 0.1]),
        ("rewound", [COSINE[30], COSINE[35], COSINE[39]]),
    ],
)
def test_rates_of_the_first_the_middle_and_the_last_iteration(schedule, expected):
    found = rates(schedule, 0.1, iterations=10, total=40)
    assert_allclose([found(t) for t in (0, 5, 9)], expected, rtol=1e-4)


def test_rewound_to_the_start_is_the_whole_cosine():
    found = rates("rewound", 0.1, iterations=40, total=40)
    assert_allclose([found(t) for t in range(41)], COSINE, rtol=1e-4, atol=1e-8)


def test_no_iterations_still_make_a_schedule():
    assert float(rates("linear", 0.1, 0, None)(0)) == pytest.approx(0.1)


def test_end_of_a_schedule_is_shifted_and_scaled():
    end = EndOf(schedules.PolynomialDecay(1.0, 10, 0.0), offset=6, scale=0.5)
    assert_allclose([end(t) for t in range(5)], [0.2, 0.15, 0.1, 0.05, 0], atol=1e-7)
    end.scale.assign(2)
    assert float(end(0)) == pytest.approx(0.8)


def test_end_of_a_schedule_survives_serialisation_as_json():
    end = EndOf(rates("rewound", 0.1, 10, 40), offset=2)
    end.scale.assign(0.25)
    copy = schedules.deserialize(json.loads(json.dumps(schedules.serialize(end))))
    assert isinstance(copy, EndOf) and isinstance(copy.schedule, EndOf)
    assert_allclose([copy(t) for t in range(8)], [c / 4 for c in COSINE[32:40]], rtol=1e-4)


def test_an_optimizer_follows_the_scale_without_a_new_compilation():
    end = EndOf(rates("constant", 0.1, 10, None))
    optimizer = keras.optimizers.get({"class_name": "adam", "config": {"learning_rate": end}})
    end.scale.assign(0.5)
    assert float(optimizer.learning_rate) == pytest.approx(0.05)


def test_budget_is_what_pruning_moved_over_the_norm_and_the_root_of_the_sparsity():
    model = two_layers()
    pruned = prune(model, {"hidden_1": np.array([[0, 0], [0, 1]])})
    assert budget(pruned, model, 1, 1000) == pytest.approx(3 / 13 / np.sqrt(3 / 4))


def test_budget_is_at_least_the_share_of_the_iterations():
    model = two_layers()
    pruned = prune(model, {"hidden_1": np.array([[0, 0], [0, 1]])})
    assert budget(pruned, model, 30, 100) == pytest.approx(0.3)


def test_budget_is_1_at_most():
    model = two_layers()
    assert budget(model, model, 20, 10) == 1
    model.get_layer("logits").kernel.assign([[0], [0.01]])
    only_the_largest = prune(model, {"hidden_1": np.array([[1, 1], [1, 0]])})
    assert budget(only_the_largest, model, 1, 10) == 1


def test_budget_of_a_network_that_lost_nothing_is_the_share_of_the_iterations():
    model = two_layers()
    assert budget(prune(model, {"hidden_1": np.ones(2)}), model, 3, 12) == 0.25


def test_budget_of_a_repaired_network_is_that_of_the_pruned_one(mlp, tiny):
    pruned = prune(mlp, make_masks(mlp, magnitude, 0.5))
    repaired = repair(pruned, mlp, tiny.x_train)
    assert np.abs(repaired.get_weights()[1] - pruned.get_weights()[1]).max() > 0.01
    found = budget(pruned, mlp, 1, 1000)
    assert 0.1 < found < 1 and budget(repaired, mlp, 1, 1000) == found


def test_budget_counts_pruned_logits():
    model = two_layers()
    pruned = prune(model, {"logits": np.array([[0], [1]])})
    assert budget(pruned, model, 1, 1000) > 0.9


def test_without_a_total_what_was_moved_decides_alone(mlp):
    pruned = prune(mlp, make_masks(mlp, magnitude, 0.5))
    assert 0 < budget(pruned, mlp, 1000) == budget(pruned, mlp, 1, 1000) < 1
    assert budget(mlp, mlp, 1000) == 0


def test_budget_of_a_total_of_nothing_is_refused():
    model = two_layers()
    with pytest.raises(ValueError, match=r"total must be .*got 0\. Pass it, or another schedule"):
        budget(model, model, 5, 0)


@pytest.mark.parametrize("total", [None, 9])
def test_rewinding_further_than_the_start_is_refused(total):
    with pytest.raises(ValueError, match=rf"total must be .*at least 10, got {total}"):
        rates("rewound", 0.1, 10, total)


def test_budget_of_a_shrunk_model_is_refused(mlp):
    smaller = shrink(prune(mlp, make_masks(mlp, unit_norm, 0.5)))
    with pytest.raises(ValueError, match=r"one that was pruned, with the same layers, not shrunk"):
        budget(smaller, mlp, 1, 10)


def test_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match=r"schedule must be .*got 'cosine'"):
        rates("cosine", 0.1, 10, 40)


def test_budget_refuses_models_that_cannot_be_read(bad_model):
    model, error, match = bad_model
    with pytest.raises(error, match=match):
        budget(model, model, 1, 10)


def test_models_in_the_other_order_are_refused(mlp):
    """What was lost would be nothing, and the network not trained at all."""
    pruned = prune(mlp, make_masks(mlp, magnitude, 0.5))
    with pytest.raises(ValueError, match=r"zeros where .* has none: pass the pruned model first"):
        budget(mlp, pruned, 1, 1000)
