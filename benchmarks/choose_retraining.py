"""Choose how to retrain on the validation split, never on the test set.

    python benchmarks/choose_retraining.py

Adds to data/results/choose_retraining.csv what is not there yet: accuracy on the validation images
of one pruned and retrained network (seed 0, default settings) for each start, schedule, rate, share
of distillation and sparsity. The start "free" is the pruned network without its mask. Units that
are only pruned go by norm, those that are repaired are chosen greedily.
"""

import pandas as pd

import pruninglib as pl
from pruninglib.paths import RESULTS, written_whole
from pruninglib.retraining import without_removed_units

EPOCHS, BATCH = 10, 128
FILE = RESULTS / "choose_retraining.csv"
SETTINGS = [  # schedule, rate, distillation
    ("constant", 0.001, 0.0),
    ("rewound", 0.001, 0.0),
    ("linear", 0.004, 0.0),
    *(("budget", rate, 0.0) for rate in (0.002, 0.004, 0.008, 0.016)),
    *(("budget", rate, 0.5) for rate in (0.002, 0.004, 0.016)),
]
LEVELS = {"weight": (500, (0.9, 0.97, 0.99)), "unit": (1000, (0.9, 0.95, 0.97))}


def rows(name, known):
    """Yield the rows of a dataset that are not among those known."""
    data = pl.load_dataset(name)
    model = pl.baseline(data, epochs=EPOCHS, batch_size=BATCH)
    total = EPOCHS * (len(data.x_train) // BATCH)
    inputs = data.x_train[:10000]
    criteria = {
        ("weight", "pruned"): pl.magnitude,
        ("weight", "free"): pl.magnitude,
        ("weight", "repaired"): pl.magnitude,
        ("unit", "pruned"): pl.unit_norm,
        ("unit", "repaired"): pl.greedy_units(model, inputs),
    }
    begin = {
        "pruned": lambda pruned: pruned,
        "free": pl.strip,
        "repaired": lambda pruned: pl.repair(pruned, model, inputs),
    }
    for (method, start), criterion in criteria.items():
        iterations, sparsities = LEVELS[method]
        for sparsity in sparsities:
            about = {"dataset": name, "method": method, "sparsity": sparsity}
            about |= {"iterations": iterations, "start": start}
            settings = [
                {"schedule": schedule, "learning_rate": rate, "distillation": distillation}
                for schedule, rate, distillation in SETTINGS
            ]
            left = [setting for setting in settings if (about | setting) not in known]
            if not left:
                continue
            masks = pl.make_masks(model, criterion, sparsity)
            pruned = pl.prune(model, masks)
            network = begin[start](pruned)
            for setting in left:
                copy = without_removed_units(pl.prune(network, {}), masks)
                how = {"total": total, **setting}
                if setting["schedule"] == "budget":  # a shrunk kernel does not tell what was lost
                    share = pl.budget(model, pruned, iterations, total)
                    how |= {"schedule": "linear", "learning_rate": share * how["learning_rate"]}
                pl.retrain(copy, model, data.x_train, data.y_train, iterations, **how)
                images = data.x_validation, data.y_validation
                yield about | setting | pl.evaluate(pl.eager(copy), *images, copy.loss)
            print(name, method, start, sparsity, flush=True)


table = pd.read_csv(FILE) if FILE.exists() else pd.DataFrame()
known = table.drop(columns=["accuracy", "loss"], errors="ignore").to_dict("records")
for name in ("mnist", "fashion_mnist"):
    for row in rows(name, known):
        table = pd.concat([table, pd.DataFrame([row])])
        with written_whole(FILE) as path:
            table.to_csv(path, index=False)
by = ["schedule", "learning_rate", "distillation", "start"]
print(table.pivot_table("accuracy", by, ["dataset", "method", "sparsity"]).round(4).to_string())
