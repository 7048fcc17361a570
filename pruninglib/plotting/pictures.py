"""Pictures of one network: its masks, its weights, what is connected. Arrays in, axes out."""

import numpy as np


def mask_grid(values, mask, ax, title=""):
    """Draw a small kernel as a grid of numbers; pruned entries are grey."""
    ax.imshow(mask, cmap="gray", vmin=-4, vmax=1)
    for row, column in np.ndindex(*values.shape):
        color = "black" if mask[row, column] else "0.5"
        ax.text(column, row, f"{values[row, column]:.1f}", ha="center", va="center", color=color)
    ax.set(title=title, xticks=[], yticks=[], xlabel="units", ylabel="inputs")
    ax.grid(False)
    return ax


def cells(mask, most=64):
    """Return a mask (inputs, units) of any size as a small picture: means over cells of entries."""
    means = mask.astype(np.float32)
    for axis, size in enumerate(mask.shape):
        edges = np.linspace(0, size, min(most, size) + 1).astype(int)
        means = np.add.reduceat(means, edges[:-1], axis)
        means /= np.expand_dims(np.diff(edges), 1 - axis)
    return means


def densities(pictures, ax):
    """Draw what `cells` returns, {name: means}, in a row: the darker, the more is kept.

    In each, black is where most is kept. One pair of axes for all, for axes are slow to make.
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
    """Draw a large network: a bar for the units of each layer, of which those left are dark.

    Args:
        sizes: units of each layer, the inputs first; bars are as long as their square roots.
        left: how many of each are left.
        densities: share of the weights left between each layer and the next; the darker, the more.
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
