"""Measure networks, all in the same way: accuracy, costs, dead units, spread of their weights."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pruninglib.backend import keras
from pruninglib.execution.runtimes import default_executable, litert_file
from pruninglib.experiments.timing import time_models
from pruninglib.pruning.criteria import unit_norm
from pruninglib.structure.activations import layer_outputs
from pruninglib.structure.costs import count_macs, count_parameters, file_bytes
from pruninglib.structure.examples import collected, examples, labelled, targets
from pruninglib.structure.graph import check_model
from pruninglib.structure.layers import kernel_values
from pruninglib.structure.prunable import logits_layers, prunable_layers


def evaluate(run, x, y, loss, batch_size=2000):
    """Return {"accuracy", "loss"} of a function inputs -> outputs; without accuracy if it has none.

    A classifier has one: with integer labels and an output for each class, or with a binary
    cross-entropy or hinge loss and as many labels as outputs. What has numbers to meet has not.

    Args:
        run: function (examples, ...) -> (examples, outputs), such as an `Executable`.
        x, y: inputs (examples, ...) and labels; or, with y=None, batches that hold both, such as a
            tf.data.Dataset.
        loss: what the model was compiled with (`model.loss`); ValueError if it is None. Penalties,
            such as those of a kernel_regularizer, are not in it.
        batch_size: examples that run at a time.

    Raises ValueError for labels that do not go with the outputs.

    >>> logits = np.array([[2.0, 0.0], [0.0, 2.0]], np.float32)
    >>> evaluate(lambda x: x, logits, np.array([0, 0]), "mse")["accuracy"]
    0.5
    """
    if loss is None:
        raise ValueError("The model has no loss. Compile it: model.compile(loss=...).")
    if isinstance(loss, (dict, list, tuple)):
        raise ValueError(f"Expected one output and one loss, got {loss}. Measure each by itself.")
    if y is None:
        x, y = collected(x)
    if not hasattr(x, "shape"):
        raise ValueError(f"Expected an array of inputs, got {type(x).__name__}.")
    outputs = np.concatenate([run(x[i : i + batch_size]) for i in range(0, len(x), batch_size)])
    outputs, y = outputs if outputs.ndim > 1 else outputs[:, None], np.asarray(y)
    classes, limit = outputs.shape[-1], _limit(loss)
    if classes > 1 and limit is None and y.shape == outputs.shape[:-1]:
        right = outputs.argmax(axis=-1) == y
    elif y.size == outputs.size and not _of_classes(loss):
        y = y.reshape(outputs.shape)
        middle = 0 if "hinge" in _name(loss) else 0.5  # whose labels are -1 and 1, or 0 and 1
        right = None if limit is None else (outputs > limit) == (y > middle)
    else:
        raise ValueError(
            f"Expected {len(outputs)} labels as integers, got shape {y.shape} for outputs of shape "
            f"{outputs.shape} and the loss {_name(loss)!r}. Pass y.ravel() or, if they are "
            "one-hot, y.argmax(axis=1); for two classes with one output take a binary loss."
        )
    losses = keras.losses.get(loss)(targets(y, loss, classes), outputs)
    found = {} if right is None else {"accuracy": float(np.mean(right))}
    return found | {"loss": float(np.mean(keras.ops.convert_to_numpy(losses)))}


def _name(loss):
    loss = keras.losses.get(loss)
    return getattr(loss, "name", None) or loss.__name__


def _limit(loss):
    """Return the output above which a classifier of two classes says yes; None if it is no such."""
    if "binary" in _name(loss):
        return 0.0 if getattr(keras.losses.get(loss), "from_logits", False) else 0.5
    return 0.0 if _name(loss) in ("hinge", "squared_hinge") else None


def _of_classes(loss):
    """Say whether a loss compares several outputs with one class."""
    name = _name(loss)
    return "categorical" in name or ("crossentropy" in name and "binary" not in name)


def results(model, run, x, y):
    """Return what `evaluate` does, and the other metrics that a model was compiled with."""
    found = evaluate(run, x, y, model.loss)
    if (model.get_compile_config() or {}).get("metrics") in (None, [], ["accuracy"]):
        return found
    own = model.evaluate(x, y, batch_size=2000, verbose=0, return_dict=True)
    return {name: value for name, value in own.items() if name != "loss"} | found


def compare(models, dataset, batch_sizes=(1, 64), repeats=10, litert=False):
    """Return a DataFrame of what networks achieve and cost, one row for each.

    Args:
        models: {label: compiled Keras model}; they are left as they are. One input and output.
        dataset: a `Dataset`, of which the test set is used: arrays, or batches of inputs and
            labels as `x_test`, and None as `y_test`.
        batch_sizes, repeats: as in `time_models`; the networks run as compiled graphs.
        litert: whether to convert each to LiteRT, too, which takes a second or more.

    Columns: label, accuracy (of what is no classifier, the metrics that it was compiled with) and
    loss on the test set, parameters, nonzero (parameters), macs (of one image; NaN where
    `count_macs` cannot count them), file_bytes, gzip_bytes, litert_bytes (if asked for), and for
    each batch size N: ms_N, ms_N_q1, ms_N_q3, the median and quartiles of the milliseconds for one
    batch, and ms_N_steady, whether they settled (`steady` in `time_models`).
    """
    if not (isinstance(models, Mapping) and hasattr(dataset, "x_test")):
        raise TypeError(
            f"Expected models as {{label: model}} and a Dataset, got {type(models).__name__} and "
            f"{type(dataset).__name__}. Of arrays of your own make one: pl.Dataset(name, x_train, "
            "y_train, x_validation, y_validation, x_test, y_test)."
        )
    runs = {label: default_executable(model) for label, model in models.items()}
    (x,), y = labelled(next(iter(models.values())), dataset.x_test, dataset.y_test)
    rows = {
        label: {
            "label": label,
            **results(model, runs[label], x, y),
            "parameters": count_parameters(model),
            "nonzero": count_parameters(model, nonzero=True),
            "macs": _macs_or_nan(model),
            "file_bytes": file_bytes(model),
            "gzip_bytes": file_bytes(model, compress=True),
            **({"litert_bytes": len(litert_file(model))} if litert else {}),
        }
        for label, model in models.items()
    }
    for time in time_models(runs, x, batch_sizes, repeats):
        batch = f"ms_{time['batch_size']}"
        rows[time["label"]].update(
            {
                batch: time["median_ms"],
                f"{batch}_q1": time["q1_ms"],
                f"{batch}_q3": time["q3_ms"],
                f"{batch}_steady": time["steady"],
            }
        )
    return pd.DataFrame(list(rows.values()))


def _macs_or_nan(model):
    try:
        return count_macs(model)
    except ValueError:
        return np.nan


def dead_units(model, inputs):
    """Return {layer name: bool array (units,)}: which hidden units are constant over the inputs.

    The layers are all Dense and convolution layers but those that make the logits; those of nested
    models are named "model/layer". A unit of a layer that is called more than once is dead if its
    output is the same in all calls.

    Args:
        model: a Sequential or Functional model, else ValueError; it is left as it is.
        inputs: unlabelled examples, as in `activation_aware`.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = pl.prune(model, pl.make_masks(model, pl.unit_norm, 0.5))
    >>> dead = dead_units(pruned, np.random.default_rng(0).random((50, 4)))
    >>> bool(dead["hidden_1"].sum() >= 3)
    True
    """
    check_model(model)
    logits = logits_layers(model)
    low, high = {}, {}
    for name, values in layer_outputs(model, examples(model, inputs)):
        if name not in logits:
            low[name] = np.minimum(low.get(name, np.inf), values.min(axis=0))
            high[name] = np.maximum(high.get(name, -np.inf), values.max(axis=0))
    return {name: low[name] == high[name] for name in prunable_layers(model) if name in low}


def kernel_statistics(model, *, labels=None):
    """Yield a row for each hidden layer on the distributions of its weights and unit norms.

    Columns: layer, kurtosis (excess kurtosis of the weights: 0 for a Gaussian, -1.2 for a uniform
    distribution), small_weights and small_norms (the share of weight magnitudes, and of units'
    L2 norms, below half of the layer's mean).

    Args:
        model: a Sequential or Functional model, else ValueError; it is left as it is.
        labels: {column: value}, the same in all rows.
    """
    check_model(model)
    for name, layer in prunable_layers(model).items():
        if name not in logits_layers(model):
            kernel = kernel_values(layer).astype(np.float64)
            centred = kernel - kernel.mean()
            sizes, norms = np.abs(kernel), unit_norm(kernel)
            yield {
                **(labels or {}),
                "layer": name,
                "kurtosis": np.mean(centred**4) / np.mean(centred**2) ** 2 - 3,
                "small_weights": np.mean(sizes < sizes.mean() / 2),
                "small_norms": np.mean(norms < norms.mean() / 2),
            }
