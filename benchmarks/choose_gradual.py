"""Choose how to prune 784-300-100-10 gradually on the validation split, never on the test set.

    python benchmarks/choose_gradual.py [SHARE ...]

For each share of the weights to keep (default 0.0115, which is 3,061 of 266,200): one network for
each setting, which differs in one thing from the first. Adds to data/results/choose_gradual.csv
what is not there yet: the error on the validation images, and for comparison on 10,000 of the
training images, after the last iteration (seed 0).
"""

import sys
from math import gcd

import pandas as pd

import pruninglib as pl
from pruninglib.paths import RESULTS, written_whole

BATCH, SIZE = 128, (300, 100)
FILE = RESULTS / "choose_gradual.csv"
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
}
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
    {"end": 0.2},
    {"end": 0.9},
    {"frequency": 400},
    {"teacher": (1000, 1000, 500, 200)},
    {"scope": "layer"},
    {"epochs": 100},
    {"epochs": 200},
    {"epochs": 200, "units": (62, 51)},
]


def prune_gradually(
    data,
    share,
    units,
    teacher,
    epochs,
    learning_rate,
    distillation,
    regrowth,
    end,
    frequency,
    scope,
    seed=0,
):
    student, whole = (pl.make_mlp(784, hidden, 10, seed=seed) for hidden in (units, SIZE))
    left = round(share * pl.count_parameters(whole)) / pl.count_parameters(student)
    teacher = pl.baseline(data, teacher, seed=seed)
    total = epochs * (len(data.x_train) // BATCH)
    when = {"begin": total // 20, "frequency": frequency, "scope": scope}
    every = [layer.name for layer in student.layers]
    callbacks = [
        pl.GradualPruning(pl.magnitude, 1 - left, end=int(end * total), layers=every, **when)
    ]
    if regrowth:
        callbacks.append(pl.Regrowth(regrowth, end=total * 9 // 10, **when))
    how = (total, learning_rate, "rewound", total, distillation, BATCH, seed, callbacks)
    images = data.x_train, data.y_train
    return pl.retrain(student, teacher, *images, *how, steps_per_execution=gcd(total, 50))


data = pl.load_dataset("mnist")
images = {
    "validation_error": (data.x_validation, data.y_validation),
    "training_error": (data.x_train[:10000], data.y_train[:10000]),
}
table = pd.read_csv(FILE) if FILE.exists() else pd.DataFrame()
for share in map(float, sys.argv[1:] or ["0.0115"]):
    for change in CHANGES:
        setting = FIRST | change
        row = {
            "kept": share,
            **setting,
            **{n: "-".join(map(str, setting[n])) for n in ("units", "teacher")},
        }
        if len(table) and (table[list(row)] == pd.Series(row)).all(axis=1).any():
            continue
        network = prune_gradually(data, share, **setting)
        row["weights"] = pl.count_parameters(network, nonzero=True)
        for name, (x, y) in images.items():
            row[name] = 1 - pl.evaluate(pl.eager(network), x, y, network.loss)["accuracy"]
        table = pd.concat([table, pd.DataFrame([row])])
        with written_whole(FILE) as path:
            table.to_csv(path, index=False)
        print(row, flush=True)
