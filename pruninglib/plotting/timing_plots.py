"""Figures of the experiment on time. A table in, axes out, as in `plots`.

What was not steady, its quartiles too far apart or not at rest, is drawn hollow; between the
quartiles of ratios it is shaded.
"""

from pruninglib.plotting.curves import STYLE
from pruninglib.plotting.quantities import set_axes

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


def break_even(table, batch_size, ax):
    """Draw how much faster sparse runtimes are than the fastest dense one, against sparsity.

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
    """Draw speed-ups of shrunk networks over the dense one in the same runtime, against MACs.

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
    """Draw accuracies against milliseconds, one curve for each stage, one point a sparsity.

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
