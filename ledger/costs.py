"""What the claims on time and bytes are about, measured.

Intervals are the quartiles over turns, in which the networks were timed one after another, or, for
a ratio of such ratios, as wide as theirs allow.
"""

import numpy as np

from ledger.measures import recovered, rows
from ledger.verdicts import Measured, over_seeds

MEASURED = "mnist"  # the dataset whose images the networks were timed on


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
