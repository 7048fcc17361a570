"""Measure what the claims are about: accuracies by seed, times and bytes.

Intervals of times are the quartiles over turns, in which the networks were timed one after another;
that of a ratio of two ratios is as wide as their intervals allow.
"""

import numpy as np

from evidence.claims.verdicts import Measured, over_seeds
from pruninglib.experiments.tables import plateau as of_table

MEASURED = "mnist"  # the dataset whose images the networks were timed on


def rows(tables, name, dataset, **columns):
    """Return the rows of a table with these values; raise LookupError if there are none."""
    table = tables[name]
    for column, value in {"dataset": dataset, **columns}.items():
        close = np.isclose(table[column], value) if isinstance(value, float) else False
        table = table[close | (table[column] == value)]
    if table.empty:
        raise LookupError(f"{name} has no rows with dataset {dataset}, {columns}.")
    return table


def accuracy(tables, name, dataset, sparsity, **columns):
    """Return the accuracies at a sparsity, by seed."""
    found = rows(tables, name, dataset, sparsity=float(sparsity), **columns)
    if not found["seed"].is_unique:
        what = f"dataset {dataset}, {sparsity=}, {columns}"
        raise ValueError(f"{name} has a seed twice, with {what}.")
    return found.set_index("seed")["accuracy"]


def pruned(tables, dataset, method, sparsity, epochs, rate=1e-3):
    """Return the accuracy of pruned networks, by seed, after a training of these epochs."""
    how = {"method": method, "epochs": epochs, "learning_rate": rate}
    return accuracy(tables, "sweep", dataset, sparsity, **how)


def gain(tables, dataset, method, sparsity, epochs, rate=1e-3):
    """Return the same minus that of the dense network."""
    found, dense = (pruned(tables, dataset, method, s, epochs, rate) for s in (sparsity, 0))
    return found - dense


def plateau(tables, dataset, method, epochs, rate=1e-3):
    """Return the sparsity from which on more than a point is lost, by seed."""
    how = {"method": method, "epochs": epochs, "learning_rate": rate}
    found = of_table(rows(tables, "sweep", dataset, **how))
    return found.set_index("seed")["sparsity"]


def recovered(tables, dataset, method, sparsity, iterations, mask="held"):
    """Return the accuracy of retrained networks minus that of the dense one, by seed."""
    name = "weights" if method == "weight" else "units"
    how = {"method": method, "stage": "retrained", "iterations": iterations, "mask": mask}
    dense = accuracy(tables, name, dataset, 0, method=method, stage="pruned")
    return accuracy(tables, name, dataset, sparsity, **how) - dense


def sparsity_left(tables, dataset, sparsity, iterations, mask):
    """Return the sparsity after retraining, by seed."""
    how = {"stage": "retrained", "iterations": iterations, "mask": mask}
    found = rows(tables, "weights", dataset, sparsity=float(sparsity), **how)
    return found.set_index("seed")["measured_sparsity"]


def longer(tables, dataset, epochs, than):
    """Return the dense network's accuracy after a training minus that after a shorter one."""
    long, short = (pruned(tables, dataset, "weight", 0, count) for count in (epochs, than))
    return long - short


def weights_minus_units(tables, dataset, sparsity, epochs):
    weights, units = (
        pruned(tables, dataset, method, sparsity, epochs) for method in ("weight", "unit")
    )
    return weights - units


def from_97_to_99(tables, dataset, epochs=5):
    """Return the accuracy without 99 % of the units minus that without 97 %."""
    more, fewer = (pruned(tables, dataset, "unit", s, epochs) for s in (0.99, 0.97))
    return more - fewer


def more_variable(tables, dataset, epochs):
    """Return how far each seed's curve is from the mean curve, for units minus for weights."""
    units, weights = (_deviation(tables, dataset, name, epochs) for name in ("unit", "weight"))
    return units - weights


def _deviation(tables, dataset, method, epochs):
    how = {"method": method, "epochs": epochs, "learning_rate": 1e-3}
    table = rows(tables, "sweep", dataset, **how)
    table = table[table["sparsity"] > 0].pivot_table("accuracy", "sparsity", "seed")
    return table.sub(table.mean(axis=1), axis=0).abs().mean()


