"""Choose how to spread the last 27 units, 1 % of 2,700, over the layers, on the validation split.

    python -m evidence.choices.spread

Adds to data/results/choose_spread.csv what is not there yet: accuracy on the validation images with
these numbers of units left in the hidden layers, chosen greedily, repaired, and after 1000
iterations of distillation as in notebook 3. The first spread prunes every layer to the same
sparsity.
"""

from functools import lru_cache
from itertools import product

import pruninglib as pl
from evidence.choices.resumed import resumed
from pruninglib.experiments.paths import RESULTS

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


@lru_cache(maxsize=1)
def begun(name, seed):
    """Return what all spreads have in common: data, dense network and scores."""
    data = pl.load_dataset(name)
    dense = pl.baseline(data, SIZES, seed=seed)
    return data, dense, pl.greedy_units(dense, data.x_train[:10000])


def measure(setting):
    data, dense, scores = begun(setting["dataset"], setting["seed"])
    left = map(int, setting["spread"].split("-"))
    shares = {name: 1 - n / size for name, n, size in zip(scores, left, SIZES, strict=True)}
    pruned = pl.prune(dense, pl.make_masks(dense, scores, shares))
    small = pl.shrink(pl.repair(pruned, dense, data.x_train[:10000], ridge=1e-3, passes=10))
    images = data.x_validation, data.y_validation
    repaired = pl.evaluate(pl.eager(small), *images, dense.loss)["accuracy"]
    how = {"schedule": "linear", "distillation": DISTILLATION, "seed": setting["seed"]}
    how["learning_rate"] = RATE
    pl.retrain(small, dense, data.x_train, data.y_train, ITERATIONS, **how)
    distilled = pl.evaluate(pl.eager(small), *images, dense.loss)["accuracy"]
    return {"repaired": repaired, "distilled": distilled}


settings = [
    {"dataset": name, "seed": seed, "spread": "-".join(map(str, spread))}
    for name, seed, spread in product(("mnist", "fashion_mnist"), (0, 1, 2), SPREADS)
]
table = resumed(RESULTS / "choose_spread.csv", settings, measure)
print(table.pivot_table(["repaired", "distilled"], "spread", "dataset", sort=False).round(4))
