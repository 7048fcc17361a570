"""Choose the ridge and the passes of `repair` on the validation split, never on the test set.

    python -m evidence.choices.repair

Adds to data/results/choose_repair.csv what is not there yet: accuracy on the validation images of
one pruned and repaired network (seed 0, default settings, 10,000 inputs), and of the same after
retraining, for each ridge with the default passes, and for other passes with the ridge chosen.
"""

from functools import lru_cache
from itertools import product

import pruninglib as pl
from evidence.choices.resumed import resumed
from pruninglib.experiments.paths import RESULTS
from pruninglib.recovery.retraining import without_removed_units

EPOCHS, BATCH = 10, 128
REPAIRS = [(ridge, 3) for ridge in (1e-3, 1e-2, 1e-1, 1.0)]
MORE = {"weight": [(1e-2, n) for n in (0, 10)], "unit": [(1e-3, n) for n in (0, 10)]}
LEVELS = {"weight": (500, 0.016, (0.9, 0.97, 0.99)), "unit": (1000, 0.004, (0.8, 0.9, 0.95))}


@lru_cache(maxsize=1)
def begun(name, method, sparsity):
    """Return what all repairs have in common: data, dense network, masks and pruned network."""
    data = pl.load_dataset(name)
    model = pl.baseline(data, epochs=EPOCHS, batch_size=BATCH)
    inputs = data.x_train[:10000]
    scores = pl.magnitude if method == "weight" else pl.greedy_units(model, inputs)
    masks = pl.make_masks(model, scores, sparsity)
    return data, model, masks, pl.prune(model, masks)


def measure(setting):
    data, model, masks, pruned = begun(*(setting[n] for n in ("dataset", "method", "sparsity")))
    ridge, passes = setting["ridge"], setting["passes"]
    images = data.x_validation, data.y_validation
    network = pl.repair(pruned, model, data.x_train[:10000], ridge, passes)
    repaired = pl.evaluate(pl.eager(network), *images, model.loss)["accuracy"]
    iterations, rate, _ = LEVELS[setting["method"]]
    rate *= pl.budget(pruned, model, iterations, EPOCHS * (len(data.x_train) // BATCH))
    small = without_removed_units(network, masks)
    how = {"learning_rate": rate, "schedule": "linear"}
    pl.retrain(small, model, data.x_train, data.y_train, iterations, **how)
    retrained = pl.evaluate(pl.eager(small), *images, model.loss)["accuracy"]
    return {"repaired": repaired, "retrained": retrained}


settings = [
    dict(dataset=name, method=method, sparsity=sparsity, ridge=ridge, passes=passes)
    for name, method in product(("mnist", "fashion_mnist"), LEVELS)
    for sparsity in LEVELS[method][2]
    for ridge, passes in REPAIRS + MORE[method]
]
table = resumed(RESULTS / "choose_repair.csv", settings, measure)
by = ["dataset", "method", "sparsity"]
print(table.pivot_table(["repaired", "retrained"], ["ridge", "passes"], by).round(4).T.to_string())
