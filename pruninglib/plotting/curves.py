"""Draw curves from tables: each function takes a DataFrame and axes, and returns the axes.

None trains, reads or shows anything. Weights are vermilion circles, units blue squares, to be told
apart without colour, too. Unsteady times are hollow markers; quartiles of speed-ups are bands.
"""

from pruninglib.plotting.style import set_axes

STYLE = {
    "weight": {"color": "#D55E00", "marker": "o", "linestyle": "-"},
    "unit": {"color": "#0072B2", "marker": "s", "linestyle": "--"},
    "greedy unit": {"color": "#009E73", "marker": "D", "linestyle": "-."},
    "random weight": {"color": "#B07700", "marker": "^", "linestyle": ":"},
    "random unit": {"color": "#3B9AD0", "marker": "v", "linestyle": ":"},
}
FREE = {"color": "0.45", "marker": "*", "linestyle": "-."}
PRUNED = {"color": "0.2", "marker": "X", "linestyle": ":"}
REPAIRED = {"color": "#009E73", "marker": "D", "linestyle": "-."}
DISTILLED = {"color": "#3B9AD0", "marker": "v", "linestyle": "--"}
BOTH = {"color": "#A8487F", "marker": "P", "linestyle": "-"}
FILLS = (  # of markers, the most iterations first
    {},
    {"markerfacecolor": "white"},
    {"fillstyle": "bottom", "markerfacecoloralt": "white"},
)
BEHIND = {"linewidth": 0.8, "alpha": 0.45, "zorder": 0}
CROSSES = ("x", "+", "1", "2", "3", "4", (5, 2), (6, 2))  # for published results, by method
RUNTIMES = {
    "compiled": {"color": "#0072B2", "marker": "s", "linestyle": "--"},
    "NumPy": {"color": "#B07700", "marker": "^", "linestyle": ":"},
    "LiteRT": {"color": "#009E73", "marker": "D", "linestyle": "-."},
    "ONNX Runtime": {"color": "#A8487F", "marker": "v", "linestyle": "-"},
    "sparse (numba)": {"color": "#D55E00", "marker": "o", "linestyle": "-"},
    "sparse (scipy)": {"color": "#3B9AD0", "marker": "P", "linestyle": ":"},
}
STAGES = {
    "dense": {"color": "black", "marker": "*", "linestyle": "none", "markersize": 11},
    "masked": {"color": "0.5", "marker": "X", "linestyle": ":"},
    "sparse": {"color": "#B07700", "marker": "^", "linestyle": ":"},
    "sparse, retrained": STYLE["weight"],
    "shrunk": {"color": "#3B9AD0", "marker": "v", "linestyle": ":"},
    "shrunk, repaired": {"color": "#009E73", "marker": "D", "linestyle": "-."},
    "shrunk, retrained": STYLE["unit"],
}


