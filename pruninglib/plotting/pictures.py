"""Draw one network: its masks, its weights, its connections, and what is left of it."""

import numpy as np
from matplotlib.figure import Figure

from pruninglib.experiments.sweeps import levels
from pruninglib.plotting.curves import UNIT, WEIGHT, methods
from pruninglib.plotting.style import WIDTH, png
from pruninglib.pruning.criteria import unit_norm
from pruninglib.pruning.plan import make_plan
from pruninglib.structure.copying import fresh_copy
from pruninglib.structure.graph import dense_chain
from pruninglib.structure.layers import kernel_values
from pruninglib.structure.prunable import logits_layers, prunable_layers


def cells(mask, most=64):
    """Return a mask (inputs, units) of any size as a small array of densities of its blocks."""
    means = mask.astype(np.float32)
    for axis, size in enumerate(mask.shape):
        edges = np.linspace(0, size, min(most, size) + 1).astype(int)
        means = np.add.reduceat(means, edges[:-1], axis)
        means /= np.expand_dims(np.diff(edges), 1 - axis)
    return means


def densities(pictures, ax):
    """Draw {name: what `cells` returns} in a row: the darker, the more is kept.

    In each, black is where most is kept. All share one pair of axes, for axes are slow to make.
    """
    for place, (name, means) in enumerate(pictures.items()):
        left, right = place + 0.05, place + 0.95
        look = {"cmap": "Greys", "vmin": 0, "vmax": means.max() or 1, "interpolation": "nearest"}
        ax.imshow(means, extent=(left, right, 0, 1), aspect="auto", **look)
        ax.plot([left, right, right, left, left], [0, 0, 1, 1, 0], color="black", linewidth=0.8)
        ax.text(left, 1.03, name, fontsize=9)
    ax.set(xlim=(0, len(pictures)), ylim=(0, 1.12))
    ax.set_axis_off()
    return ax


def layers(sizes, left, densities, ax):
    """Draw a large network: a bar for each layer's units, its dark part for those left.

    Args:
        sizes: units of each layer, the inputs first; a bar's length is the square root.
        left: units of each that are left.
        densities: share of weights left between each layer and the next; the darker, the more.
    """
    longest = np.sqrt(max(sizes))
    half, short = (np.sqrt(counts) / longest / 2 for counts in (sizes, left))
    for i, share in enumerate(densities):
        corners = [(i, -short[i]), (i, short[i]), (i + 1, short[i + 1]), (i + 1, -short[i + 1])]
        ax.fill(*np.transpose(corners), color="black", alpha=0.05 + 0.6 * share, linewidth=0)
    place = np.arange(len(sizes))
    ax.vlines(place, -half, half, color="0.8", linewidth=5)
    ax.vlines(place, -short, short, color="black", linewidth=5)
    for i, count in enumerate(left):
        ax.text(i, half[i] + 0.04, f"{count:,}", ha="center", va="bottom", fontsize=8)
    ax.set(xlim=(-0.5, len(sizes) - 0.5), ylim=(-0.6, 0.7))
    ax.set_axis_off()
    return ax


def network(kernels, ax, title=""):
    """Draw a small network: a line for each nonzero weight, a dot for each unit.

    Units without incoming weights are hollow. Args: kernels, arrays (inputs, units).
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


def histogram(values, ax, label="", **style):
    """Draw the distribution of many numbers, from zero to three times their mean."""
    values = np.concatenate([np.ravel(part) / np.mean(part) for part in values])
    bins = np.linspace(0, 3, 61)
    ax.hist(values, bins, density=True, histtype="stepfilled", alpha=0.5, label=label, **style)
    ax.set(yticks=[], xlabel="divided by the layer's mean", ylabel="frequency", xlim=(0, 3))
    return ax


def sizes_and_norms(model, ax):
    """Draw how the sizes of all hidden layers' weights, and their columns' norms, are distributed.

    Each is divided by its layer's mean. What lies near zero can go at little cost.
    """
    hidden = [x for n, x in prunable_layers(model).items() if n not in logits_layers(model)]
    kernels = [kernel_values(layer) for layer in hidden]
    sizes, norms = map(np.abs, kernels), map(unit_norm, kernels)
    histogram(sizes, ax, "sizes of weights", color=WEIGHT["color"])
    return histogram(norms, ax, "norms of columns", color=UNIT["color"])


def views(model, criteria, scope, sparsities):
    """Return {(method, sparsity): what `left` returns} for a chain of Dense layers."""
    dense_chain(model)  # raises ValueError for any other model
    pruned, kernels = fresh_copy(model), {n: x.kernel for n, x in prunable_layers(model).items()}
    found = {}
    for method, criterion in criteria.items():
        for sparsity, masks in levels(model, criterion, sparsities, scope):
            for name, layer in prunable_layers(pruned).items():
                layer.kernel.assign(np.where(masks.get(name, True), kernels[name], 0))
            found[method, sparsity] = left(pruned, masks)
    return found


def left(pruned, names):
    """Return what is left of a chain of Dense layers: {"cells", "sizes", "units", "shares"}.

    Args:
        pruned: a model with zeros; a unit is left if `shrink` would leave it.
        names: layers to make small pictures of.

    cells: {layer name: what `cells` returns for its weights left}. sizes, units: numbers of inputs
    and of units of each layer, at first and left. shares: share of each layer's weights left.
    """
    plan, found = make_plan(pruned), {"cells": {}, "sizes": [], "units": [], "shares": []}
    for step in plan.steps:
        if step.call.name in prunable_layers(pruned):
            into, out = plan.left(step.inputs[0]), plan.left(step.output)
            mask = (np.asarray(step.call.layer.kernel) != 0) & np.outer(into, out)
            if not found["sizes"]:
                found["sizes"].append(len(into))
                found["units"].append(int(mask.any(axis=1).sum()))
            found["sizes"].append(len(out))
            found["units"].append(int(out.sum()))
            found["shares"].append(float(mask.mean()))
            if step.call.name in names:
                found["cells"][step.call.name] = cells(mask)
    return found


def draw(rows, by, at, view, words):
    """Return a figure as PNG: accuracy, with a ring at some rows; the masks; the network left.

    Args:
        rows: rows of a sweep for one method, which has a curve for each value of the column `by`.
        at: those that the ring is on; none if there are none.
        view: what `left` returns.
        words: description to store in the file.
    """
    count = len(view["cells"])
    fig = Figure(figsize=(WIDTH, 2.9), dpi=100, layout="none")  # fewer pixels, drawn sooner
    wide = fig.add_gridspec(
        1, 3, width_ratios=(4, 0.9 * count, 3.6), left=0.07, right=0.99, bottom=0.17
    )
    ax, masks, drawing = (fig.add_subplot(part) for part in wide)
    methods(rows, ax, by=by).legend(loc="lower left")
    if len(at):
        here = at["sparsity"].iloc[0], at["accuracy"].mean()
        ax.plot(*here, "o", markersize=11, markerfacecolor="none", color="black")
        ax.set_title(f"{here[1]:.1%} right", y=1)
    densities(view["cells"], masks)
    layers(view["sizes"], view["units"], view["shares"], drawing)
    drawing.set_title("what is left", y=1)
    return png(fig, words)
