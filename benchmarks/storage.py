"""Measure files of pruned networks, and the accuracy of what is in them.

    python benchmarks/storage.py --measure    adds what data/results/storage.csv lacks (40 minutes)
    python benchmarks/storage.py              writes the section of benchmarks/README.md from it
    python benchmarks/storage.py --validate   the rates of training shared weights, on validation

The network of the study, pruned by magnitude, repaired and retrained; and 784-300-100-10, pruned
gradually on moved images (profile frontier_shifted), for the published anchors. MNIST.
"""

import argparse
import io

import keras
import numpy as np
import pandas as pd
from sections import write_section

import pruninglib as pl
from evidence.choices.resumed import resumed
from pruninglib.execution.packed import packed_bytes
from pruninglib.experiments.paths import PUBLISHED, RESULTS

FILE = RESULTS / "storage.csv"
SPARSITIES, WEIGHTS, SEEDS = (0.9, 0.95, 0.98), (13_310, 6290, 4000), (0, 1, 2)
FORMS = {
    "keras": "`.keras`",
    "keras_gzip": "`.keras`, gzip",
    "savez_compressed": "`np.savez_compressed`",
    "litert_sparse": "LiteRT, sparse",
    "npz": "`.npz`",
    "npz_float16": "`.npz`, float16",
    "npz_32_values": "`.npz`, 32 values",
    "npz_16_values": "`.npz`, 16 values",
}
RATES = {"large": 0.001, "small": 0.001}  # of training shared weights, see --validate


