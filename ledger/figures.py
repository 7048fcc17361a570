"""The figures of CLAIMS.md: our curves with bands, theirs behind."""

import matplotlib.pyplot as plt
import pandas as pd

from ledger.judging import DATASETS
from pruninglib.experiments.paths import FIGURES, PUBLISHED, written_whole
from pruninglib.plotting import curves as plots
from pruninglib.plotting import style as figures

FOLDER = FIGURES / "claims"
WORDS = {
    "pruned": "Accuracy against sparsity, not retrained: weights keep it longer than units.",
    "retrained": "Accuracy against sparsity, pruned and retrained: retraining keeps most of it.",
}


def draw(tables, folder=FOLDER):
    """Write the figures."""
    curves = pd.read_csv(PUBLISHED / "accuracy_curves.csv")
    for name, figure in (("pruned", pruned), ("retrained", retrained)):
        with plt.style.context(figures.STYLE):
            content = figures.smaller(figures.png(figure(tables, curves), WORDS[name]))
        with written_whole(folder / f"{name}.png") as path:
            path.write_bytes(content)


def pruned(tables, curves, epochs=5):
    """Return a figure of accuracy against sparsity, a panel for each dataset."""
    fig, axes = plt.subplots(1, 2, figsize=(figures.WIDTH, 4), sharey=True)
    sweep = tables["sweep"][tables["sweep"]["epochs"] == epochs]
    theirs = curves[curves["stage"].isin(["pruned", "shrunk"])]
    for (dataset, name), ax in zip(DATASETS.items(), axes, strict=True):
        plots.methods(sweep[sweep["dataset"] == dataset], ax)
        plots.published(theirs[theirs["dataset"] == dataset], ax)
        plots.label_lines(ax).set_title(f"{name}, not retrained")
    return fig


def retrained(tables, curves):
    """Return a figure of accuracy after retraining: weights above, units below."""
    fig, axes = plt.subplots(2, 2, figsize=(figures.WIDTH, 8), sharey=True)
    theirs = curves[curves["stage"].str.contains("retrained")]
    for method, line in zip(("weight", "unit"), axes, strict=True):
        table = tables.get(f"{method}s")
        of_method = theirs[theirs["method"] == method]
        for (dataset, name), ax in zip(DATASETS.items(), line, strict=True):
            if table is not None:  # else it is not measured yet
                plots.recovery(table[table["dataset"] == dataset], ax)
            plots.published(of_method[of_method["dataset"] == dataset], ax).legend()
            ax.set_title(f"{name}, {method}s")
    return fig
