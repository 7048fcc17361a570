"""Pictures of one network: its masks, its weights, what is connected. Arrays in, axes out."""

import numpy as np


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
