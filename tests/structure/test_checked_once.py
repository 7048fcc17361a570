"""Each public function reads all weights of a model once, at its door."""

import numpy as np
import pytest

import pruninglib as pl
from pruninglib.pruning import masks
from pruninglib.structure import graph

X = np.random.default_rng(0).random((60, 4), np.float32)


def pruned(model):
    return pl.prune(model, pl.make_masks(model, pl.unit_norm, 0.5))


ONE_MODEL = {
    "prune": lambda model: pl.prune(model, {"hidden_1": np.ones(16)}),
    "hold": pl.hold,
    "measure_sparsity": pl.measure_sparsity,
    "shrink": pl.shrink,
    "plan_shrink": pl.plan_shrink,
    "activation_aware": lambda model: pl.activation_aware(model, X),
    "greedy_units": lambda model: pl.greedy_units(model, X),
    "dead_units": lambda model: pl.dead_units(model, X),
    "kernel_statistics": lambda model: list(pl.kernel_statistics(model)),
    "share_weights": lambda model: pl.share_weights(model, 4),
}


@pytest.fixture
def reads(monkeypatch):
    """The models whose weights were read, in order."""
    models, check = [], graph.check_finite
    monkeypatch.setattr(graph, "check_finite", lambda model: models.append(model) or check(model))
    return models


@pytest.mark.parametrize("name", ONE_MODEL)
def test_a_function_of_a_model_reads_it_once(name, trained, reads):
    ONE_MODEL[name](trained)
    assert reads == [trained]


@pytest.mark.parametrize(
    "function",
    [
        lambda pruned, dense: pl.repair(pruned, dense, X),
        pl.merge_units,
        lambda pruned, dense: pl.budget(pruned, dense, 10),
        lambda pruned, dense: pl.retrain(pruned, dense, X, np.zeros(60, int), 0),
    ],
)
def test_a_function_of_two_models_reads_each_once(function, trained, monkeypatch, reads):
    model = pruned(trained)
    reads.clear()
    function(model, trained)
    assert reads == [model, trained]


def test_a_sweep_reads_its_model_once_however_many_levels(trained, tiny, reads):
    list(pl.prune_sweep(trained, tiny, {"weight": pl.magnitude, "unit": pl.unit_norm}, [0, 0.5]))
    data = tiny.x_validation, tiny.y_validation
    list(pl.sensitivity(trained, pl.magnitude, [0.5, 0.9], data))
    assert reads == [trained] * 2


@pytest.mark.parametrize(
    "how",
    [{}, {"scope": "global"}, {"coupled": True}, {"include": ["hidden_1", "logits"]}],
)
def test_masks_are_made_from_one_look_at_each_kernel(how, trained, monkeypatch, reads):
    looks, look = [], masks.kernel_values
    monkeypatch.setattr(masks, "kernel_values", lambda x: looks.append(x.name) or look(x))
    pl.make_masks(trained, pl.unit_norm, 0.5, **how)
    assert {"hidden_1", *how.get("include", ["hidden_2"])} <= set(looks) and not reads
    assert len(looks) == len(set(looks))