def plateau_at_the_lower_rate(tables, dataset, method, epochs=50):
    """Return the plateau at the rate 1e-5 minus that at 1e-3."""
    low, high = (plateau(tables, dataset, method, epochs, rate) for rate in (1e-5, 1e-3))
    return low - high


def light_gain(tables, dataset, rate, sparsities, epochs=50):
    """Return the mean over some sparsities of what pruning weights gains."""
    gains = [gain(tables, dataset, "weight", s, epochs, rate) for s in sparsities]
    return sum(gains) / len(gains)


def kurtosis(tables, dataset, layer, rate, epochs=50):
    """Return the excess kurtosis of a layer's weights, by seed."""
    found = rows(tables, "shapes", dataset, epochs=epochs, learning_rate=rate, layer=layer)
    return found.set_index("seed")["kurtosis"]


def more_small_weights(tables, dataset, epochs=5):
    """Return the share of small weights minus that of small column norms."""
    found = rows(tables, "shapes", dataset, epochs=epochs, learning_rate=1e-3)
    means = found.groupby("seed")[["small_weights", "small_norms"]].mean()
    return means["small_weights"] - means["small_norms"]


def speed_up(tables, dataset, stage, sparsity, batch_size, runtime=None, over="speed_up_fastest"):
    """Return the largest speed-up over the dense network."""
    how = {"runtime": runtime} if runtime else {}
    found = rows(
        tables, "times", MEASURED, stage=stage, sparsity=sparsity, batch_size=batch_size, **how
    )
    best = found.loc[found[over].idxmax()]
    return Measured(*(float(best[f"{over}{end}"]) for end in ("", "_q1", "_q3")))


def of_tf_sparse(tables, dataset, sparsity):
    """Return the speed-up of tf.sparse over TensorFlow's dense products, batches of 64."""
    row = rows(tables, "tf_sparse", MEASURED, sparsity=sparsity).iloc[0]
    return Measured(*(float(row[name]) for name in ("speed_up", "speed_up_q1", "speed_up_q3")))


def growth_of_tf_sparse(tables, dataset):
    """Return its speed-up at 99 % of zeros over that at 50 %."""
    return _ratio(*(of_tf_sparse(tables, dataset, sparsity) for sparsity in (0.99, 0.5)))


def sparse_over_shrunk(tables, dataset, sparsity, batch_size):
    """Return the time of sparse over that of shrunk networks, each in its fastest runtime."""
    how = {"sparsity": sparsity, "batch_size": batch_size}
    return _ratio(*(speed_up(tables, dataset, stage, **how) for stage in ("shrunk", "sparse")))


def _ratio(one, other):
    """Return the ratio of two measured values, its interval as wide as theirs allow."""
    return Measured(one.value / other.value, one.low / other.high, one.high / other.low)


def at_equal_accuracy(tables, dataset, batch_size=10_000, tolerance=0.01):
    """Return the speed-up with the most units gone that cost no more, after 1000 iterations.

    What they cost lies within the tolerance with its whole interval.
    """
    kept = [0.0]
    for sparsity in sorted(set(rows(tables, "units", dataset)["sparsity"]) - {0.0}):
        if over_seeds(recovered(tables, dataset, "unit", sparsity, 1000)).low >= -tolerance:
            kept.append(sparsity)
    stage = "shrunk" if kept[-1] else "dense"
    return speed_up(tables, dataset, stage, kept[-1], batch_size, "compiled", "speed_up")


def time_after_retraining(tables, dataset):
    """Return the time of shrunk networks after retraining over that before.

    Median and quartiles over sparsities and batch sizes.
    """
    times = rows(tables, "times", MEASURED, runtime="compiled")
    found = times.pivot_table("speed_up", ["sparsity", "batch_size"], "stage")
    ratios = (found["shrunk"] / found["shrunk, retrained"]).dropna()
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    return Measured(float(middle), float(low), float(high))


def share_of_bytes(tables, dataset, sparsity):
    """Return the bytes of a weight-pruned network's file over those of the dense one's."""
    sparse, dense = (
        rows(tables, "bytes", MEASURED, method="weight", sparsity=s)[".npz"].iloc[0]
        for s in (sparsity, 0.0)
    )
    share = float(sparse / dense)
    return Measured(share, share, share)
