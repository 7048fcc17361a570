"""Figures of the experiment on time. A table in, axes out, as in `plots`.

What was not steady, its quartiles too far apart or not at rest, is drawn hollow; between the
quartiles of ratios it is shaded.
"""

from pruninglib.plots import STYLE

RUNTIMES = {
    "compiled": {"color": "#0072B2", "marker": "s", "linestyle": "--"},
    "NumPy": {"color": "#E69F00", "marker": "^", "linestyle": ":"},
    "LiteRT": {"color": "#009E73", "marker": "D", "linestyle": "-."},
    "ONNX Runtime": {"color": "#CC79A7", "marker": "v", "linestyle": "-"},
    "sparse (numba)": {"color": "#D55E00", "marker": "o", "linestyle": "-"},
    "sparse (scipy)": {"color": "#56B4E9", "marker": "P", "linestyle": ":"},
}
STAGES = {
    "dense": {"color": "black", "marker": "*", "linestyle": "none", "markersize": 11},
    "masked": {"color": "0.5", "marker": "x", "linestyle": ":"},
    "sparse": {"color": "#E69F00", "marker": "^", "linestyle": ":"},
    "sparse, retrained": STYLE["weight"],
    "shrunk": {"color": "#56B4E9", "marker": "v", "linestyle": ":"},
    "shrunk, repaired": {"color": "#009E73", "marker": "D", "linestyle": "-."},
    "shrunk, retrained": STYLE["unit"],
}


def break_even(table, batch_size, ax):
    """Draw how much faster sparse runtimes are than the fastest dense one, against sparsity.

    Args:
        table: rows of `timing_sweep`.
    """
    rows = table[(table["stage"] == "sparse") & (table["batch_size"] == batch_size)]
    ax.axhline(1, color="black", linewidth=0.8, label="fastest dense runtime")
    for runtime, points in rows.groupby("runtime", sort=False):
        _curve(points, "sparsity", "speed_up_fastest", ax, runtime)
    ax.set(xlabel="sparsity of the weights", ylabel="speed-up", title=f"batch {batch_size:,}")
    return _logarithmic(ax, "y")


def speed_up(table, batch_size, ax):
    """Draw speed-ups of shrunk networks over the dense one in the same runtime, against MACs.

    Args:
        table: rows of `timing_sweep`.
    """
    rows = table[(table["stage"] == "shrunk") & (table["batch_size"] == batch_size)]
    fewer = table.loc[table["stage"] == "dense", "macs"].iloc[0] / rows["macs"]
    ends = [fewer.min(), fewer.max()]
    ax.plot(ends, ends, color="black", linewidth=0.8, label="as many as MACs")
    for runtime, points in rows.assign(fewer=fewer).groupby("runtime", sort=False):
        _curve(points, "fewer", "speed_up", ax, runtime)
    ax.set(xlabel="times fewer MACs", ylabel="speed-up", title=f"batch {batch_size:,}")
    return _logarithmic(ax, "both")


def accuracy_against_time(table, ax):
    """Draw accuracies against milliseconds, one curve for each stage, one point a sparsity.

    Args:
        table: rows with the columns stage, sparsity, accuracy, median_ms and steady.
    """
    for stage, rows in table.groupby("stage", sort=False):
        style = {"markersize": 5, **STAGES[stage]}
        ax.plot(rows["median_ms"], rows["accuracy"], label=stage, **style)
        _hollow(rows, "median_ms", "accuracy", ax, style)
    ax.set(xlabel="milliseconds for one batch", ylabel="accuracy")
    ax.legend(fontsize=8)
    return _logarithmic(ax, "x")


def _curve(rows, x, y, ax, runtime):
    style = {"markersize": 4, **RUNTIMES.get(runtime, {"marker": "d"})}
    (line,) = ax.plot(rows[x], rows[y], label=runtime, **style)
    band = rows[f"{y}_q1"], rows[f"{y}_q3"]
    ax.fill_between(rows[x], *band, color=line.get_color(), alpha=0.2, linewidth=0)
    _hollow(rows, x, y, ax, style, "steady_ratios")


def _hollow(rows, x, y, ax, style, steady="steady"):
    unsteady = rows[~rows[steady].astype(bool)]
    ax.plot(unsteady[x], unsteady[y], **style | {"linestyle": "none", "markerfacecolor": "white"})


def _logarithmic(ax, axis):
    if axis in ("x", "both"):
        ax.set_xscale("log")
    if axis in ("y", "both"):
        ax.set_yscale("log")
    for each in (ax.xaxis, ax.yaxis):
        if each.get_scale() == "log":
            each.set_major_formatter("{x:g}")
    ax.grid(alpha=0.3)
    return ax