def curve(table, x, y, ax, label=None, **style):
    """Draw the mean of column `y` against column `x`, with a band of one standard deviation.

    Both are over the rows with the same x, one for each seed.
    """
    groups = table.groupby(x)[y]
    mean, spread = groups.mean(), groups.std(ddof=1).fillna(0)
    (line,) = ax.plot(mean.index, mean, label=label, **style)
    low, high = mean - spread, mean + spread
    ax.fill_between(mean.index, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    return ax


def methods(table, ax, y="accuracy", x="sparsity"):
    """Draw one curve for each value of the column `method`."""
    set_axes(ax, x, y)
    for method, rows in table.groupby("method", sort=False):
        curve(rows, x, y, ax, label=method, **STYLE.get(method, {"marker": "d"}))
    return ax


def sensitivity(table, ax, y="accuracy"):
    """Draw the curve of each layer pruned alone, from light (first) to dark (last)."""
    set_axes(ax, "sparsity", y).set_xlabel("sparsity of this layer alone")
    layers = table["layer"].drop_duplicates()
    for i, name in enumerate(layers):
        shade = str(0.75 * (1 - i / max(1, len(layers) - 1)))
        marker = "osDv^P*X"[i % 8]
        curve(table[table["layer"] == name], "sparsity", y, ax, name, color=shade, marker=marker)
    ax.legend()
    return ax


def published(table, ax):
    """Draw published curves thin and pale, behind ours, in the colours of their methods.

    If there are any, a title at the right says so.
    """
    for (_, method, _, _), rows in table.groupby(["source", "method", "stage", "kind"], sort=False):
        rows, color = rows.sort_values("sparsity"), STYLE.get(method, {}).get("color", "0.5")
        ax.plot(rows["sparsity"], rows["accuracy"], color=color, **BEHIND)
    if len(table):
        ax.set_title("thin: published", loc="right", color="0.45", fontsize="small")
    return ax


def recovery(table, ax, y="accuracy", x="sparsity"):
    """Draw pruned, repaired and retrained accuracy against `x`, one curve for each training.

    The labels of retrained curves give the iterations.

    Args:
        table: rows of `recovery_sweep`, retrained ones among them.
        y, x: columns to draw, such as "accuracy" against "sparsity".
    """
    set_axes(ax, x, y)
    style = STYLE.get(table["method"].iloc[0], {"marker": "d"})
    for stage, look in {"pruned": PRUNED, "repaired": REPAIRED}.items():
        if len(rows := table[table["stage"] == stage]):
            curve(rows, x, y, ax, stage, **look)
    retrained = table[table["stage"] == "retrained"]
    counts = sorted(retrained["iterations"].unique(), reverse=True)
    for (start, mask, count, share), rows in retrained.groupby(
        ["start", "mask", "iterations", "distillation"], sort=False
    ):
        more = counts.index(count)
        fill = {"alpha": 1 - 0.5 * more / len(counts)} | FILLS[more % len(FILLS)]
        label = f"{'distilled' if share else 'retrained'} {count:.0f}"
        if start != "pruned":
            curve(rows, x, y, ax, f"{start}, {label}", **BOTH, **fill)
        elif mask == "free":
            curve(rows, x, y, ax, f"{label}, mask free", **FREE, **fill)
        else:
            curve(rows, x, y, ax, label, **(DISTILLED if share else style), **fill)
    return ax


def frontier(ours, theirs, ax):
    """Draw errors against the number of weights left, and published results as grey crosses.

    Args:
        ours: rows with columns sparsity, weights and error, one for each seed.
        theirs: rows with columns weights, test_error, method and source; may be empty.
    """
    set_axes(ax, "weights", "error")
    # at the same sparsity, seeds may differ by a weight or so
    weights = ours.groupby("sparsity")["weights"].transform("mean")
    curve(ours.assign(weights=weights), "weights", "error", ax, "measured", **STYLE["weight"])
    for i, (method, rows) in enumerate(theirs.groupby("method", sort=False)):
        cross = {"marker": CROSSES[i % len(CROSSES)], "markersize": 8, "color": "0.3"}
        ax.plot(rows["weights"], rows["test_error"], linestyle="none", label=method, **cross)
    counts = weights.unique()
    ax.set_xticks(counts, [f"{count:,.0f}" for count in counts])
    return ax


def explored(table, ax, y="accuracy", x="sparsity"):
    """Draw the rows of `explore` for one method: curves for each scope, pruned and repaired."""
    set_axes(ax, x, y)
    style = STYLE.get(table["method"].iloc[0], {"marker": "d"})
    looks = {"pruned": PRUNED, "repaired": style}
    scopes = list(table["scope"].drop_duplicates())
    for (stage, scope), rows in table.groupby(["stage", "scope"], sort=False):
        name = stage if len(scopes) == 1 else f"{stage}, {scope} scope"
        other = {"markerfacecolor": "white", "linestyle": "-."} if scopes.index(scope) else {}
        curve(rows, x, y, ax, name, **looks[stage] | other)
    return ax


def break_even(table, batch_size, ax):
    """Draw the speed-up of sparse runtimes over the fastest dense one, against sparsity.

    Args:
        table: rows of `timing_sweep`.
    """
    rows = table[(table["stage"] == "sparse") & (table["batch_size"] == batch_size)]
    set_axes(ax, "sparsity", "speed_up_fastest").set_title(f"batch {batch_size:,}")
    ends = [rows["sparsity"].min(), rows["sparsity"].max()]
    ax.plot(ends, [1, 1], color="black", linewidth=0.8, label="fastest dense runtime")
    for runtime, points in rows.groupby("runtime", sort=False):
        _curve(points, "sparsity", "speed_up_fastest", ax, runtime)
    return ax


def speed_up(table, batch_size, ax):
    """Draw the speed-up of shrunk networks over the dense one in the same runtime, against MACs.

    Args:
        table: rows of `timing_sweep`.
    """
    rows = table[(table["stage"] == "shrunk") & (table["batch_size"] == batch_size)]
    fewer = table.loc[table["stage"] == "dense", "macs"].iloc[0] / rows["macs"]
    ends = [fewer.min(), fewer.max()]
    set_axes(ax, "fewer", "speed_up").set_title(f"batch {batch_size:,}")
    ax.plot(ends, ends, color="black", linewidth=0.8, label="as many as MACs")
    for runtime, points in rows.assign(fewer=fewer).groupby("runtime", sort=False):
        _curve(points, "fewer", "speed_up", ax, runtime)
    return ax


def accuracy_against_time(table, ax):
    """Draw accuracy against milliseconds, a curve for each stage, a point for each sparsity.

    Args:
        table: rows with the columns stage, sparsity, accuracy, median_ms and steady.
    """
    set_axes(ax, "median_ms", "accuracy")
    for stage, rows in table.groupby("stage", sort=False):
        style = STAGES[stage]
        ax.plot(rows["median_ms"], rows["accuracy"], label=stage, **style)
        _hollow(rows, "median_ms", "accuracy", ax, style)
    return ax


def _curve(rows, x, y, ax, runtime):
    style = RUNTIMES.get(runtime, {"marker": "d"})
    (line,) = ax.plot(rows[x], rows[y], label=runtime, **style)
    band = rows[f"{y}_q1"], rows[f"{y}_q3"]
    ax.fill_between(rows[x], *band, color=line.get_color(), alpha=0.2, linewidth=0)
    _hollow(rows, x, y, ax, style, "steady_ratios")


def _hollow(rows, x, y, ax, style, steady="steady"):
    unsteady = rows[~rows[steady].astype(bool)]
    ax.plot(unsteady[x], unsteady[y], **style | {"linestyle": "none", "markerfacecolor": "white"})
