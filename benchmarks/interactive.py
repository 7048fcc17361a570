"""Time what a notebook shows while it is read: the slider at its end, and the progress line.

    python benchmarks/interactive.py

In a real kernel, with the study's network and random data, for the times do not depend on the
values. Writes its section of benchmarks/README.md. Run it with nothing else running.
"""

import json
import os

import nbformat
import numpy as np
from machine import spread
from nbclient import NotebookClient
from sections import write_section
from turns import HERE, repeated, seconds, take_turns

ROUNDS, STEPS, TOLD = 7, 500, 1_000_000
SPARSITIES = (0.0, 0.7, 0.9, 0.95, 0.97, 0.99)


def slider():
    """Return the seconds until the slider stands, and those of each move."""
    import ipywidgets
    import pandas as pd

    import pruninglib as pl

    model, data = study()
    criteria = {"weight": pl.magnitude, "unit": pl.unit_norm}
    table = pd.DataFrame(pl.prune_sweep(model, data, criteria, SPARSITIES))
    parts, make = [], ipywidgets.VBox
    ipywidgets.VBox = lambda children: parts.extend(children) or make(children)
    building = seconds(pl.explorer, model, table)
    slider, method = parts[:2]
    moves = []
    for method.value in criteria:
        others = [s for s in SPARSITIES if s != slider.value]
        moves += [seconds(setattr, slider, "value", sparsity) for sparsity in others]
    return {"building": building, "moves": moves}


def line():
    """Return the seconds of a step of `progress` and of training, with the line and without it."""
    import pruninglib as pl

    model, data = study()

    def told():
        return seconds(lambda: sum(pl.progress(range(TOLD), "number"))) / TOLD

    def trained():
        return seconds(pl.train, model, data.x_train, data.y_train, STEPS) / STEPS

    def quietly(run):
        os.environ["PRUNINGLIB_QUIET"] = "1"
        try:
            return run()
        finally:
            del os.environ["PRUNINGLIB_QUIET"]

    bare = repeated(lambda: sum(range(TOLD))) / TOLD
    variants = {
        "progress": told,
        "progress, quiet": lambda: quietly(told),
        "training": trained,
        "training, quiet": lambda: quietly(trained),
    }
    return {"bare": bare} | take_turns(variants, ROUNDS)


def study():
    """Return the study's network, untrained, and random data with as many images as MNIST."""
    import pruninglib as pl

    random = np.random.default_rng(0)
    parts = []
    for count in (50_000, 10_000, 10_000):
        parts += [random.random((count, 784), np.float32), random.integers(0, 10, count)]
    model = pl.compile_training(pl.make_mlp(784, [1000, 1000, 500, 200], 10), STEPS)
    return model, pl.Dataset("random", *parts)


def in_kernel(name):
    """Return what one of the functions above returns in a kernel."""
    said = f"import json, interactive\nprint('>' + json.dumps(interactive.{name}()))"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(said)])
    resources = {"metadata": {"path": str(HERE)}}
    NotebookClient(notebook, timeout=None, kernel_name="python3", resources=resources).execute()
    outputs = notebook.cells[0].outputs
    text = "".join(output.get("text", "") for output in outputs)
    return json.loads(text.rpartition(">")[2])


if __name__ == "__main__":
    found, told = in_kernel("slider"), in_kernel("line")
    moves = 1000 * np.array(found["moves"])
    cost = np.divide(told["training"], told["training, quiet"]) - 1
    quiet = 1e9 * np.array(told["progress, quiet"])
    write_section(
        "In a notebook",
        f"""
What a reader waits for at the end of a notebook, in a kernel, with the study's network and {len(SPARSITIES)}
sparsities of weights and units: the slider stands after {found["building"]:.1f} s, for the pictures of the masks. A move takes
the median of {np.median(moves):.0f} ms ({moves.min():.0f} to {moves.max():.0f}, {len(moves)} moves): a figure is drawn, nothing is evaluated.

The progress line costs {spread(1e9 * np.array(told["progress"]), digits=0)} ns a step of `progress` where it is shown, {spread(quiet, digits=0)} with
`PRUNINGLIB_QUIET=1`; a bare loop takes {1e9 * told["bare"]:.0f}. A training step in batches of 128 takes {100 * np.median(cost):+.1f} %
({100 * cost.min():+.1f} to {100 * cost.max():+.1f}, {ROUNDS} rounds of {STEPS} steps, in turn) with it.
""",
    )
