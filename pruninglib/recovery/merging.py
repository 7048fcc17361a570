"""Make up for removed units without data: add them to the kept units most like them."""

from itertools import pairwise

import numpy as np

from pruninglib.backend import keras
from pruninglib.pruning.held import held_masks
from pruninglib.structure.activations import matrix
from pruninglib.structure.chain import dense_chain
from pruninglib.structure.copying import fresh_copy
from pruninglib.structure.prunable import check_same_kernels


def merge_units(pruned, dense, threshold=0.45):
    """Return a copy of a model without some units whose outgoing weights went to similar units.

    A removed unit's outgoing weights are added to those of the kept unit whose incoming weights
    have the largest cosine similarity with its own, scaled by the ratio of their norms, if that
    similarity reaches the threshold (neuron merging, Kim et al. 2020; 0.45 is theirs). That ratio
    is right where the activation of a multiple is the multiple of the activation, as for ReLU.

    Args:
        pruned: `dense` pruned with unit masks, a chain of Dense layers; it is left untouched.
        dense: the model that was pruned.
    """
    check_same_kernels(dense, pruned)
    try:
        layers = [x for x in dense_chain(pruned) if isinstance(x, keras.layers.Dense)]
    except ValueError as error:
        raise ValueError(f"merge_units works on chains of Dense layers only. {error}") from error
    merged = fresh_copy(pruned)
    for layer, after in pairwise(layers):
        incoming = matrix(dense.get_layer(layer.name)).astype(np.float64)
        mask = _mask(layer)
        kept = mask if mask.ndim == 1 else np.ones(layer.units, bool)
        share = _shares(incoming, kept, threshold)
        kernel = np.asarray(dense.get_layer(after.name).kernel)
        merged.get_layer(after.name).kernel.assign(np.where(_mask(after), share @ kernel, 0))
    return merged


def _mask(layer):
    held = held_masks(layer).get("kernel")
    return np.asarray(held.mask) if held else np.ones(layer.units, bool)


def _shares(incoming, kept, threshold):
    """Return the matrix that moves the outgoing weights of removed units to kept ones."""
    norms = np.linalg.norm(incoming, axis=0)
    directions = incoming / np.maximum(norms, np.finfo(float).tiny)
    share = np.diag(kept.astype(float))
    for unit in np.flatnonzero(~kept):
        similarity = np.where(kept, directions.T @ directions[:, unit], -1)
        best = similarity.argmax()
        if similarity[best] >= threshold:
            share[best, unit] = norms[unit] / norms[best]
    return share
