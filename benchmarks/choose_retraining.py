"""Choose the learning rate of retraining on the validation split, never on the test set.

    python benchmarks/choose_retraining.py

Writes data/results/choose_retraining.csv: accuracy on the validation images of one pruned and
retrained network (seed 0, default settings) for each setting, method and sparsity.
"""

import pandas as pd

import pruninglib as pl
from pruninglib.paths import RESULTS, written_whole
from pruninglib.retraining import retrainer

SETTINGS = [(0.001, "constant"), *((rate, "linear") for rate in (0.001, 0.002, 0.004, 0.008))]
METHODS = [
    ("weight", pl.magnitude, 500, (0.9, 0.97, 0.99)),
    ("unit", pl.unit_norm, 1000, (0.5, 0.8, 0.9, 0.95)),
]
TRAINING = {"decay": "cosine", "optimizer": "adam", "loss": "sparse_categorical_crossentropy"}

rows = []
for name in ("mnist", "fashion_mnist"):
    data = pl.load_dataset(name)
    networks = pl.baselines(data, [0.001], [0], [1000, 1000, 500, 200], "relu", 10, 128, **TRAINING)
    model = networks[0.001, 0]
    for method, criterion, iterations, sparsities in METHODS:
        for rate, decay in SETTINGS:
            masks = [pl.make_masks(model, criterion, sparsity) for sparsity in sparsities]
            training = {"learning_rate": rate, "decay": decay}
            retrain = retrainer(model, masks[0], data, iterations, 128, 0, training)
            for sparsity, mask in zip(sparsities, masks, strict=True):
                network = retrain(mask, True)
                run = pl.compiled(network)
                result = pl.evaluate(run, data.x_validation, data.y_validation, network.loss)
                setting = {"learning_rate": rate, "decay": decay, "iterations": iterations}
                rows.append(
                    {"dataset": name, "method": method, "sparsity": sparsity, **setting, **result}
                )
        print(name, method, flush=True)
with written_whole(RESULTS / "choose_retraining.csv") as path:
    pd.DataFrame(rows).to_csv(path, index=False)
print(
    pd.DataFrame(rows).pivot_table(
        "accuracy", ["learning_rate", "decay"], ["dataset", "method", "sparsity"]
    )
)
