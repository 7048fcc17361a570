"""Summarise the rows of sweeps over seeds, and read published results."""

import numpy as np
import pandas as pd

from pruninglib.experiments.paths import PUBLISHED

# The columns that tell the networks of a table apart
NETWORK = ("dataset", "scope", "epochs", "learning_rate", "seed", "method")

# What the methods of a sweep are called in words
NOUNS = {
    "weight": "weights",
    "unit": "units by norm",
    "greedy unit": "units, greedy",
    "random weight": "weights at random",
    "random unit": "units at random",
    "unit, retrained": "units by norm, retrained",
    "unit, repaired, retrained": "units by norm, repaired and retrained",
    "greedy unit, repaired, retrained": "units, greedy, repaired and retrained",
    "weight, repaired, retrained": "weights, repaired and retrained",
    "from scratch, trained": "from scratch",
}


def percent(shares, digits=1):
    """Return the mean and sample standard deviation of shares, one for each seed, as text.

    Args:
        shares: a number, list or Series of shares in [0, 1]; of a single one, the mean alone.
        digits: decimal places.

    >>> percent(pd.Series([0.97, 0.98, 0.99]))
    '98.0 ± 1.0 %'
    """
    shares = pd.Series(shares)  # a single seed may come as a number
    spread = f" ± {100 * shares.std():.{digits}f}" if len(shares) > 1 else ""
    return f"{100 * shares.mean():.{digits}f}{spread} %"


def treatments(table):
    """Return what each row's network went through, as a Series of words.

    These are "pruned", "merged", "repaired"; "retrained" or, with the dense network's outputs,
    "distilled", after "repaired, " where it was repaired, and before ", mask free" where the mask
    was not held. Where a table has several numbers of iterations, the number follows.

    Args:
        table: DataFrame of the rows of `recovery_sweep`.
    """
    trained = table["stage"] == "retrained"
    empty = pd.Series("", table.index)
    if not trained.any():
        return table["stage"]
    start = empty.where(table["start"] == "pruned", table["start"] + ", ")
    free = empty.where(table["mask"] != "free", ", mask free")
    how = pd.Series("retrained", table.index).where(~(table["distillation"] > 0), "distilled")
    count = table["iterations"].where(trained)
    several = len(count.dropna().unique()) > 1
    number = " " + count.fillna(0).astype(int).astype(str) if several else empty
    return (start + how + number + free).where(trained, table["stage"])


def gain_over_dense(table):
    """Return each row's accuracy minus that of the same network and method at sparsity 0.

    Args:
        table: DataFrame of the rows of `prune_sweep`, sparsity 0 among them.

    Returns a Series, in shares: 0.01 is one point.
    """
    keys = [key for key in NETWORK if key in table]
    dense = table[table["sparsity"] == 0].set_index(keys)["accuracy"]
    return table["accuracy"] - table.set_index(keys).index.map(dense)


def plateau(table, tolerance=0.01):
    """Return a DataFrame of the sparsity up to which the accuracy is kept, by network and method.

    Args:
        table: DataFrame of the rows of `prune_sweep`, sparsity 0 among them.
        tolerance: accuracy that may be lost, as a share: 0.01 is one point.

    Between the last level that keeps it and the next one, the sparsity is interpolated.
    """
    keys = [key for key in NETWORK if key in table]
    lost = table.assign(lost=-gain_over_dense(table))
    found = lost.groupby(keys, sort=False)[["sparsity", "lost"]].apply(_crossing, tolerance)
    return found.rename("sparsity").reset_index()


def _crossing(curve, tolerance):
    """Return the sparsity at which what is lost exceeds the tolerance for good."""
    curve = curve.sort_values("sparsity")
    rounding = 1e-9  # 0.98 - 0.97 is a little more than 0.01
    last = np.flatnonzero(curve["lost"] <= tolerance + rounding)[-1]
    ends = curve.iloc[last : last + 2]
    return float(np.interp(tolerance, ends["lost"], ends["sparsity"]))


COLUMNS = {
    "accuracy_curves": "source dataset method scope stage sparsity accuracy uncertainty kind",
    "claims": "id source claim how_to_measure published",
    "frontier": "network dataset kind kept_share weights architecture test_error method reported "
    "source",
    "timings": "source method sparsity quantity value",
}


def published(name):
    """Return a DataFrame of published results, from the checkout's folder data/published.

    Without a checkout the table is empty, and a printed sentence says so.

    Args:
        name: "accuracy_curves", "claims", "frontier" or "timings", else ValueError.
    """
    if name not in COLUMNS:
        raise ValueError(f"Unknown table {name!r}; expected one of {list(COLUMNS)}.")
    path = PUBLISHED / f"{name}.csv"
    if path.exists():
        return pd.read_csv(path)
    print(f"Published results are left out: {path} is not there. They come with a checkout.")
    return pd.DataFrame(columns=COLUMNS[name].split(), dtype=object)
