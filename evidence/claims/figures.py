"""Draw the figures of docs/claims.md: our curves with bands, the published ones behind."""

import matplotlib.pyplot as plt
import pandas as pd

from evidence.claims.rules import DATASETS
from pruninglib.atomic import written_whole
from pruninglib.experiments.paths import FIGURES, PUBLISHED
from pruninglib.experiments.tables import treatments
from pruninglib.plotting import curves, style

FOLDER = FIGURES / "claims"
WORDS = {
    "pruned": "Accuracy against sparsity, not retrained: weights keep it longer than units.",
    "retrained": "Accuracy against sparsity, pruned and retrained: retraining keeps most of it.",
}


def draw(tables, folder=FOLDER):
    """Write the figures."""
    published = pd.read_csv(PUBLISHED / "accuracy_curves.csv")
    for name, figure in (("pruned", pruned), ("retrained", retrained)):
        with plt.style.context(style.STYLE):
            content = style.smaller(style.png(figure(tables, published), WORDS[name]))
        with written_whole(folder / f"{name}.png") as path:
            path.write_bytes(content)


def pruned(tables, published, epochs=5):
    """Return a figure of accuracy against sparsity, a panel for each dataset."""
    fig, axes = plt.subplots(1, 2, figsize=(style.WIDTH, 4), sharey=True)
    sweep = tables["sweep"][tables["sweep"]["epochs"] == epochs]
    theirs = published[published["stage"].isin(["pruned", "shrunk"])]
    for (dataset, name), ax in zip(DATASETS.items(), axes, strict=True):
        curves.methods(sweep[sweep["dataset"] == dataset], ax)
        curves.published(theirs[theirs["dataset"] == dataset], ax)
        ax.set_title(f"{name}, not retrained")
        ax.legend()
    return fig


def retrained(tables, published):
    """Return a figure of accuracy after retraining: weights above, units below."""
    fig, axes = plt.subplots(2, 2, figsize=(style.WIDTH, 8), sharey=True)
    theirs = published[published["stage"].str.contains("retrained")]
    for method, line in zip(("weight", "unit"), axes, strict=True):
        table = tables.get(f"{method}s")
        of_method = theirs[theirs["method"] == method]
        for (dataset, name), ax in zip(DATASETS.items(), line, strict=True):
            if table is not None:  # else it is not measured yet
                rows = table[table["dataset"] == dataset]
                rows = rows.assign(treatment=treatments(rows))
                curves.methods(rows, ax, by="treatment")
            curves.published(of_method[of_method["dataset"] == dataset], ax).legend()
            ax.set_title(f"{name}, {method}s")
    return fig
