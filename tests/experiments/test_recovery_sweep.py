"""Rows for each training, measured as one careful experiment at a time does."""

from inspect import Parameter, signature

import numpy as np
import pandas as pd
import pytest

from pruninglib import (
    eager,
    evaluate,
    magnitude,
    make_masks,
    merge_units,
    prune,
    prune_sweep,
    recovery_sweep,
    repair,
    retrain,
    unit_norm,
)
from pruninglib.recovery.retraining import retrainer

CRITERIA = {"weight": magnitude, "unit": unit_norm}
ASKED = ["dataset", "method", "scope", "stage", "sparsity"]

SGD = {"learning_rate": 0.1, "optimizer": "sgd"}


def measured(model, tiny):
    return evaluate(eager(model), tiny.x_test, tiny.y_test, model.loss)


def pruned(trained, method, sparsity=0.75):
    return prune(trained, make_masks(trained, CRITERIA[method], sparsity))


@pytest.fixture(scope="module")
def recovery(trained, tiny):
    return pd.DataFrame(
        recovery_sweep(
            trained,
            tiny,
            CRITERIA,
            (share for share in (0, 0.75)),
            iterations=(10,),
            hold_masks=(True, False),
            starts=("pruned", "repaired"),
            seed=3,
            examples=100,
            repairing={"ridge": 0.1},
            retraining=SGD | {"total": 200, "batch_size": 40},
            labels={"recipe": "short"},
        )
    )


def of_stage(recovery, stage, sparsity=0.75, **columns):
    """Return the rows of a stage at one sparsity, one for each method."""
    rows = recovery[(recovery["stage"] == stage) & (recovery["sparsity"] == sparsity)]
    for name, value in columns.items():
        rows = rows[rows[name] == value]
    return rows.set_index("method")


def test_there_is_a_row_for_each_stage_and_each_training(recovery):
    assert recovery["stage"].value_counts().to_dict() == {
        "pruned": 4,
        "repaired": 4,
        "retrained": 10,
    }
    retrained = recovery[recovery["stage"] == "retrained"]
    assert not retrained.duplicated(["method", "sparsity", "start", "mask"]).any()
    assert (retrained["iterations"] == 10).all()
    assert (recovery["seed"] == 3).all() and (recovery["recipe"] == "short").all()
    assert recovery[[*ASKED, "measured_sparsity", "accuracy", "loss"]].notna().all().all()


def test_only_retrained_rows_have_a_start_and_a_mask(recovery):
    others = recovery[recovery["stage"] != "retrained"]
    assert others[["start", "mask", "iterations"]].isna().all().all()


def test_what_took_time_says_how_long(recovery):
    took_time = recovery["stage"] != "pruned"
    assert (recovery.loc[took_time, "seconds"] > 0).all()
    assert recovery.loc[~took_time, "seconds"].isna().all()


def test_only_pruned_weights_are_left_free(recovery):
    kinds = recovery[["start", "mask"]].dropna().value_counts().to_dict()
    assert kinds == {("pruned", "held"): 4, ("pruned", "free"): 2, ("repaired", "held"): 4}


def test_the_mask_is_held_or_left_free(recovery):
    held = recovery[(recovery["stage"] == "repaired") | (recovery["mask"] == "held")]
    assert (held["measured_sparsity"] == held["sparsity"]).all()
    free = of_stage(recovery, "retrained", mask="free")["measured_sparsity"]
    assert free["weight"] < 0.6
    assert free["unit"] == 0.75  # by accident: ReLU units at zero get no gradient


def test_where_nothing_is_masked_a_free_mask_is_not_trained_again(trained, tiny):
    how = {"iterations": [1], "retraining": {"total": 10}, "hold_masks": (True, False)}
    rows = list(recovery_sweep(trained, tiny, {"weight": magnitude}, [0.0, 0.5], **how))
    kinds = [(row["sparsity"], row["mask"]) for row in rows if row["stage"] == "retrained"]
    assert kinds == [(0.0, "held"), (0.5, "held"), (0.5, "free")]
    rows = list(
        recovery_sweep(trained, tiny, {"w": magnitude}, [0.0], **how | {"hold_masks": [False]})
    )
    assert [row["mask"] for row in rows if row["stage"] == "retrained"] == ["free"]


