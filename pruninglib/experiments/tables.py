"""Summarise the rows of sweeps over seeds, and read published results."""

import pandas as pd

from pruninglib.experiments.paths import PUBLISHED

# The columns that tell the networks of a table apart
NETWORK = ("dataset", "scope", "learning_rate", "seed", "method")


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
    """Return a DataFrame of the largest sparsity that keeps the accuracy, by network and method.

    Args:
        table: DataFrame of the rows of `prune_sweep`, sparsity 0 among them.
        tolerance: accuracy that may be lost, as a share: 0.01 is one point.
    """
    keys = [key for key in NETWORK if key in table]
    rounding = 1e-9  # 0.97 - 0.98 is a little less than -0.01
    kept = table[gain_over_dense(table) >= -tolerance - rounding]
    return kept.groupby(keys, sort=False)["sparsity"].max().reset_index()


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
