"""Choose how to prune 784-300-100-10 gradually on the validation split, never on the test set.

    python -m evidence.choices.gradual [SHARE ...]

For each share of the weights to keep (default 0.0115, which is 3,061 of 266,200): one network for
each setting, which differs from the first in one to four things. Adds to
data/results/choose_gradual.csv what is not there yet: the error on the validation images, and for
comparison on 10,000 of the training images, after the last iteration.
"""

import sys

import pruninglib as pl
from evidence.choices.resumed import resumed
from pruninglib.experiments.paths import RESULTS

BATCH, SIZE = 128, (300, 100)
FIRST = {
    "units": SIZE,
    "teacher": SIZE,
    "epochs": 50,
    "learning_rate": 0.002,
    "distillation": 0.7,
    "regrowth": 0.3,
    "end": 0.6,
    "frequency": 100,
    "scope": "global",
    "shift": 0,
    "seed": 0,
}
BEST = {"end": 0.2, "epochs": 100, "regrowth": 0.5}  # tried further with two more seeds
CHANGES = [
    {},
    {"regrowth": 0.0},
    {"distillation": 0.0},
    {"distillation": 0.5},
    {"distillation": 1.0},
    {"regrowth": 0.1},
    {"regrowth": 0.6},
    {"units": (62, 51)},
    {"units": (150, 75)},
    {"learning_rate": 0.001},
    {"learning_rate": 0.004},
    {"end": 0.1},
    {"end": 0.2},
    {"end": 0.9},
    {"end": 0.2, "units": (150, 75)},
    {"end": 0.2, "regrowth": 0.15},
    {"end": 0.2, "regrowth": 0.5},
    {"end": 0.2, "distillation": 0.5},
    {"end": 0.2, "distillation": 0.85},
    {"end": 0.2, "learning_rate": 0.003},
    {"frequency": 400},
    {"teacher": (1000, 1000, 500, 200)},
    {"scope": "layer"},
    {"epochs": 10},
    {"epochs": 10, "end": 0.2},
    {"end": 0.2, "epochs": 100},
    *(
        BEST | change | {"seed": seed}
        for change in ({}, {"distillation": 0.9}, {"regrowth": 0.8}, {"end": 0.6}, {"shift": 1})
        for seed in (0, 1, 2)
    ),
    {"end": 0.2, "epochs": 200, "regrowth": 0.5},
]


def pruned_gradually(data, share, units, teacher, epochs, shift, seed, **setting):
    network, whole = (pl.make_mlp(784, hidden, 10, seed=seed) for hidden in (units, SIZE))
    weights = round(share * pl.count_parameters(whole))
    sparsity = 1 - weights / pl.count_parameters(network)
    iterations = epochs * (len(data.x_train) // BATCH)
    data = pl.shifted(data, shift)
    teacher = pl.baseline(data, teacher, seed=seed)
    images = data.x_train, data.y_train
    how = {"batch_size": BATCH, "seed": seed, **setting}
    return pl.prune_gradually(network, teacher, *images, sparsity, iterations, **how)


def measure(setting):
    sizes = {name: tuple(map(int, setting[name].split("-"))) for name in ("units", "teacher")}
    share = setting["kept"]
    how = {name: value for name, value in setting.items() if name != "kept"}
    network = pruned_gradually(data, share, **how | sizes)
    row = {"weights": pl.count_parameters(network, nonzero=True)}
    for name, (x, y) in images.items():
        row[name] = 1 - pl.evaluate(pl.eager(network), x, y, network.loss)["accuracy"]
    return row


data = pl.load_dataset("mnist")
images = {
    "validation_error": (data.x_validation, data.y_validation),
    "training_error": (data.x_train[:10000], data.y_train[:10000]),
}
shares = map(float, sys.argv[1:] or ["0.0115"])
settings = [{"kept": share, **FIRST, **change} for share in shares for change in CHANGES]
for setting in settings:
    setting |= {name: "-".join(map(str, setting[name])) for name in ("units", "teacher")}
resumed(RESULTS / "choose_gradual.csv", settings, measure)
