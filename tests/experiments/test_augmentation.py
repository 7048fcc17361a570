"""Images that were moved, pixel by pixel."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pruninglib import load_dataset, shifted


def tiny_images(values):
    x = np.array(values, np.float32)
    return load_dataset("digits")._replace(x_train=x, y_train=np.arange(len(x)))


def test_images_are_kept_and_moved_each_way():
    found = shifted(tiny_images([[1, 2, 3, 4], [5, 6, 7, 8]]), 1)
    expected = {(1, 2, 3, 4), (3, 4, 0, 0), (0, 0, 1, 2), (2, 0, 4, 0), (0, 1, 0, 3)}
    assert_array_equal(found.y_train, [0, 1] * 5)
    assert_array_equal(found.x_train[:2], [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert {tuple(image) for image in found.x_train[::2]} == expected


def test_nothing_but_the_training_images_changes():
    data = load_dataset("digits")
    found = shifted(data, 2)
    assert found.x_train.shape == (5 * len(data.x_train), 64)
    assert found.x_train.dtype == np.float32
    for one, other in zip(found[3:], data[3:], strict=True):
        assert one is other
    assert shifted(data, 0) is data


@pytest.mark.parametrize(("width", "pixels"), [(4, 2), (4, -1), (5, 1)])
def test_images_that_cannot_be_moved_are_refused(width, pixels):
    with pytest.raises(ValueError, match=rf"square images.*got {width} values and pixels={pixels}"):
        shifted(tiny_images(np.ones((3, width))), pixels)