def large(setting, data):
    """Return the trained network of the study and the same pruned, repaired and retrained."""
    dense = pl.baseline(data, seed=setting["seed"])
    pruned = pl.prune(dense, pl.make_masks(dense, pl.magnitude, setting["sparsity"]))
    repaired = pl.repair(pruned, dense, data.x_train[:10_000], ridge=0.01)
    total = 10 * (len(data.x_train) // 128)
    how = {"learning_rate": 0.016, "total": total, "distillation": 0.5, "seed": setting["seed"]}
    return dense, pl.retrain(repaired, dense, data.x_train, data.y_train, 500, **how)


def small(setting, data, images):
    """Return the teacher and 784-300-100-10 with so few weights, pruned while it learned from it."""
    teacher = pl.baseline(images, [300, 100], seed=setting["seed"])
    student = pl.make_mlp(784, [300, 100], 10, seed=setting["seed"])
    iterations = 100 * (len(data.x_train) // 128)
    how = {"end": 0.2, "regrowth": 0.5, "seed": setting["seed"]}
    x, y = images.x_train, images.y_train
    return teacher, pl.prune_gradually(
        student,
        teacher,
        x,
        y,
        1 - setting["weights"] / pl.count_parameters(student),
        iterations,
        **how,
    )


def shared(network, teacher, data, values, rate, seed):
    """Return the network with so many values for each kernel, trained on with them."""
    found = pl.share_weights(network, values)
    how = {"schedule": "linear", "distillation": 0.5, "seed": seed}
    x, y = data.x_train, data.y_train
    return pl.retrain(
        found, teacher, x, y, 1000, learning_rate=rate, callbacks=[pl.HoldShared()], **how
    )


def pruned(setting, data, images):
    """Return the unpruned network, the pruned one, and the images that it learned from."""
    if setting["network"] == "large":
        return *large(setting, data), data
    return *small(setting, data, images), images


def accuracy(network, data):
    """Return the accuracy of a classifier on the test images."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return pl.evaluate(pl.eager(network), data.x_test, data.y_test, loss)["accuracy"]


def measure(setting, data, images):
    """Return the columns of a row: bytes of each form, and the accuracy of what it holds."""
    dense, network, learn = pruned(setting, data, images)
    rounded = pl.strip(network)
    rounded.set_weights([w.astype(np.float16).astype(np.float32) for w in network.get_weights()])
    rate = RATES[setting["network"]]
    few = {n: shared(network, dense, learn, n, rate, setting["seed"]) for n in (32, 16)}
    compressed = io.BytesIO()
    np.savez_compressed(compressed, *network.get_weights())
    forms = {"dense": dense, "npz": network, "float16": rounded, **few}
    return {
        "left": pl.count_parameters(network, nonzero=True),
        "float32": 4 * pl.count_parameters(network),
        "keras": pl.file_bytes(network),
        "keras_gzip": pl.file_bytes(network, compress=True),
        "savez_compressed": compressed.getbuffer().nbytes,
        "litert_sparse": pl.litert(network, sparse=True, threads=1).bytes,
        "npz": packed_bytes(network),
        "npz_float16": packed_bytes(network, "float16"),
        **{f"npz_{n}_values": packed_bytes(each) for n, each in few.items()},
        **{f"accuracy_{form}": accuracy(each, data) for form, each in forms.items()},
    }


def validate(data, images):
    """Print the accuracy of shared weights on validation images, for several rates."""
    data = data._replace(x_test=data.x_validation, y_test=data.y_validation)
    settings = [{"network": "large", "sparsity": s, "seed": 0} for s in (0.9, 0.98)]
    for setting in (*settings, {"network": "small", "weights": 6290, "seed": 0}):
        dense, network, learn = pruned(setting, data, images)
        found = {"before": network, "shared": pl.share_weights(network, 16)}
        for rate in (0.0005, 0.001, 0.002, 0.004, 0.008):
            found[rate] = shared(network, dense, learn, 16, rate, 0)
        print(setting, {key: accuracy(each, data) for key, each in found.items()}, flush=True)


def section(table):
    """Return the section of benchmarks/README.md as Markdown."""
    held = {"npz_float16": "float16", "npz_32_values": "32", "npz_16_values": "16"}
    heads = ["| form | " + " | ".join(f"{s:.0%} pruned" for s in SPARSITIES) + " |"]
    lines = [*heads, "|---" * (1 + len(SPARSITIES)) + "|"]
    rows = table[table["network"] == "large"]
    for form, name in FORMS.items():
        cells = []
        for sparsity in SPARSITIES:
            found = rows[rows["sparsity"] == sparsity]
            ratio, of = found["float32"] / found[form], held.get(form, "npz")
            right = pl.percent(found[f"accuracy_{of}"], digits=2)
            cells.append(f"{ratio.mean():.1f}x, {right}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    small_rows = table[table["network"] == "small"]
    theirs = pd.read_csv(PUBLISHED / "frontier.csv").query("kind == 'bytes'")
    few = ["| weights left | form | kB | test error |", "|---|---|---|---|"]
    for weights in WEIGHTS:
        found = small_rows[small_rows["weights"] == weights]
        for form in ("npz", "npz_float16", "npz_32_values", "npz_16_values"):
            error = 1 - found[f"accuracy_{held.get(form, 'npz')}"]
            few.append(
                f"| {weights:,} | {FORMS[form]} | {found[form].mean() / 1000:.1f} "
                f"| {pl.percent(error, digits=2)} |"
            )
    for _, row in theirs.iterrows():
        few.append(
            f"| | {row['method']}, {row['source']}: {row['architecture']} | | {row['test_error']:.2%} |"
        )
    dense = pl.percent(rows["accuracy_dense"], digits=2)
    return f"""
How many times smaller than its float32 weights a file of 784-1000-1000-500-200-10 is, and the accuracy on
MNIST's test images of the network in it; {rows["seed"].nunique()} seeds, mean ± standard deviation. Pruned by magnitude,
repaired, retrained for 500 iterations; dense {dense}. `.npz` is `pl.export(model, "model.npz")`, without loss,
`float16` with `values="float16"`; for 32 or 16 values a layer, `pl.share_weights` and 1000 iterations with
`pl.HoldShared` at a rate chosen on validation images.

{chr(10).join(lines)}

784-300-100-10, pruned while it was trained for 100 epochs on images moved by a pixel, {small_rows["seed"].nunique()} seeds; and what was
published for it. Moved images lower the error, so that errors are not like for like:

{chr(10).join(few)}

The files hold all that it takes to load the model again: its structure, about 1 kB, too. A mask costs its entropy,
0.47, 0.29 and 0.14 bits a weight at 90, 95 and 98 %, and the LZMA of the zip container comes within an eighth of
it. LiteRT's converter stores single weights at 90 and 95 %, each with an index, and blocks of four at 98 %,
most of whose weights are zero: hence the larger file.
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--validate", action="store_true")
    options = parser.parse_args()
    if options.validate or options.measure:
        data = pl.load_dataset("mnist")
        images = pl.shifted(data)
    if options.validate:
        validate(data, images)
        return
    if options.measure:
        settings = [
            {"network": "large", "sparsity": s, "weights": 0, "seed": seed}
            for seed in SEEDS
            for s in SPARSITIES
        ] + [
            {"network": "small", "sparsity": 0, "weights": n, "seed": seed}
            for seed in SEEDS
            for n in WEIGHTS
        ]
        resumed(FILE, settings, lambda setting: measure(setting, data, images))
    write_section("Storage", section(pd.read_csv(FILE)))


main()
