"""Load the datasets: the handwritten digits of scikit-learn, MNIST and Fashion-MNIST."""

import gzip
import hashlib
import os
import struct
import zipfile
import zlib
from math import isqrt
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits

from pruninglib.backend import keras
from pruninglib.experiments.paths import data_folders

# MD5 of the official uncompressed IDX files (header, then bytes), whatever the local file format
MD5 = {
    "mnist": {
        "x_train": "6bbc9ace898e44ae57da46a324031adb",
        "y_train": "a25bea736e30d166cdddb491f175f624",
        "x_test": "2646ac647ad5339dbf082846283269ea",
        "y_test": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion_mnist": {
        "x_train": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "y_train": "9018921c3c673c538a1fc5bad174d6f9",
        "x_test": "8181f5470baa50b63fa0f6fddb340f0a",
        "y_test": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}
KERAS_FILES = {
    "mnist": "mnist.npz in the Keras cache (~/.keras/datasets or $KERAS_HOME/datasets)",
    "fashion_mnist": "fashion-mnist/*.gz in the Keras cache (~/.keras/datasets or "
    "$KERAS_HOME/datasets)",
}
DAMAGE = (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, ValueError, KeyError)


class Dataset(NamedTuple):
    """A training, a validation and a test set.

    Images x are float32 rows (images, pixels) in [0, 1], labels y are integers 0-9 (images,).
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load_dataset(name):
    """Return the dataset "digits", "mnist" or "fashion_mnist".

    The validation set is the last twelfth of the training set. "digits" (1,797 images of
    8 x 8 pixels, shuffled once, the last 297 for the test) ships with scikit-learn. The others
    (70,000 images of 28 x 28 pixels) are looked for in the folder $PRUNINGLIB_DATA, then in the
    project's data folder, then in the Keras cache; failing that, Keras downloads them.

    Raises ValueError for another name or if a file is not the official data, FileNotFoundError if
    there is none.

    >>> load_dataset("digits").x_train.shape
    (1375, 64)
    """
    if name == "digits":
        pixels, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(labels))
        x, y = pixels[order].astype(np.float32) / 16, labels[order]
        return _split(name, x[:1500], y[:1500], x[1500:], y[1500:])
    if name not in MD5:
        raise ValueError(f"Unknown dataset {name!r}; expected one of {['digits', *MD5]}.")
    arrays = _find(name)
    x_train, x_test = (
        arrays[key].reshape(-1, 28 * 28).astype(np.float32) / 255 for key in ("x_train", "x_test")
    )
    return _split(name, x_train, arrays["y_train"], x_test, arrays["y_test"])


def _split(name, x, y, x_test, y_test):
    end = len(x) - len(x) // 12
    y, y_test = y.astype(np.int64), y_test.astype(np.int64)
    return Dataset(name, x[:end], y[:end], x[end:], y[end:], x_test, y_test)


def _find(name):
    for folder in data_folders():
        if (path := folder / f"{name}.npz").exists():
            return _read(name, path)
    return _from_keras(name)


def _read(name, path):
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: file[key] for key in MD5[name]}
    except Exception as error:  # a damaged zip raises anything from KeyError to zlib.error
        raise ValueError(_damaged(name, path, repr(error))) from error
    return _checked(name, arrays, path)


def _from_keras(name):
    try:
        train, test = getattr(keras.datasets, name).load_data()
    except DAMAGE as error:
        raise ValueError(_damaged(name, KERAS_FILES[name], repr(error))) from error
    except Exception as error:  # Keras raises a bare Exception when a download fails
        project = data_folders()[-1]
        raise FileNotFoundError(
            f"{name} was found neither in the folder PRUNINGLIB_DATA "
            f"({os.environ.get('PRUNINGLIB_DATA', 'not set')}), nor in {project}, nor as "
            f"{KERAS_FILES[name]}, and the download failed: {error!r}. Three ways out: set "
            f"PRUNINGLIB_DATA to a folder that holds {name}.npz; copy {name}.npz into {project}; "
            'or use dataset="digits", which needs no file.'
        ) from error
    arrays = dict(zip(MD5[name], (*train, *test), strict=True))
    return _checked(name, arrays, KERAS_FILES[name])


def _checked(name, arrays, where):
    for key, array in arrays.items():
        if idx_md5(array) != MD5[name][key]:
            found = f"{key} with shape {array.shape} and type {array.dtype}"
            raise ValueError(_damaged(name, where, f"{found} is not the official content"))
    return arrays


def idx_md5(array):
    """Return the MD5 of an array in IDX form: magic number, shape, bytes."""
    header = struct.pack(f">{array.ndim + 1}I", 2048 + array.ndim, *array.shape)
    return hashlib.md5(header + np.ascontiguousarray(array).tobytes()).hexdigest()


def _damaged(name, where, what):
    return (
        f"{where} is not the official {name} dataset: {what}. Delete it to have Keras download "
        f'it again, put a whole {name}.npz in its place, or use dataset="digits".'
    )


def shifted(dataset, pixels=1):
    """Return a dataset with five times the training images: unmoved, and shifted each way.

    Args:
        dataset: a `Dataset` of square images, else ValueError; it is left as it is.
        pixels: distance of the shifts up, down, left and right; zeros move in. With 0 the dataset
            itself is returned.
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
