"""What networks achieve and what they cost, measured the same way for all."""

import keras
import numpy as np
import pandas as pd

from pruninglib.execution import compiled, count_macs, count_parameters, file_bytes
from pruninglib.graph import logits_layers, prunable_layers
from pruninglib.models import targets
from pruninglib.timing import time_models

# The columns that tell the networks of a table apart
NETWORK = ("dataset", "scope", "learning_rate", "seed", "method")


def evaluate(run, x, y, loss, batch_size=2000):
    """Return {"accuracy", "loss"} of a function inputs -> outputs, against integer labels.

    Args:
        loss: what the model was compiled with (`model.loss`).
    """
    if loss is None:
        raise ValueError("The model has no loss. Compile it: model.compile(loss=...).")
    outputs = np.concatenate([run(x[i : i + batch_size]) for i in range(0, len(x), batch_size)])
    losses = keras.losses.get(loss)(targets(y, loss, outputs.shape[-1]), outputs)
    return {
        "accuracy": float(np.mean(outputs.argmax(axis=1) == y)),
        "loss": float(np.mean(losses)),
    }


def compare(models, dataset, batch_sizes=(1, 64), repeats=30):
    """Return one table of what networks achieve and cost, one row for each.

    Args:
        models: {label: compiled Keras model}.
        batch_sizes, repeats: as in `time_models`; the networks run as compiled graphs.

    Columns: label, accuracy and loss on the test set, parameters, nonzero (parameters), macs
    (of one image), file_bytes, gzip_bytes, and for each batch size N: ms_N, ms_N_q1, ms_N_q3,
    the median and the quartiles of the milliseconds for one batch.
    """
    runs = {label: compiled(model) for label, model in models.items()}
    rows = {
        label: {
            "label": label,
            **evaluate(runs[label], dataset.x_test, dataset.y_test, model.loss),
            "parameters": count_parameters(model),
            "nonzero": count_parameters(model, nonzero=True),
            "macs": count_macs(model),
            "file_bytes": file_bytes(model),
            "gzip_bytes": file_bytes(model, compress=True),
        }
        for label, model in models.items()
    }
    for time in time_models(runs, dataset.x_test, batch_sizes, repeats):
        batch = f"ms_{time['batch_size']}"
        rows[time["label"]].update(
            {
                batch: time["median_ms"],
                f"{batch}_q1": time["q1_ms"],
                f"{batch}_q3": time["q3_ms"],
            }
        )
    return pd.DataFrame(list(rows.values()))


def percent(shares):
    """Return the mean and the standard deviation of shares, one for each seed, as text.

    >>> percent(pd.Series([0.97, 0.98, 0.99]))
    '98.0 ± 1.0 %'
    """
    spread = f" ± {100 * shares.std():.1f}" if len(shares) > 1 else ""
    return f"{100 * shares.mean():.1f}{spread} %"


def dead_units(model, inputs):
    """Return {layer name: bool array}: which hidden units output the same for all the inputs.

    The layers are those with units, but for the ones that make the logits.
    """
    names = [name for name in prunable_layers(model) if name not in logits_layers(model)]
    outputs = keras.Model(model.inputs, {name: model.get_layer(name).output for name in names})
    values = outputs.predict(inputs, batch_size=2000, verbose=0)
    return {
        name: np.ptp(values[name].reshape(-1, values[name].shape[-1]), axis=0) == 0
        for name in names
    }


def gain_over_dense(table):
    """Return each row's accuracy minus that at sparsity 0 of the same network and method.

    Args:
        table: rows of `prune_sweep`, sparsity 0 among them.
    """
    keys = [key for key in NETWORK if key in table]
    dense = table[table["sparsity"] == 0].set_index(keys)["accuracy"]
    return table["accuracy"] - table.set_index(keys).index.map(dense)


def plateau(table, tolerance=0.01):
    """Return, for each network and method, the largest sparsity that keeps the accuracy.

    Args:
        table: rows of `prune_sweep`, sparsity 0 among them.
        tolerance: what may be lost, as a share: 0.01 is one point.
    """
    keys = [key for key in NETWORK if key in table]
    rounding = 1e-9  # 0.97 - 0.98 is a little less than -0.01
    kept = table[gain_over_dense(table) >= -tolerance - rounding]
    return kept.groupby(keys, sort=False)["sparsity"].max().reset_index()
