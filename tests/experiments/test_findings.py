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


def test_recovery_is_told_beside_the_control_and_with_the_zeros_that_are_left():
    held = [("retrained", 0.98), ("repaired", 0.7), ("repaired, retrained", 0.99), ("pruned", 0.6)]
    rows = [(0.0, "retrained", "retrained", 0.97, 0.0), (0.0, "pruned", "pruned", 0.98, 0.0)]
    for s in (0.9, 0.99):
        rows += [(s, t.split(", ")[-1], t, a - s / 10, s) for t, a in held]
        rows.append((s, "retrained", "retrained, mask free", 0.95, s / 2))
    names = ["sparsity", "stage", "treatment", "accuracy", "measured_sparsity"]
    table = pd.DataFrame(rows, columns=names).assign(dataset="digits", seed=0)
    assert findings.of_recovery(table).splitlines() == [
        "On digits, one seed. Dense 98.0 %.",
        "",
        "* Pruned, it has 51.0 % at 90% and 50.1 % at 99%. Retrained with the mask held, 89.0 % at "
        "90% and 88.1 % at 99%; the dense network, retrained alike, 97.0 %.",
        "* With the mask free 95.0 % at 90% and 95.0 % at 99%, but then it is no longer sparse: "
        "zeros are 45.0 % at 90% and 49.5 % at 99%.",
        "* Repaired, without labels or training, 61.0 % at 90% and 60.1 % at 99%; retrained after "
        "that, 90.0 % at 90% and 89.1 % at 99%.",
    ]


def test_sizes_are_told_with_what_is_left_and_with_all_controls():
    kinds = ("retrained", "repaired", "repaired, retrained")
    ways = [("from scratch", "trained"), *(("unit", kind) for kind in kinds)]
    ways += [("greedy unit", kind) for kind in kinds] + [("weight", "repaired, retrained")]
    rows = [(m, t, 0.9, 0.9 + i / 100) for i, (m, t) in enumerate(ways)]
    table = pd.DataFrame(rows, columns=["method", "treatment", "sparsity", "accuracy"])
    about = {"parameters": 2000.4, "stage": "retrained", "dataset": "digits", "seed": 0}
    assert findings.of_sizes(table.assign(**about)).splitlines()[2:] == [
        "* Chosen greedily, repaired and retrained, it has 96.0 % at 90% of the units removed, "
        "2,000 weights left; trained from scratch at that size, 90.0 % at 90%.",
        "* Chosen by norm and retrained, as published projects did, 91.0 % at 90%; repaired "
        "before, 93.0 % at 90%. Chosen greedily and only retrained, 94.0 % at 90%.",
        "* Repaired and never trained again, by norm 92.0 % at 90%, greedily 95.0 % at 90%.",
        "* Weights pruned one by one, repaired and retrained, 97.0 % at 90%, 2,000 left.",
    ]


def test_times_are_told_over_the_fastest_dense_network_and_marked_where_they_scatter():
    rows = [("dense", 0.0, 1, 1.0, 1.0, True), ("shrunk", 0.9, 100, 3.21, 9.0, False)]
    rows += [("shrunk", 0.9, 1, 12.3, 9.0, True), ("masked", 0.9, 1, 0.1, 0.98, True)]
    names = ["stage", "sparsity", "batch_size", "speed_up_fastest", "speed_up", "steady_ratios"]
    slow = pd.DataFrame({"median_ms": [20.0, 2.0], "batch_size": 64})
    text = findings.of_times(pd.DataFrame(rows, columns=names).assign(accuracy=0.97), slow)
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
