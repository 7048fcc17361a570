"""Score weights and units by means of data.

Each function returns {layer name: scores}, which `make_masks` takes in place of a criterion, and
leaves the model as it is.
"""

from types import FunctionType

import numpy as np

from pruninglib.backend import keras
from pruninglib.progress_line import progress
from pruninglib.structure.activations import layer_rows
from pruninglib.structure.examples import examples, labelled, structured, targets
from pruninglib.structure.graph import check_model, dense_chain
from pruninglib.structure.layers import array_of, axes_within_units, kernel_of
from pruninglib.structure.prunable import prunable_layers


def activation_aware(model, inputs):
    """Score every weight by |w| times the norm of its input (Wanda, Sun et al. 2024).

    Args:
        model: a Sequential or Functional model; it is left as it is.
        inputs: unlabelled examples: an array, for several inputs a list or dict of arrays, or
            batches, such as a tf.data.Dataset; ValueError for others.

    Returns {layer name: scores of the kernel's shape} for the Dense and ungrouped Conv1D and
    Conv2D layers that are called once, those of nested models, too. `make_masks` ranks the scores
    of a layer together; Sun et al. rank those of each unit apart.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> scores = activation_aware(model, np.ones((9, 4)))
    >>> np.allclose(scores["hidden_1"], 3 * abs(model.layers[0].kernel.numpy()))
    True
    """
    check_model(model)
    scores = {}
    for name, layer, chunks in layer_rows(model, examples(model, inputs)):
        kernel = array_of(layer.kernel)
        squares = sum(np.square(x).sum(axis=0, dtype=np.float64) for x in chunks())
        norms = np.sqrt(squares)[: kernel[..., 0].size]
        scores[name] = np.abs(kernel) * norms.reshape(*kernel.shape[:-1], 1)
    return scores


def greedy_units(model, inputs):
    """Score units by the order in which a greedy selection picks them: 1 for the first.

    It picks the unit whose output, with those picked before, best fits the next layer's
    pre-activations (orthogonal least squares, Chen et al. 1989). `repair` then does the refitting.

    Args:
        model: a chain of Dense layers, with activations and dropout between them; ValueError for
            others. It is left as it is.
        inputs: unlabelled examples, as in `activation_aware`.

    Returns {layer name: scores (units,) in (0, 1]} for all Dense layers but the last.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> scores = greedy_units(model, np.random.default_rng(0).random((50, 4)))
    >>> {name: values.shape for name, values in scores.items()}
    {'hidden_1': (6,), 'hidden_2': (5,)}
    """
    check_model(model)
    number = len(prunable_layers(model))
    try:
        dense_chain(model)
    except ValueError as error:
        raise ValueError(f"greedy_units chooses in chains of Dense layers only. {error}") from error
    scores, before = {}, None
    rows = layer_rows(model, examples(model, inputs))
    for name, layer, chunks in progress(rows, "layer", number):
        if before is not None:
            gram = _gram(chunks(), centred=layer.use_bias)
            order = forward_selection(gram, array_of(layer.kernel))
            scores[before] = np.empty(len(order))
            scores[before][order] = 1 - np.arange(len(order)) / len(order)
        before = name
    return scores


def _gram(chunks, centred):
    """Return X.T @ X of all rows; `centred`: with the last column, a constant, projected out."""
    gram = sum((x.T @ x).astype(np.float64) for x in chunks)
    if not centred:
        return gram
    return gram[:-1, :-1] - np.outer(gram[:-1, -1], gram[-1, :-1]) / gram[-1, -1]


