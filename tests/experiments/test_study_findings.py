"""The sentences of the studies say what their tables say."""

import pandas as pd

from pruninglib.experiments import findings


def sweep(**curves):
    """Rows of a sweep of two seeds: {method: accuracies at 0, 50 and 90 %}."""
    rows = [
        {"method": method, "sparsity": s, "seed": seed, "accuracy": a - seed / 100}
        for method, curve in curves.items()
        for s, a in zip((0.0, 0.5, 0.9), curve, strict=True)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows).assign(dataset="mnist", stage="pruned")


def test_each_training_is_told_with_its_own_dense_network():
    short, long = sweep(weight=(0.9, 0.9, 0.88)), sweep(weight=(0.98, 0.96, 0.5))
    short = short.assign(epochs=5, learning_rate=1e-3, training="short")
    long = long.assign(epochs=50, learning_rate=1e-3, training="long")
    lines = findings.of_training(pd.concat([short, long])).splitlines()
    assert lines[0] == "On MNIST, 2 seeds, mean ± standard deviation.", "not one dense network"
    assert lines[2].startswith("* short: dense 89.5 ± 0.7 %; within one point of it without 70% of")
    assert lines[3].startswith("* long: dense 97.5 ± 0.7 %; within one point of it without 25% of")


def test_mistakes_are_told_where_they_change_most():
    right = sweep(unit=(0.98, 0.9, 0.5)).assign(mistake="none")
    relu = sweep(unit=(0.98, 0.6, 0.4)).assign(mistake="ReLU on the logits")
    regrown = pd.DataFrame(
        {"mask": [None, "held", "free"], "stage": ["pruned", "retrained", "retrained"]}
    ).assign(sparsity=0.9, measured_sparsity=[0.9, 0.9, 0.25], seed=0, dataset="mnist")
    times = pd.DataFrame([{"sparsity": 0.9, "first_ms": 50.0, "median_ms": 2.0}])
    text = findings.of_mistakes(pd.concat([right, relu]), regrown.assign(accuracy=0.9), times)
    assert "* ReLU on the logits: the accuracy is off by -30.0 points at a sparsity of 50%" in text
    assert "where it is most; 89.5 ± 0.7 % is right." in text
    assert "* Mask not held: of 90% zeros 25.0 % are left after retraining." in text
    assert "at 90% of zeros the first call takes 25 times as long as a later one." in text


def test_bytes_are_told_as_shares_of_the_dense_network_s_file():
    rows = [("weight", 0.0, 1000, 800), ("weight", 0.9, 1000, 100), ("unit", 0.5, 300, 250)]
    table = pd.DataFrame(rows, columns=["method", "sparsity", ".keras", ".npz"])
    text = findings.of_bytes(table)
    assert text.startswith("The dense network as Keras saves it takes 1,000 bytes.")
    assert "without weights: 10.0% at 90%." in text
    assert "25.0% at 50%." in text
