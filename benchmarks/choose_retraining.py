"""Choose how to retrain on the validation split, never on the test set.

    python benchmarks/choose_retraining.py

Writes data/results/choose_retraining.csv: accuracy on the validation images of one pruned and
retrained network (seed 0, default settings) for each start, schedule, rate and sparsity.
"""

import pandas as pd

import pruninglib as pl
from pruninglib.paths import RESULTS, written_whole
from pruninglib.retraining import without_removed_units

EPOCHS, BATCH = 10, 128
SETTINGS = [  # schedule, rate, distillation
    ("constant", 0.001, 0.0),
    ("rewound", 0.001, 0.0),
    ("linear", 0.004, 0.0),
    *(("budget", rate, 0.0) for rate in (0.004, 0.008, 0.016)),
    *(("budget", rate, 0.5) for rate in (0.004, 0.016)),
]
LEVELS = {"weight": (500, (0.9, 0.97, 0.99)), "unit": (1000, (0.9, 0.95, 0.97))}


def rows(name):
    data = pl.load_dataset(name)
    model = pl.baseline(data, epochs=EPOCHS, batch_size=BATCH)
    total = EPOCHS * (len(data.x_train) // BATCH)
    inputs = data.x_train[:10000]
    scores = {"weight": pl.magnitude, "unit": pl.greedy_units(model, inputs)}
    for method, (iterations, sparsities) in LEVELS.items():
        for sparsity in sparsities:
            masks = pl.make_masks(model, scores[method], sparsity)
            pruned = pl.prune(model, masks)
            for start, network in {
                "pruned": pruned,
                "repaired": pl.repair(pruned, model, inputs),
            }.items():
                for schedule, rate, distillation in SETTINGS:
                    setting = {"schedule": schedule, "learning_rate": rate}
                    copy = without_removed_units(pl.prune(network, {}), masks)
                    share = pl.budget(model, pruned, iterations, total)
                    how = dict(setting)
                    if schedule == "budget" and copy is not network:  # a smaller kernel, same share
                        how = {"schedule": "linear", "learning_rate": rate * share}
                    pl.retrain(
                        copy,
                        model,
                        data.x_train,
                        data.y_train,
                        iterations,
                        total=total,
                        distillation=distillation,
                        **how,
                    )
                    found = pl.evaluate(
                        pl.eager(copy), data.x_validation, data.y_validation, copy.loss
                    )
                    yield {
                        "dataset": name,
                        "method": method,
                        "sparsity": sparsity,
                        "iterations": iterations,
                        "start": start,
                        **setting,
                        "distillation": distillation,
                        **found,
                    }
        print(name, method, flush=True)


table = pd.DataFrame(row for name in ("mnist", "fashion_mnist") for row in rows(name))
with written_whole(RESULTS / "choose_retraining.csv") as path:
    table.to_csv(path, index=False)
by = ["schedule", "learning_rate", "distillation", "start"]
print(table.pivot_table("accuracy", by, ["dataset", "method", "sparsity"]).round(4).to_string())
