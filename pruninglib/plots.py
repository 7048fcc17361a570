"""One function for each kind of figure: a table in, axes out. They train, read and show nothing.

Weights are vermillion circles, units blue squares, told apart without colour too.
"""

import numpy as np

STYLE = {
    "weight": {"color": "#D55E00", "marker": "o", "linestyle": "-"},
    "unit": {"color": "#0072B2", "marker": "s", "linestyle": "--"},
    "greedy unit": {"color": "#009E73", "marker": "D", "linestyle": "-."},
    "random weight": {"color": "#E69F00", "marker": "^", "linestyle": ":"},
    "random unit": {"color": "#56B4E9", "marker": "v", "linestyle": ":"},
}
FREE = {"color": "0.55", "marker": "*", "linestyle": "-."}
STAGES = {
    "masked": {"color": "0.5", "marker": "x", "linestyle": ":"},
    "shrunk": STYLE["unit"],
    "retrained": {"color": "#009E73", "marker": "D", "linestyle": "-."},
}
PRUNED = {"color": "0.3", "marker": "x", "linestyle": ":"}
REPAIRED = {"color": "#009E73", "marker": "D", "linestyle": "-."}
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


def mask_grid(values, mask, ax, title=""):
    """Draw a small kernel as a grid of numbers; pruned entries are grey."""
    ax.imshow(mask, cmap="gray", vmin=-4, vmax=1)
    for row, column in np.ndindex(*values.shape):
        color = "black" if mask[row, column] else "0.5"
        ax.text(column, row, f"{values[row, column]:.1f}", ha="center", va="center", color=color)
    ax.set(title=title, xticks=[], yticks=[], xlabel="units", ylabel="inputs")
    return ax


def network(kernels, ax, title=""):
    """Draw a small network: a line for each weight that is not zero, a dot for each unit.

    Units without any incoming weight are hollow. Args: kernels, arrays (inputs, units).
    """
    sizes = [kernels[0].shape[0], *(kernel.shape[1] for kernel in kernels)]
    heights = [np.linspace(1, 0, size + 2)[1:-1] for size in sizes]
    for layer, kernel in enumerate(kernels):
        for i, j in zip(*np.nonzero(kernel), strict=True):
            ax.plot([layer, layer + 1], [heights[layer][i], heights[layer + 1][j]], c="0.7", lw=0.6)
    for layer, y in enumerate(heights):
        alive = np.ones(len(y), bool) if layer == 0 else kernels[layer - 1].any(axis=0)
        colors = np.where(alive, "black", "white")
        ax.scatter(np.full(len(y), layer), y, s=45, c=colors, edgecolors="0.5", zorder=3)
    ax.set_title(title)
    ax.set_axis_off()
    return ax


def histogram(values, ax, title="", **style):
    """Draw the density of many numbers, such as the weights of a layer or its column norms."""
    ax.hist(np.ravel(values), bins=60, density=True, histtype="stepfilled", alpha=0.5, **style)
    ax.set(title=title, yticks=[])
    return ax


def recovery(table, ax, y="accuracy"):
    """Draw pruned, repaired and retrained accuracy against sparsity, one curve for each training.

    Args:
        table: rows of `recovery_sweep`, some of them retrained.
        y: column to draw, such as "accuracy".
    """
    style = STYLE.get(table["method"].iloc[0], {"marker": "d"})
    for stage, look in {"pruned": PRUNED, "repaired": REPAIRED}.items():
        if len(rows := table[table["stage"] == stage]):
            curve(rows, "sparsity", y, ax, stage, **look)
    retrained = table[table["stage"] == "retrained"]
    counts = sorted(retrained["iterations"].unique(), reverse=True)
    for (start, mask, count, share), rows in retrained.groupby(
        ["start", "mask", "iterations", "distillation"], sort=False
    ):
        alpha = 1 - 0.5 * counts.index(count) / len(counts)
        label = f"{'distilled' if share else 'retrained'} {count:.0f} iterations"
        if start != "pruned":
            curve(rows, "sparsity", y, ax, f"{start}, {label}", **BOTH, alpha=alpha)
        elif mask == "held":
            curve(rows, "sparsity", y, ax, label, **style, alpha=alpha)
        else:
            curve(rows, "sparsity", y, ax, f"{label}, mask free", **FREE, alpha=alpha)
    ax.set(xlabel="sparsity", ylabel=y)
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def speed_up(table, batch_size, ax):
    """Draw measured speed-ups at one batch size against sparsity, beside the ratio of MACs.

    Args:
        table: rows of `timing_sweep`.
    """
    for stage, style in STAGES.items():
        rows = table[table["stage"] == stage]
        curve(rows, "sparsity", f"speed_up_{batch_size}", ax, stage, **style)
    ratio = table[table["stage"] == "shrunk"].groupby("sparsity")["macs_ratio"].mean()
    ax.plot(ratio.index, ratio, color="black", linewidth=0.8, label="ratio of MACs")
    ax.set(xlabel="unit sparsity", ylabel="speed-up", yscale="log", title=f"batch {batch_size:,}")
    ax.grid(alpha=0.3)
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
    for _, row in theirs.iterrows():
        ax.plot(row["weights"], row["test_error"], "x", color="0.4")
        text = f"{row['method']}, {row['source'].split(' appendix')[0]}"
        ax.annotate(text, (row["weights"], row["test_error"]), fontsize=7, color="0.4")
    ax.set(xlabel="weights left", ylabel="error", xscale="log", yscale="log")
    ax.grid(alpha=0.3, which="both")
    ax.legend()
    return ax
