"""From a trained convolutional network to a small file: prune, repair, train on, shrink, export.

python examples/residual_network.py --dataset fashion_mnist --output runs/residual_network

A network with BatchNormalization and two residual branches is trained; units that can only go
together are removed, the rest is repaired in closed form and trained on with the masks held, and
the smaller network that computes the same is built, compared with the dense one, and exported.
"""

import argparse
from pathlib import Path

import keras
import pandas as pd
from keras import layers

import pruninglib as pl
from pruninglib.atomic import written_whole
from pruninglib.experiments.paths import RUNS


def residual_network(pixels, classes, filters=(16, 32)):
    """Return an untrained network for square images that come as rows of pixels."""
    side = int(pixels**0.5)
    inputs = keras.Input((pixels,))
    x = layers.Reshape((side, side, 1))(inputs)
    for strides, width in enumerate(filters, 1):
        x = convolution(x, width, strides)
        branch = convolution(convolution(x, width), width, activation=None)
        x = layers.ReLU()(layers.Add()([x, branch]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes)(x), name="residual_network")


def convolution(x, filters, strides=1, activation="relu"):
    """Return what a 3 x 3 convolution, BatchNormalization and an activation make of x."""
    x = layers.Conv2D(filters, 3, strides, "same", use_bias=False)(x)
    return layers.Activation(activation)(layers.BatchNormalization(momentum=0.9)(x))


def story(dataset, sparsities, epochs, iterations, learning_rate, seed=0):
    """Yield (stage, sparsity, network): the dense one, and what becomes of it at each sparsity.

    Args:
        epochs, iterations: of the dense network's training, and of that of each pruned one.
        learning_rate: that both begin with; the first decays like a cosine, the other linearly.
    """
    keras.utils.set_random_seed(seed)
    x, y = dataset.x_train, dataset.y_train
    training = {"learning_rate": learning_rate, "jit_compile": False, "seed": seed}
    dense = residual_network(x.shape[1], int(y.max()) + 1)
    yield "dense", 0.0, pl.train(dense, x, y, epochs * (len(x) // 128), **training)
    for sparsity in sparsities:
        masks = pl.make_masks(dense, pl.unit_norm, sparsity, coupled=True)
        pruned = pl.prune(dense, masks)
        yield "pruned", sparsity, pruned
        repaired = pl.repair(pruned, dense, x[:2000])
        yield "repaired", sparsity, pl.shrink(repaired)
        held = pl.retrain(repaired, dense, x, y, iterations, schedule="linear", **training)
        yield "trained on", sparsity, pl.shrink(held)


def main(arguments=None):
    """Run the story, print its table, and write the table, the last plan and the networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.3, 0.5, 0.7, 0.8])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--learning-rate", type=float, default=0.003)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--validate", action="store_true", help="not on the test set")
    parser.add_argument("--output", type=Path, default=RUNS / "residual_network")
    options = parser.parse_args(arguments)
    dataset, tables = pl.load_dataset(options.dataset), []
    if options.validate:
        dataset = dataset._replace(x_test=dataset.x_validation, y_test=dataset.y_validation)
    batch_sizes = [size for size in (1, 64, 1024) if size <= len(dataset.x_test)]
    for seed in options.seeds:
        how = (options.sparsities, options.epochs, options.iterations, options.learning_rate, seed)
        networks = {(stage, removed): net for stage, removed, net in story(dataset, *how)}
        table = pl.compare(networks, dataset, batch_sizes, litert=True)
        stages = pd.DataFrame(table.pop("label").tolist(), columns=["stage", "sparsity"])
        tables.append(pd.concat([stages.assign(dataset=dataset.name, seed=seed), table], axis=1))
        print(tables[-1][["stage", "sparsity", "accuracy", "macs", "litert_bytes", "ms_64"]])
    smallest = options.sparsities[-1]
    with written_whole(options.output / "residual_network.csv") as path:
        pd.concat(tables).to_csv(path, index=False)
    with written_whole(options.output / "plan.csv") as path:
        plan = pl.plan_shrink(networks["pruned", smallest])
        pd.DataFrame(plan).to_csv(path, index=False)
    with written_whole(options.output / "residual_network.keras") as path:
        networks["trained on", smallest].save(path)
    with written_whole(options.output / "residual_network.tflite") as path:
        networks["trained on", smallest].export(path, format="litert", verbose=False)


if __name__ == "__main__":
    main()