def taylor(model, inputs, labels, units=False, batch_size=128):
    """Score weights, or units, by the loss's first-order change without them (on TensorFlow).

    The square of w dL/dw, for units of its sum over their incoming weights, averaged over
    batches (Molchanov et al. 2019).

    Args:
        model: a model compiled with the loss L, else ValueError; it is left as it is.
        inputs, labels: as `fit` takes them, or integer labels also where the loss wants them
            one-hot; or, with labels=None, batches that hold both, such as a tf.data.Dataset.
        units: whether to score units.
        batch_size: examples in a batch.

    Returns {layer name: scores}, of the kernel's shape or (units,).
    """
    if keras.config.backend() != "tensorflow":
        raise ValueError(
            f"taylor needs Keras on TensorFlow, this is {keras.config.backend()}. Start with "
            "KERAS_BACKEND=tensorflow, or take activation_aware."
        )
    from pruninglib.backend import tf  # here, for the other scores do without

    check_model(model)
    layers = prunable_layers(model)
    kernels = {name: kernel_of(layer) for name, layer in layers.items()}
    if model.loss is None and type(model).compute_loss is keras.Model.compute_loss:
        raise ValueError("The model has no loss. Compile it: model.compile(loss=...).")
    summed = [axes_within_units(layer) for layer in layers.values()]
    arrays, labels = labelled(model, inputs, labels)
    if isinstance(labels, np.ndarray) and isinstance(model.loss, (str, keras.Loss, FunctionType)):
        labels = targets(labels, model.loss, model.output_shape[-1])

    @tf.function
    def products(x, y):
        with tf.GradientTape() as tape:
            outputs = model(x, training=False)
            value = model.compute_loss(x, y, outputs)  # what `fit` minimises, penalties included
        variables = [kernel.value for kernel in kernels.values()]
        none = tf.UnconnectedGradients.ZERO  # where the loss does not depend on a kernel
        slopes = tape.gradient(value, variables, unconnected_gradients=none)
        found = [w * g for w, g in zip(variables, slopes, strict=True)]
        return [
            tf.reduce_sum(p, axes) if units else p for p, axes in zip(found, summed, strict=True)
        ]

    pairs = (structured(model, arrays), labels)
    batches = tf.data.Dataset.from_tensor_slices(pairs).batch(batch_size)
    sums = [0.0] * len(kernels)
    for x, y in batches:
        sums = [total + product**2 for total, product in zip(sums, products(x, y), strict=True)]
    return {
        name: np.asarray(total).reshape(-1 if units else kernels[name].shape) / len(batches)
        for name, total in zip(kernels, sums, strict=True)
    }


def forward_selection(gram, weights):
    """Return the indices of all inputs in the order of orthogonal least squares (Chen et al. 1989).

    Next comes the input that, with those before it, leaves the least squared error of a new fit
    to X @ weights. Inputs that add nothing come last, in their order.

    Args:
        gram: X.T @ X, of shape (inputs, inputs).
        weights: array (inputs, units).

    Takes about inputs^2 * (3 inputs + 4 units) operations: the Cholesky factor of the chosen
    inputs grows by a row at a time, and no residual is computed.
    """
    size, units = weights.shape
    gram = np.asarray(gram, np.float64)
    cross = gram @ weights
    factor, explained = np.zeros((size, size)), np.zeros((size, units))
    left = np.diag(gram).copy()  # squared norms of what the chosen inputs do not span
    gain = np.square(cross).sum(axis=1)  # squared correlations with what is not yet fitted
    negligible = 1e-10 * left.max()
    chosen, open_ = [], np.ones(size, bool)
    for step in range(size):
        candidates = open_ & (left > negligible)
        if not candidates.any():
            break
        best = np.argmax(np.where(candidates, gain / np.maximum(left, negligible), -np.inf))
        chosen.append(best)
        open_[best] = False
        before = factor[:step, best]
        factor[step] = (gram[best] - before @ factor[:step]) / np.sqrt(left[best])
        explained[step] = (cross[best] - before @ explained[:step]) / np.sqrt(left[best])
        new, row = explained[step], factor[step]
        along = cross @ new - (explained[:step] @ new) @ factor[:step]
        gain += row * (row * (new @ new) - 2 * along)
        left -= row * row
    return np.concatenate([chosen, np.flatnonzero(open_)]).astype(int)
