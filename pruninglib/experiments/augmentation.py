"""More training images from those that there are."""

from math import isqrt

import numpy as np


def shifted(dataset, pixels=1):
    """Return a dataset with five times the training images: in place, and moved each way.

    Args:
        dataset: a `Dataset` of square images.
        pixels: how far they are moved up, down, left and right; zeros move in. 0 gives the
            dataset as it is.
    """
    if not pixels:
        return dataset
    x, y = dataset.x_train, dataset.y_train
    side = isqrt(x.shape[1])
    if side**2 != x.shape[1] or not 0 < pixels < side:
        raise ValueError(
            "Expected square images as rows, and pixels from 0 to less than their side, got "
            f"{x.shape[1]} values and pixels={pixels}."
        )
    framed = np.pad(x.reshape(-1, side, side), ((0, 0), (pixels, pixels), (pixels, pixels)))
    corners = [(0, 0), (pixels, 0), (-pixels, 0), (0, pixels), (0, -pixels)]
    moved = [
        framed[:, pixels + down : pixels + down + side, pixels + right : pixels + right + side]
        for down, right in corners
    ]
    x_train = np.concatenate(moved).reshape(-1, side**2)
    return dataset._replace(x_train=x_train, y_train=np.tile(y, len(moved)))