@pytest.mark.parametrize("stage", ["pruned", "repaired", "retrained"])
def test_the_parameters_that_are_left_are_counted(stage, recovery):
    rows = of_stage(recovery, stage)
    parameters = rows[rows["mask"] != "free"]["parameters"]
    assert (parameters["weight"] == (64 + 192) // 4 + 36).all()
    assert (parameters["unit"] == 4 * 4 + 4 * 3 + 3 * 3).all()


def test_pruned_rows_are_those_of_prune_sweep(recovery, trained, tiny):
    expected = pd.DataFrame(prune_sweep(trained, tiny, CRITERIA, [0, 0.75]))
    found = recovery[recovery["stage"] == "pruned"][expected.columns]
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("method", CRITERIA)
def test_repaired_rows_measure_what_repair_makes_of_the_first_examples(
    method, recovery, trained, tiny
):
    repaired = repair(pruned(trained, method), trained, tiny.x_train[:100], ridge=0.1)
    row, expected = of_stage(recovery, "repaired").loc[method], measured(repaired, tiny)
    assert row["accuracy"] == expected["accuracy"]
    assert row["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert row["loss"] != of_stage(recovery, "pruned").loc[method, "loss"]


@pytest.mark.parametrize(("method", "start"), [("weight", "pruned"), ("unit", "repaired")])
def test_retrained_rows_measure_what_retrain_makes_of_the_start(
    method, start, recovery, trained, tiny
):
    network = pruned(trained, method)
    if start == "repaired":
        network = repair(network, trained, tiny.x_train[:100], ridge=0.1)
    settings = {"learning_rate": 0.1, "optimizer": "sgd", "batch_size": 40, "seed": 3}
    retrain(network, trained, tiny.x_train, tiny.y_train, 10, total=200, **settings)
    row = of_stage(recovery, "retrained", start=start, mask="held").loc[method]
    expected = measured(network, tiny)
    assert row["accuracy"] == pytest.approx(expected["accuracy"], abs=1 / len(tiny.y_test))
    assert row["loss"] == pytest.approx(expected["loss"], rel=1e-3)


@pytest.mark.more
def test_distilled_rows_measure_what_retrain_makes_with_distillation(trained, tiny):
    how = SGD | {"schedule": "linear", "batch_size": 40, "distillation": 0.5}
    arguments = {"iterations": (10,), "seed": 3, "retraining": how}
    rows = recovery_sweep(trained, tiny, {"weight": magnitude}, [0.75], **arguments)
    (row,) = (row for row in rows if row["stage"] == "retrained")
    network = pruned(trained, "weight")
    retrain(network, trained, tiny.x_train, tiny.y_train, 10, seed=3, **how)
    assert row["distillation"] == 0.5
    assert row["loss"] == pytest.approx(measured(network, tiny)["loss"], rel=1e-3)


@pytest.mark.more
def test_at_a_constant_rate_one_training_yields_all_numbers_of_iterations(trained, tiny):
    how = {"retraining": SGD | {"schedule": "constant", "batch_size": 40}}
    both, alone = (
        pd.DataFrame(recovery_sweep(trained, tiny, CRITERIA, [0, 0.75], iterations=n, **how))
        for n in ((20, 5), (20,))
    )
    both, alone = (rows[rows["stage"] == "retrained"] for rows in (both, alone))
    assert both["iterations"].tolist() == [5, 20] * 4
    columns = [*ASKED, "iterations", "accuracy", "parameters", "measured_sparsity"]
    found = both[both["iterations"] == 20].reset_index()[columns]
    pd.testing.assert_frame_equal(found, alone.reset_index()[columns])
    seconds = both["seconds"].to_numpy().reshape(4, 2)
    assert (seconds[:, 0] < seconds[:, 1]).all()


def test_a_total_that_is_missing_is_told_before_the_work(trained, tiny):
    with pytest.raises(ValueError, match=r"total must be .* got None"):
        next(recovery_sweep(trained, tiny, CRITERIA, [0.75], retraining={"schedule": "rewound"}))


@pytest.mark.more
def test_without_a_total_the_weights_alone_decide_the_rate(trained, tiny):
    how = {"iterations": (3,), "retraining": SGD}
    *_, row = recovery_sweep(trained, tiny, {"weight": magnitude}, [0.75], **how)
    network = pruned(trained, "weight")
    retrain(network, trained, tiny.x_train, tiny.y_train, 3, **SGD)
    assert row["loss"] == pytest.approx(measured(network, tiny)["loss"], rel=1e-3)


@pytest.mark.parametrize("method", CRITERIA)
def test_merged_rows_measure_what_merge_units_makes(method, trained, tiny):
    settings = {"iterations": (), "starts": ("merged",)}
    _, row = recovery_sweep(trained, tiny, {method: CRITERIA[method]}, [0.75], **settings)
    expected = measured(merge_units(pruned(trained, method), trained), tiny)
    assert row["stage"] == "merged" and row["seconds"] > 0
    assert row["accuracy"] == expected["accuracy"]
    assert row["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert row["measured_sparsity"] >= 0.75


def test_at_sparsity_0_the_dense_network_is_treated_alike(recovery, trained, tiny):
    dense = measured(trained, tiny)["loss"]
    for stage in ("pruned", "repaired"):
        rows = of_stage(recovery, stage, sparsity=0)
        assert rows["loss"].to_numpy() == pytest.approx(dense, rel=1e-3)
    retrained = of_stage(recovery, "retrained", sparsity=0)
    assert len(retrained) == 4 and (np.abs(retrained["loss"] - dense) > 1e-5).all()


def test_repaired_networks_alone_may_be_retrained_and_the_dense_one_is_left_as_it_was(
    trained, tiny
):
    before = trained.get_weights()
    settings = {"starts": ("repaired",), "retraining": SGD | {"schedule": "linear"}}
    rows = list(recovery_sweep(trained, tiny, {"w": magnitude}, [0.5], iterations=(1,), **settings))
    assert [row["stage"] for row in rows] == ["pruned", "repaired", "retrained"]
    assert rows[-1]["start"] == "repaired"
    for one, other in zip(before, trained.get_weights(), strict=True):
        assert (one == other).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"starts": ("pruned", "dense")}, r"starts must be .*got {'dense'}"),
        ({"retraining": {"schedule": "cosine"}}, r"schedule must be .*got 'cosine'"),
        ({"retraining": {"schedule": "rewound"}}, r"total must be .*got None"),
        (
            {"starts": ("repaired",), "hold_masks": (True, False)},
            r"hold_masks has False.*only \"pruned\" can be retrained.*hold_masks=\(True,\)",
        ),
    ],
)
def test_bad_arguments_are_refused(settings, message, trained, tiny):
    with pytest.raises(ValueError, match=message):
        list(recovery_sweep(trained, tiny, {"weight": magnitude}, [0.5], **settings))


