"""One function for each kind of figure: a table in, axes out. They train, read and show nothing.

Weights are vermillion circles, units blue squares, told apart without colour too.
"""

STYLE = {
    "weight": {"color": "#D55E00", "marker": "o", "linestyle": "-"},
    "unit": {"color": "#0072B2", "marker": "s", "linestyle": "--"},
    "greedy unit": {"color": "#009E73", "marker": "D", "linestyle": "-."},
    "random weight": {"color": "#E69F00", "marker": "^", "linestyle": ":"},
    "random unit": {"color": "#56B4E9", "marker": "v", "linestyle": ":"},
}
FREE = {"color": "0.55", "marker": "*", "linestyle": "-."}
PRUNED = {"color": "0.3", "marker": "x", "linestyle": ":"}
REPAIRED = {"color": "#009E73", "marker": "D", "linestyle": "-."}
DISTILLED = {"color": "#56B4E9", "marker": "v", "linestyle": "--"}
BOTH = {"color": "#CC79A7", "marker": "P", "linestyle": "-"}
BEHIND = {"linewidth": 0.8, "alpha": 0.45, "zorder": 0}


def curve(table, x, y, ax, label=None, **style):
    """Draw the mean of column `y` against column `x`, with a band of one standard deviation.

    The spread is over the rows that share an x, one for each seed.
    """
    groups = table.groupby(x)[y]
    mean, spread = groups.mean(), groups.std(ddof=1).fillna(0)
    (line,) = ax.plot(mean.index, mean, label=label, **{"markersize": 4, **style})
    low, high = mean - spread, mean + spread
    ax.fill_between(mean.index, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    return ax


def methods(table, ax, y="accuracy", x="sparsity"):
    """Draw one curve for each value of the column `method`."""
    for method, rows in table.groupby("method", sort=False):
        curve(rows, x, y, ax, label=method, **STYLE.get(method, {"marker": "d"}))
    ax.set(xlabel=x, ylabel=y)
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def sensitivity(table, ax, y="accuracy"):
    """Draw one curve for each layer that was pruned alone, from light (first) to dark (last)."""
    layers = table["layer"].drop_duplicates()
    for i, name in enumerate(layers):
        shade = str(0.75 * (1 - i / max(1, len(layers) - 1)))
        marker = "osDv^P*X"[i % 8]
        curve(table[table["layer"] == name], "sparsity", y, ax, name, color=shade, marker=marker)
    ax.set(xlabel="sparsity of this layer alone", ylabel=y)
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def published(table, ax):
    """Draw the curves of other projects thin and pale, behind ours; one legend entry a method."""
    for method, curves in table.groupby("method", sort=False):
        label = f"{method}, published"
        color = STYLE.get(method, {}).get("color", "0.5")
        for _, rows in curves.groupby(["source", "stage", "kind"], sort=False):
            rows = rows.sort_values("sparsity")
            ax.plot(rows["sparsity"], rows["accuracy"], label=label, color=color, **BEHIND)
            label = None
    ax.legend()
    return ax


def recovery(table, ax, y="accuracy", x="sparsity"):
    """Draw pruned, repaired and retrained accuracy against `x`, one curve for each training.

    Args:
        table: rows of `recovery_sweep`, some of them retrained.
        y, x: columns to draw, such as "accuracy" against "sparsity".
    """
    style = STYLE.get(table["method"].iloc[0], {"marker": "d"})
    for stage, look in {"pruned": PRUNED, "repaired": REPAIRED}.items():
        if len(rows := table[table["stage"] == stage]):
            curve(rows, x, y, ax, stage, **look)
    retrained = table[table["stage"] == "retrained"]
    counts = sorted(retrained["iterations"].unique(), reverse=True)
    for (start, mask, count, share), rows in retrained.groupby(
        ["start", "mask", "iterations", "distillation"], sort=False
    ):
        alpha = 1 - 0.5 * counts.index(count) / len(counts)
        label = f"{'distilled' if share else 'retrained'} {count:.0f} iterations"
        if start != "pruned":
            curve(rows, x, y, ax, f"{start}, {label}", **BOTH, alpha=alpha)
        elif mask == "free":
            curve(rows, x, y, ax, f"{label}, mask free", **FREE, alpha=alpha)
        else:
            curve(rows, x, y, ax, label, **(DISTILLED if share else style), alpha=alpha)
    ax.set(xlabel=x, ylabel=y)
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def frontier(ours, theirs, ax):
    """Draw errors against the number of weights left, and single published results as crosses.

    Args:
        ours: rows with columns sparsity, weights and error, one for each seed.
        theirs: rows with columns weights, test_error, method and source; may be empty.
    """
    # at exactly the same sparsity one seed may have lost a weight more than another
    weights = ours.groupby("sparsity")["weights"].transform("mean")
    curve(ours.assign(weights=weights), "weights", "error", ax, "measured", **STYLE["weight"])
    for i, (_, row) in enumerate(theirs.sort_values("weights").iterrows()):
        ax.plot(row["weights"], row["test_error"], "x", color="0.4", markersize=4)
        ax.annotate(
            row["method"],
            (row["weights"], row["test_error"]),
            ha="right" if row["weights"] > weights.median() else "left",
            va="bottom" if i % 2 else "top",  # by turns, so that neighbours can be read
            fontsize=7,
            color="0.4",
        )
    ax.set(xlabel="weights left", ylabel="error", xscale="log")
    counts = weights.unique()
    ax.set_xticks(counts, [f"{count:,.0f}" for count in counts], fontsize=8)
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:.2%}")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax
