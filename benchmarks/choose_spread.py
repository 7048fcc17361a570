"""Choose where the last 27 units stay, 1 % of 2,700, on the validation split, never on the test set.

    python benchmarks/choose_spread.py

Adds to data/results/choose_spread.csv what is not there yet: accuracy on the validation images with
so many units left in each hidden layer, chosen greedily, repaired, and after 1000 iterations of
distillation as in notebook 3. The first spread is that of pruning every layer alike.
"""

from itertools import product

import pandas as pd

import pruninglib as pl
from pruninglib.paths import RESULTS, written_whole

FILE = RESULTS / "choose_spread.csv"
SIZES = (1000, 1000, 500, 200)
SPREADS = [
    (10, 10, 5, 2),
    (7, 7, 7, 6),
    (9, 6, 6, 6),
    (11, 6, 5, 5),
    (12, 5, 5, 5),
    (13, 5, 5, 4),
    (14, 5, 4, 4),
    (15, 4, 4, 4),
]
ITERATIONS, RATE, DISTILLATION = 1000, 0.004, 0.5


def accuracy(model, data, loss):
    return pl.evaluate(pl.eager(model), data.x_validation, data.y_validation, loss)["accuracy"]


table = pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=["dataset", "seed", "spread"])
for name, seed in product(("mnist", "fashion_mnist"), (0, 1, 2)):
    data = pl.load_dataset(name)
    dense = pl.baseline(data, SIZES, seed=seed)
    inputs = data.x_train[:10000]
    scores = pl.greedy_units(dense, inputs)
    for spread in SPREADS:
        about = {"dataset": name, "seed": seed, "spread": "-".join(map(str, spread))}
        if (table[list(about)] == pd.Series(about)).all(axis=1).any():
            continue
        shares = {
            layer: 1 - left / size for layer, left, size in zip(scores, spread, SIZES, strict=True)
        }
        pruned = pl.prune(dense, pl.make_masks(dense, scores, shares))
        repaired = pl.repair(pruned, dense, inputs, ridge=1e-3, passes=10)
        small = pl.shrink(repaired)
        found = {"repaired": accuracy(small, data, dense.loss)}
        images = data.x_train, data.y_train
        how = {"schedule": "linear", "distillation": DISTILLATION, "seed": seed}
        pl.retrain(small, dense, *images, ITERATIONS, RATE, **how, steps_per_execution=50)
        found["distilled"] = accuracy(small, data, dense.loss)
        table = pd.concat([table, pd.DataFrame([about | found])])
        with written_whole(FILE) as path:
            table.to_csv(path, index=False)
        print(about | found, flush=True)
print(table.pivot_table(["repaired", "distilled"], "spread", "dataset", sort=False).round(4))
