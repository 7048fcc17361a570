"""Choose how to retrain on the validation split, never on the test set.

    python -m evidence.choices.retraining

Adds to data/results/choose_retraining.csv what is not there yet: accuracy on the validation images
of one pruned and retrained network (seed 0, default settings) for each start, schedule, rate, share
of distillation and sparsity. The start "free" is the pruned network without its mask. Units that
are only pruned go by norm, those that are repaired are chosen greedily.
"""

from functools import lru_cache

import pruninglib as pl
from evidence.choices.resumed import resumed
from pruninglib.experiments.paths import RESULTS
from pruninglib.recovery.retraining import without_removed_units

EPOCHS, BATCH = 10, 128
SETTINGS = [  # schedule, rate, distillation
    ("constant", 0.001, 0.0),
    ("rewound", 0.001, 0.0),
    ("linear", 0.004, 0.0),
    *(("budget", rate, 0.0) for rate in (0.002, 0.004, 0.008, 0.016)),
    *(("budget", rate, 0.5) for rate in (0.002, 0.004, 0.008, 0.016)),
]
LEVELS = {"weight": (500, (0.9, 0.97, 0.99)), "unit": (1000, (0.9, 0.95, 0.97, 0.99))}
STARTS = {"weight": ("pruned", "free", "repaired"), "unit": ("pruned", "repaired")}
REPAIRS = {"weight": {"ridge": 1e-2}, "unit": {"ridge": 1e-3, "passes": 10}}


@lru_cache(maxsize=1)
def begun(name, method, start, sparsity):
    """Return what all settings have in common: data, dense network, masks, the network to train."""
    data = pl.load_dataset(name)
    model = pl.baseline(data, epochs=EPOCHS, batch_size=BATCH)
    inputs, criterion = data.x_train[:10000], pl.magnitude
    if method == "unit":
        criterion = pl.greedy_units(model, inputs) if start == "repaired" else pl.unit_norm
    masks = pl.make_masks(model, criterion, sparsity)
    pruned = pl.prune(model, masks)
    if start == "repaired":
        return data, model, masks, pruned, pl.repair(pruned, model, inputs, **REPAIRS[method])
    return data, model, masks, pruned, pl.strip(pruned) if start == "free" else pruned


def measure(setting):
    common = (setting[name] for name in ("dataset", "method", "start", "sparsity"))
    data, model, masks, pruned, network = begun(*common)
    iterations, total = setting["iterations"], EPOCHS * (len(data.x_train) // BATCH)
    copy = without_removed_units(pl.prune(network, {}), masks)
    how = {name: setting[name] for name in ("schedule", "learning_rate", "distillation")}
    if setting["schedule"] == "budget":  # a shrunk kernel does not tell what was lost
        share = pl.budget(pruned, model, iterations, total)
        how |= {"schedule": "linear", "learning_rate": share * setting["learning_rate"]}
    pl.retrain(copy, model, data.x_train, data.y_train, iterations, total=total, **how)
    return pl.evaluate(pl.eager(copy), data.x_validation, data.y_validation, copy.loss)


settings = [
    dict(
        dataset=name,
        method=method,
        sparsity=sparsity,
        iterations=iterations,
        start=start,
        schedule=schedule,
        learning_rate=rate,
        distillation=distillation,
    )
    for name in ("mnist", "fashion_mnist")
    for method, (iterations, sparsities) in LEVELS.items()
    for start in STARTS[method]
    for sparsity in sparsities
    for schedule, rate, distillation in SETTINGS
]
table = resumed(RESULTS / "choose_retraining.csv", settings, measure)
by = ["schedule", "learning_rate", "distillation", "start"]
print(table.pivot_table("accuracy", by, ["dataset", "method", "sparsity"]).round(4).to_string())
