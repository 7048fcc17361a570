"""Choose the ridge of `repair` on the validation split, never on the test set.

    python benchmarks/choose_repair.py

Writes data/results/choose_repair.csv: accuracy on the validation images of one pruned and
repaired network (seed 0, default settings, 10,000 inputs), and of the same after retraining, for
each ridge and sparsity.
"""

import pandas as pd

import pruninglib as pl
from pruninglib.paths import RESULTS, written_whole
from pruninglib.retraining import without_removed_units

EPOCHS, BATCH = 10, 128
RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
LEVELS = {"weight": (500, 0.016, (0.9, 0.97, 0.99)), "unit": (1000, 0.004, (0.8, 0.9, 0.95))}


def rows(name):
    data = pl.load_dataset(name)
    model = pl.baseline(data, epochs=EPOCHS, batch_size=BATCH)
    total = EPOCHS * (len(data.x_train) // BATCH)
    inputs = data.x_train[:10000]

    def accuracy(network):
        found = pl.evaluate(pl.eager(network), data.x_validation, data.y_validation, model.loss)
        return found["accuracy"]

    scores = {"weight": pl.magnitude, "unit": pl.greedy_units(model, inputs)}
    for method, (iterations, rate, sparsities) in LEVELS.items():
        for sparsity in sparsities:
            masks = pl.make_masks(model, scores[method], sparsity)
            pruned = pl.prune(model, masks)
            rate_here = rate * pl.budget(model, pruned, iterations, total)
            for ridge in RIDGES:
                network = pl.repair(pruned, model, inputs, ridge)
                repaired = accuracy(network)
                small = without_removed_units(network, masks)
                how = (iterations, rate_here, "linear")
                pl.retrain(small, model, data.x_train, data.y_train, *how)
                yield {
                    "dataset": name,
                    "method": method,
                    "sparsity": sparsity,
                    "ridge": ridge,
                    "repaired": repaired,
                    "retrained": accuracy(small),
                }
        print(name, method, flush=True)


table = pd.DataFrame(row for name in ("mnist", "fashion_mnist") for row in rows(name))
with written_whole(RESULTS / "choose_repair.csv") as path:
    table.to_csv(path, index=False)
by = ["dataset", "method", "sparsity"]
print(table.pivot_table(["repaired", "retrained"], "ridge", by).round(4).T.to_string())
