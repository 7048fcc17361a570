"""What is left of a pruned network, to look at: its masks, its units, its accuracy."""

import numpy as np
from matplotlib.figure import Figure

from pruninglib.experiments.rows import levels
from pruninglib.plotting.curves import explored
from pruninglib.plotting.pictures import cells, densities, layers
from pruninglib.plotting.style import WIDTH, png
from pruninglib.structure.chain import dense_chain
from pruninglib.structure.prunable import prunable_layers


def views(model, criteria, scopes, sparsities):
    """Return {(method, scope, sparsity): what is left}, of a chain of Dense layers."""
    dense_chain(model)  # an error for any other model
    shapes = {name: tuple(layer.kernel.shape) for name, layer in prunable_layers(model).items()}
    return {
        (method, scope, sparsity): left(shapes, masks)
        for method, criterion in criteria.items()
        for scope in scopes
        for sparsity, masks in levels(model, criterion, sparsities, scope)
    }


def left(shapes, masks):
    """Return what masks leave: {"cells", "sizes", "units", "shares"}.

    Args:
        shapes: {layer name: shape (inputs, units) of its kernel}, of a chain of layers.
        masks: a mask set for some of them.

    cells: {layer name: a small picture of its mask}. sizes, units: how many inputs, and units of
    each layer, there are and are left. shares: of the weights of each layer. Weights that read a
    unit without inputs are not left.
    """
    first = next(iter(shapes.values()))[0]
    found = {"cells": {}, "sizes": [first], "units": [], "shares": []}
    alive = np.ones(first, bool)
    for name, shape in shapes.items():
        mask = np.broadcast_to(masks.get(name, True), shape).astype(bool) & alive[:, None]
        alive = mask.any(axis=0)
        found["units"] += [] if found["units"] else [int(mask.any(axis=1).sum())]
        found["units"].append(int(alive.sum()))
        found["sizes"].append(shape[1])
        found["shares"].append(float(mask.mean()))
        if name in masks:
            found["cells"][name] = cells(mask)
    return found


def draw(rows, stage, sparsity, view, words):
    """Return a figure as PNG: accuracy, with a ring at a sparsity; the masks; the network left.

    Args:
        rows: of one method and scope, from `explore`.
        stage: "pruned" or "repaired".
        view: what `left` returns.
    """
    count = len(view["cells"])
    fig = Figure(figsize=(WIDTH, 2.9), dpi=100, layout="none")  # fewer pixels, drawn sooner
    wide = fig.add_gridspec(
        1, 3, width_ratios=(4, 0.9 * count, 3.6), left=0.07, right=0.99, bottom=0.17
    )
    ax, masks, drawing = (fig.add_subplot(part) for part in wide)
    explored(rows, ax).legend(loc="lower left")
    at = rows[(rows["stage"] == stage) & (rows["sparsity"] == sparsity)]["accuracy"].mean()
    ax.plot([sparsity], [at], "o", markersize=11, markerfacecolor="none", color="black")
    ax.set_title(f"{at:.1%} right", y=1)
    densities(view["cells"], masks)
    layers(view["sizes"], view["units"], view["shares"], drawing)
    drawing.set_title("what is left", y=1)
    return png(fig, words)
