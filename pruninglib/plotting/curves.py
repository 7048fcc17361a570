"""Draw curves from tables: each function takes a DataFrame and axes, and returns the axes.

None trains, reads or shows anything. The same thing has the same colour and marker in all figures,
and what is published is grey. Unsteady times are hollow markers; quartiles of speed-ups are bands.
"""

import re
from collections import Counter

from pruninglib.experiments.tables import NOUNS
from pruninglib.plotting.style import set_axes

WEIGHT = {"color": "#D55E00", "marker": "o", "linestyle": "-"}
UNIT = {"color": "#0072B2", "marker": "s", "linestyle": "--"}
GREEDY = {"color": "#3B9AD0", "marker": "D", "linestyle": "-."}
REPAIRED = {"color": "#009E73", "marker": "^", "linestyle": "-."}
HELD = {"color": "#A8487F", "marker": "P", "linestyle": "-"}
BOTH = {"color": "#6A3D00", "marker": "v", "linestyle": "--"}
AWARE = {"color": "#D0A000", "marker": "h", "linestyle": "-."}
SCRATCH = {"color": "black", "marker": "*", "linestyle": ":"}
STYLE = {
    "weight": WEIGHT,
    "unit": UNIT,
    "greedy unit": GREEDY,
    "random weight": {"color": "#E0A070", "marker": "x", "linestyle": ":"},
    "random unit": {"color": "#80B0D0", "marker": "+", "linestyle": ":"},
    "from scratch": SCRATCH,
    "unit, retrained": UNIT | {"markerfacecolor": "white", "linestyle": ":"},
    "unit, repaired, retrained": UNIT,
    "greedy unit, repaired, retrained": GREEDY,
    "weight, repaired, retrained": WEIGHT,
    "from scratch, trained": SCRATCH,
    "pruned": WEIGHT,
    "repaired": REPAIRED,
    "retrained": HELD,
    "retrained, mask free": {"color": "0.45", "marker": "X", "linestyle": ":"},
    "repaired, retrained": BOTH,
    "distilled": {"color": "#B07700", "marker": "p", "linestyle": ":"},
    "repaired, distilled": {"color": "#D0A000", "marker": "h", "linestyle": "-."},
    "merged": {"color": "#5D8A00", "marker": "<", "linestyle": ":"},
    "magnitude": WEIGHT,
    "norm": UNIT,
    "greedy": GREEDY,
    "random": {"color": "0.5", "marker": "x", "linestyle": ":"},
    "Taylor": {"color": "#5D8A00", "marker": "<", "linestyle": ":"},
    "activation-aware": AWARE,
    "repaired, magnitude": WEIGHT,
    "repaired, activation-aware": AWARE,
    "at once, repaired": REPAIRED,
    "rewound": {"color": "#A8487F", "marker": "P", "linestyle": "--"},
    "dense": {"color": "black", "marker": "*", "linestyle": "none", "markersize": 11},
    "masked": {"color": "0.5", "marker": "X", "linestyle": "none", "markersize": 9},
    "sparse": WEIGHT,
    "shrunk": UNIT,
}
PALER = (  # the first, second and third of names that differ in a number alone
    {},
    {"markerfacecolor": "white", "alpha": 0.75},
    {"fillstyle": "bottom", "markerfacecoloralt": "white", "alpha": 0.5},
)
BEHIND = {"color": "0.6", "zorder": 0}
CROSSES = ("x", "+", "1", "2", "3", "4", (5, 2), (6, 2))  # for published results, by method
RUNTIMES = {
    "compiled": {"color": "#0072B2", "marker": "s", "linestyle": "--"},
    "NumPy": {"color": "#B07700", "marker": "^", "linestyle": ":"},
    "LiteRT": {"color": "#009E73", "marker": "D", "linestyle": "-."},
    "ONNX Runtime": {"color": "#A8487F", "marker": "v", "linestyle": "-"},
    "sparse (numba)": {"color": "#D55E00", "marker": "o", "linestyle": "-"},
    "sparse (scipy)": {"color": "#3B9AD0", "marker": "P", "linestyle": ":"},
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


def methods(table, ax, y="accuracy", x="sparsity", by="method"):
    """Draw one curve for each value of the column `by`, in order of appearance, with its mean `x`.

    Seeds may differ a little in what they have left, so that each point stands at their mean.
    Names that differ in a number alone, such as "retrained 500", get hollow markers and pale lines.
    """
    set_axes(ax, x, y)
    seen = Counter()
    for name, rows in table.groupby(by, sort=False):
        if x != "sparsity":
            rows = rows.assign(**{x: rows.groupby("sparsity")[x].transform("mean")})
        known = re.sub(r" \d+", "", str(name))
        style = STYLE.get(known, {"marker": "d"}) | PALER[min(seen[known], len(PALER) - 1)]
        seen[known] += known in STYLE
        curve(rows, x, y, ax, label=NOUNS.get(name, name), **style)
    return ax


def published(table, ax):
    """Draw published curves behind ours: for each method a grey area between its sources.

    Those of units are hatched. A single source is a line. Nothing is drawn from an empty table.
    """
    for method, rows in table.groupby("method", sort=False):
        curves = rows.pivot_table("accuracy", "sparsity", ["source", "kind", "stage"])
        curves = curves.interpolate(method="index", limit_area="inside")
        label = f"published: {NOUNS.get(method, method)}"
        if curves.shape[1] == 1:
            ax.plot(curves.index, curves.iloc[:, 0], linewidth=1, label=label, **BEHIND)
        else:
            look = BEHIND | {"alpha": 0.3, "linewidth": 0, "hatch": "//" * (method == "unit")}
            low, high = curves.min(axis=1), curves.max(axis=1)
            ax.fill_between(curves.index, low, high, label=label, **look)
    return ax


def tolerance(dense, ax, lost=0.01):
    """Draw a thin line at the accuracy `dense - lost`, one point below dense by default."""
    label = f"dense, minus {100 * lost:g} point"
    ax.axhline(dense - lost, color="black", linewidth=0.8, linestyle=(0, (6, 3)), label=label)
    return ax


def regrown(table, ax):
    """Draw an arrow from the sparsity asked for to the one measured, for each sparsity.

    Args:
        table: rows of networks whose masks were free, with both columns.
    """
    means = table.groupby("sparsity")[["measured_sparsity", "accuracy"]].mean()
    for asked, row in means.iterrows():
        ends = {
            "xy": (row["measured_sparsity"], row["accuracy"]),
            "xytext": (asked, row["accuracy"]),
        }
        arrow = {"arrowstyle": "->", "color": "0.6", "linewidth": 0.8}
        ax.annotate("", **ends, arrowprops=arrow)
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
    return _explained(ax, rows["steady_ratios"])


def speed_up(table, batch_size, ax):
    """Draw the speed-up of shrunk networks over the dense one in the same runtime, against MACs.

    Args:
        table: rows of `timing_sweep`.
    """
    rows = table[(table["stage"] == "shrunk") & (table["batch_size"] == batch_size)]
    fewer = table.loc[table["stage"] == "dense", "macs"].iloc[0] / rows["macs"]
    ends = [fewer.min(), fewer.max()]
    set_axes(ax, "fewer", "speed_up").set_title(f"batch {batch_size:,}")
    ax.plot(ends, ends, color="black", linewidth=0.8, label="ideal")
    for runtime, points in rows.assign(fewer=fewer).groupby("runtime", sort=False):
        _curve(points, "fewer", "speed_up", ax, runtime)
    return _explained(ax, rows["steady_ratios"])


def accuracy_against_time(table, ax):
    """Draw accuracy against milliseconds, a curve for each stage, a point for each sparsity.

    The sparsity stands beside the point.

    Hollow points are times that scatter; where there are any, the legend says so.

    Args:
        table: rows with the columns stage, sparsity, accuracy, median_ms and steady.
    """
    set_axes(ax, "median_ms", "accuracy")
    for stage, rows in table.groupby("stage", sort=False):
        style = STYLE.get(stage, {"marker": "d"})
        ax.plot(rows["median_ms"], rows["accuracy"], label=stage, **style)
        _hollow(rows, "median_ms", "accuracy", ax, style)
        for _, row in rows[rows["sparsity"] > 0].iterrows():
            place = {"xytext": (5, 4), "textcoords": "offset points", "fontsize": 8}
            ax.annotate(f"{row['sparsity']:.0%}", (row["median_ms"], row["accuracy"]), **place)
    return _explained(ax, table["steady"])


def _explained(ax, steady):
    """Say in the legend what hollow points are, if there are any."""
    if not steady.astype(bool).all():
        ax.plot([], [], "o", color="0.3", markerfacecolor="white", label="hollow: times scatter")
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
