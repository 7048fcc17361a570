"""Rows say what was asked and what was measured, against one careful experiment at a time."""

import numpy as np
import pandas as pd
import pytest

from pruninglib import (
    count_parameters,
    eager,
    evaluate,
    magnitude,
    make_masks,
    measure_sparsity,
    prune,
    prune_sweep,
    random_scores,
    shrink,
    unit_norm,
)
from pruninglib.experiments import sweeps

CRITERIA = {"weight": magnitude, "unit": unit_norm}
ASKED = ["dataset", "method", "scope", "stage", "sparsity"]


def measured(model, tiny):
    return evaluate(eager(model), tiny.x_test, tiny.y_test, model.loss)


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_prune_sweep_measures_what_pruning_each_time_anew_does(scope, trained, tiny):
    levels = [0, 0.25, 0.75]
    rows = list(prune_sweep(trained, tiny, CRITERIA, levels, scope=scope, labels={"seed": 7}))
    assert [(r["method"], r["sparsity"]) for r in rows] == [
        (m, s) for m in CRITERIA for s in levels
    ]
    for row in rows:
        masks = make_masks(trained, CRITERIA[row["method"]], row["sparsity"], scope)
        pruned = prune(trained, masks)
        expected = measured(pruned, tiny)
        assert row["accuracy"] == expected["accuracy"]
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-4)
        assert row["measured_sparsity"] == measure_sparsity(pruned)
        kept = count_parameters(shrink(pruned) if row["method"] == "unit" else pruned, nonzero=True)
        assert row["parameters"] == kept
        assert row["seed"] == 7 and row["dataset"] == "tiny" and row["stage"] == "pruned"
        assert row["scope"] == scope


def test_networks_run_in_the_form_that_is_fastest(trained, tiny, monkeypatch):
    ran = []
    for name in ("numpy_dense", "sparse"):
        run = lambda model, name=name: ran.append(name) or eager(model)  # noqa: E731
        monkeypatch.setattr(sweeps, name, run)
    monkeypatch.setattr(sweeps, "sparse_library", lambda: "numba")
    list(prune_sweep(trained, tiny, {"unit": unit_norm}, [0, 0.5]))
    assert ran == ["numpy_dense"]
    list(prune_sweep(trained, tiny, {"weight": magnitude}, [0, 0.5, 0.95]))
    assert ran == ["numpy_dense", "sparse"]
    monkeypatch.setattr(sweeps, "sparse_library", lambda: "scipy")
    list(prune_sweep(trained, tiny, {"weight": magnitude}, [0.95]))
    assert ran == ["numpy_dense", "sparse"]


def test_prune_sweep_of_everything_is_chance_not_an_error(trained, tiny):
    (row,) = prune_sweep(trained, tiny, {"unit": unit_norm}, [1])
    assert row["measured_sparsity"] == 1 and row["accuracy"] < 0.7
    assert row["loss"] == pytest.approx(np.log(3), rel=1e-5)


def test_sweeps_leave_the_model_as_it_was(trained, tiny):
    before = trained.get_weights()
    list(prune_sweep(trained, tiny, CRITERIA, [0.9]))
    for one, other in zip(before, trained.get_weights(), strict=True):
        assert (one == other).all()


def test_prune_sweep_takes_any_function_as_criterion(trained, tiny):
    criteria = {"random": random_scores, "largest": lambda kernel: -np.abs(kernel)}
    table = pd.DataFrame(prune_sweep(trained, tiny, criteria, [0.5], labels={"learning_rate": 0.1}))
    assert table["method"].tolist() == ["random", "largest"]
    assert (table["learning_rate"] == 0.1).all() and (table["measured_sparsity"] == 0.5).all()


def test_sparsities_may_come_one_by_one(trained, tiny):
    rows = prune_sweep(trained, tiny, CRITERIA, (level / 2 for level in range(3)))
    assert [row["sparsity"] for row in rows] == [0, 0.5, 1] * 2


def test_sparsity_outside_0_to_1_is_refused(trained, tiny):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 90"):
        list(prune_sweep(trained, tiny, CRITERIA, [90]))


def test_a_model_that_holds_masks_is_refused(trained, tiny):
    pruned = prune(trained, make_masks(trained, unit_norm, 0.5))
    with pytest.raises(ValueError, match=r"holds a mask already.*Pass strip"):
        next(prune_sweep(pruned, tiny, {"weight": magnitude}, [0.5]))


def test_every_row_says_what_was_asked(trained, tiny):
    table = pd.DataFrame(prune_sweep(trained, tiny, CRITERIA, [0, 0.5]))
    assert table[[*ASKED, "measured_sparsity"]].notna().all().all()


@pytest.mark.parametrize("typo", [{"scop": "global"}, {"label": {"seed": 1}}, {"seed": 1}])
def test_a_typo_is_an_error_and_no_column(typo, trained, tiny):
    with pytest.raises(TypeError):
        next(prune_sweep(trained, tiny, CRITERIA, [0.5], **typo))


def test_a_label_does_not_replace_a_column(trained, tiny):
    with pytest.raises(ValueError, match=r"The labels \['accuracy'\] are columns .* Rename"):
        next(prune_sweep(trained, tiny, CRITERIA, [0.5], labels={"accuracy": 1}))
