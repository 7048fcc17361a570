"""Sentences say what their tables say."""

import pandas as pd
import pytest

from pruninglib.experiments import findings

SWEEP = pd.DataFrame(
    [
        {"method": method, "sparsity": s, "seed": seed, "accuracy": a - seed / 100}
        for method, curve in {"weight": (0.98, 0.98, 0.96), "unit": (0.98, 0.96, 0.5)}.items()
        for s, a in zip((0.0, 0.5, 0.9), curve, strict=True)
        for seed in (0, 1)
    ]
).assign(dataset="mnist", stage="pruned")


def test_a_sweep_says_how_far_it_went_and_why(monkeypatch):
    rows = {"a": [(0.3, 0.0)], "b": [(0.5, 0.02)]}
    shapes = {n: [{"small_weights": w, "small_norms": u} for w, u in r] for n, r in rows.items()}
    monkeypatch.setattr(findings, "kernel_statistics", shapes.get)
    text = findings.of_sweep(SWEEP, ["a", "b"])
    assert text.startswith("On MNIST, 2 seeds, mean ± standard deviation. Dense 97.5 ± 0.7 %.\n\n*")
    assert "stays without 70% of the weights, 25% of the units by norm." in text, "interpolated"
    assert "Without 90%: weights 95.5 ± 0.7 %, units by norm 49.5 ± 0.7 %." in text
    assert "40% of the weights, but 1% of the columns' norms" in text


def recovery(*rows):
    names = ["sparsity", "stage", "mask", "treatment", "accuracy", "measured_sparsity"]
    return pd.DataFrame(rows, columns=names).assign(dataset="digits", seed=0)


def test_recovery_says_what_the_free_mask_leaves_and_what_the_control_does():
    table = recovery(
        (0.0, "pruned", None, "pruned", 0.98, 0.0),
        (0.0, "retrained", "held", "retrained", 0.97, 0.0),
        (0.9, "pruned", None, "pruned", 0.5, 0.9),
        (0.9, "retrained", "held", "retrained", 0.9, 0.9),
        (0.9, "retrained", "free", "retrained, mask free", 0.95, 0.4),
    )
    text = findings.of_recovery(table)
    assert text.startswith("On digits, one seed. Dense 98.0 %.")
    assert "within a point of the dense network at none of these sparsities; at 90% it" in text
    assert "it ends 8.0 points below it." in text
    assert "The control: 97.0 % after the same retraining, nothing pruned." in text
    assert "* Without 90% of the weights: pruned 50.0 %, retrained 90.0 %. With the mask" in text
    assert "free 95.0 %, but then only 40.0 % of the weights are zero." in text


def test_without_control_or_free_mask_nothing_is_said_of_them():
    text = findings.of_recovery(recovery((0.9, "pruned", None, "pruned", 0.5, 0.9)))
    assert "control" not in text and "free" not in text and "Dense" not in text


def test_the_first_sentence_on_recovery_is_the_answer():
    rows = [(0.0, "pruned", None, "pruned", 0.98, 0.0)]
    for sparsity, retrained, both in ((0.9, 0.975, 0.98), (0.99, 0.95, 0.948)):
        rows.append((sparsity, "retrained", "held", "retrained", retrained, sparsity))
        rows.append((sparsity, "retrained", "held", "repaired, retrained", both, sparsity))
    text = findings.of_recovery(recovery(*rows))
    assert "within a point of the dense network up to 90%; at 99% it ends 3.0 points below" in text
    assert "A repair before it changes that by -0.2 points." in text
    assert "retrained 95.0 %, repaired and retrained 94.8 %" in text


def test_sizes_are_told_with_what_is_left_and_with_all_controls():
    kinds = ("retrained", "repaired", "repaired, retrained")
    ways = [("from scratch", "trained"), *(("unit", kind) for kind in kinds)]
    ways += [("greedy unit", kind) for kind in kinds] + [("weight", "repaired, retrained")]
    rows = [(m, t, 0.9, 0.9 + i / 100) for i, (m, t) in enumerate(ways)]
    table = pd.DataFrame(rows, columns=["method", "treatment", "sparsity", "accuracy"])
    about = {"parameters": 2000.4, "stage": "retrained", "dataset": "digits", "seed": 0}
    assert findings.of_sizes(table.assign(**about)).splitlines()[2:] == [
        "* Cut from a large network (greedy, both), against that size from scratch: +6.0 points at "
        "90%.",
        "* Without 90% of the units, 2,000 weights left: 90.0 % from scratch; by norm 91.0 % "
        "retrained, 92.0 % repaired, 93.0 % both; chosen greedily 94.0 % retrained, 95.0 % "
        "repaired, 96.0 % both.",
        "* Without 90% of the weights, 2,000 left: 97.0 % repaired and retrained.",
    ]


def test_times_are_told_over_the_fastest_dense_network_and_marked_where_they_scatter():
    rows = [("dense", 0.0, 1, 1.0, 1.0, True), ("shrunk", 0.9, 100, 3.21, 9.0, False)]
    rows += [("shrunk", 0.9, 1, 12.3, 9.0, True), ("masked", 0.9, 1, 0.1, 0.98, True)]
    names = ["stage", "sparsity", "batch_size", "speed_up_fastest", "speed_up", "steady_ratios"]
    slow = pd.DataFrame({"median_ms": [20.0, 2.0], "batch_size": 64})
    text = findings.of_times(pd.DataFrame(rows, columns=names).assign(accuracy=0.97), slow)
    assert "25% of all" in text
    assert "* Units cut out: 90% (97.0% right) 12x for 1 at once and ~3.2x for 100 at once." in text
    assert "* Zeros that are multiplied: 90% (97.0% right) 0.98x for 1 at once." in text
    assert "* tf.sparse, 64 at once: 0.1x TensorFlow's dense products." in text
    some = pd.DataFrame(rows[:2], columns=names).assign(accuracy=0.97)
    alone = findings.of_times(some)
    assert "tf.sparse" not in alone and "multiplied" not in alone and "Units cut out" in alone


@pytest.mark.parametrize(("asked", "near"), [(0.9, "0.9"), (0.6, "0.5"), (1.0, "0.9")])
def test_at_tells_each_name_at_the_nearest_sparsity(asked, near):
    text = findings.at(SWEEP, ["method"], asked)
    assert f"At a sparsity of {near}:" in text
    assert text.count("\n* ") == 2 and "\n* unit: " in text