@pytest.mark.parametrize(
    "typo",
    [
        {"scop": "global"},
        {"iteration": (5,)},
        {"retraining": {"learning_rat": 0.1}},
        {"repairing": {"rige": 0.1}},
        {"retraining": {"seed": 1}},
    ],
)
def test_a_typo_is_an_error_and_no_column(typo, trained, tiny):
    how = {"iterations": (1,), "starts": ("pruned", "repaired")} | typo
    with pytest.raises(TypeError):
        list(recovery_sweep(trained, tiny, {"weight": magnitude}, [0.5], **how))


@pytest.mark.parametrize("label", ["sparsity", "accuracy", "seed", "parameters"])
def test_a_label_does_not_replace_a_column(label, trained, tiny):
    with pytest.raises(ValueError, match=rf"labels \['{label}'\] are columns .* Rename"):
        list(recovery_sweep(trained, tiny, {"w": magnitude}, [0.5], labels={label: 1}))


def test_what_retrains_many_networks_has_the_defaults_of_retrain():
    one, many = (signature(function).parameters for function in (retrain, retrainer))
    shared = [name for name in many if many[name].default is not Parameter.empty]
    assert shared == ["learning_rate", "schedule", "total", "distillation", "batch_size", "seed"]
    for name in shared:
        assert many[name].default == one[name].default
