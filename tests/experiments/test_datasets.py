"""The datasets are the official ones, or the error says which file to mend."""

import gc
import io
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits

from pruninglib import load_dataset
from pruninglib.experiments import datasets, paths
from pruninglib.experiments.datasets import idx_md5
from pruninglib.experiments.paths import ROOT

REAL = Path(os.environ.get("PRUNINGLIB_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Three empty places to look in, in order: PRUNINGLIB_DATA, the project's data, Keras.

    Keras has no network; `folders.keras` may be set to what its `load_data` returns.
    """

    class Folders:
        variable, project, keras = tmp_path / "variable", tmp_path / "project", None

    def load_data():
        if Folders.keras is None:
            raise Exception("URL fetch failure on https://example.org/mnist.npz: None -- no route")
        return Folders.keras

    Folders.variable.mkdir()
    Folders.project.mkdir()
    monkeypatch.setenv("PRUNINGLIB_DATA", str(Folders.variable))
    monkeypatch.setattr(paths, "DATA", Folders.project)
    monkeypatch.setattr(keras.datasets.mnist, "load_data", load_data)
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", load_data)
    return Folders


def fake(level=255):
    """A small set of the form of MNIST; all pixels have one level."""
    return {
        "x_train": np.full((24, 28, 28), level, np.uint8),
        "y_train": np.arange(24, dtype=np.uint8) % 10,
        "x_test": np.full((5, 28, 28), level, np.uint8),
        "y_test": np.arange(5, dtype=np.uint8),
    }


def declare_official(monkeypatch, arrays):
    monkeypatch.setitem(datasets.MD5, "mnist", {key: idx_md5(a) for key, a in arrays.items()})


def npz(arrays):
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def test_digits_are_all_there_and_shuffled_once():
    digits = load_dataset("digits")
    assert digits.name == "digits"
    parts = digits.x_train, digits.x_validation, digits.x_test
    assert [part.shape for part in parts] == [(1375, 64), (125, 64), (297, 64)]
    pixels, labels = load_digits(return_X_y=True)
    x = np.concatenate(parts) * 16
    y = np.concatenate([digits.y_train, digits.y_validation, digits.y_test])
    assert sorted(map(tuple, np.c_[x, y])) == sorted(map(tuple, np.c_[pixels, labels]))
    assert_array_equal(load_dataset("digits").x_train, digits.x_train)
    for part in (digits.y_train, digits.y_validation, digits.y_test):
        assert set(part) == set(range(10))


def assert_form(dataset):
    for x in (dataset.x_train, dataset.x_validation, dataset.x_test):
        assert x.dtype == np.float32 and x.ndim == 2
        assert x.min() >= 0 and x.max() == 1
    for y in (dataset.y_train, dataset.y_validation, dataset.y_test):
        assert y.dtype == np.int64 and y.ndim == 1


def test_digits_have_the_common_form():
    assert_form(load_dataset("digits"))


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"'cifar'; expected one of \['digits', 'mnist', 'fashi"):
        load_dataset("cifar")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.skipif(not (REAL / "mnist.npz").exists(), reason="the real datasets are not here")
def test_real_datasets(name, monkeypatch):
    monkeypatch.setenv("PRUNINGLIB_DATA", str(REAL))
    dataset = load_dataset(name)
    assert dataset.x_train.shape == (55000, 784) and dataset.y_train.shape == (55000,)
    assert dataset.x_validation.shape == (5000, 784) and dataset.y_validation.shape == (5000,)
    assert dataset.x_test.shape == (10000, 784) and dataset.y_test.shape == (10000,)
    assert_form(dataset)
    with np.load(REAL / f"{name}.npz") as file:
        assert_array_equal(dataset.y_validation, file["y_train"][-5000:])
        assert_array_equal(dataset.x_test[7] * 255, file["x_test"][7].ravel())


def test_md5_is_that_of_the_idx_file():
    header = bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3])
    expected = datasets.hashlib.md5(header + bytes([7, 8, 9])).hexdigest()
    assert idx_md5(np.array([[7, 8, 9]], np.uint8)) == expected
    assert idx_md5(np.array([[7, 0], [8, 0], [9, 0]], np.uint8)[:, :1].T) == expected


def test_validation_is_the_last_twelfth_of_the_training_set(folders, monkeypatch):
    arrays = fake(level=51)
    declare_official(monkeypatch, arrays)
    (folders.variable / "mnist.npz").write_bytes(npz(arrays))
    dataset = load_dataset("mnist")
    assert_array_equal(dataset.y_train, arrays["y_train"][:22])
    assert_array_equal(dataset.y_validation, arrays["y_train"][22:])
    assert_array_equal(dataset.y_test, arrays["y_test"])
    assert dataset.x_train.shape == (22, 784) and dataset.x_test.shape == (5, 784)
    assert_array_equal(np.unique(dataset.x_train), np.float32([0.2]))


@pytest.mark.parametrize("place", ["variable", "project", "keras"])
def test_places_are_looked_in_one_after_the_other(place, folders, monkeypatch):
    levels = {"variable": 1, "project": 2, "keras": 3}
    declare_official(monkeypatch, fake(levels[place]))
    arrays = fake(3)
    folders.keras = (
        (arrays["x_train"], arrays["y_train"]),
        (arrays["x_test"], arrays["y_test"]),
    )
    if place != "keras":
        (folders.project / "mnist.npz").write_bytes(npz(fake(2)))
    if place == "variable":
        (folders.variable / "mnist.npz").write_bytes(npz(fake(1)))
    assert load_dataset("mnist").x_train[0, 0] * 255 == pytest.approx(levels[place])


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_the_projects_folder_comes_first(value, folders, monkeypatch):
    if value is None:
        monkeypatch.delenv("PRUNINGLIB_DATA")
    else:
        monkeypatch.setenv("PRUNINGLIB_DATA", value)
    declare_official(monkeypatch, fake())
    (folders.project / "mnist.npz").write_bytes(npz(fake()))
    assert load_dataset("mnist").name == "mnist"


GOOD = npz(fake())
PIXELS = GOOD.index(b"x_train.npy") + 60  # a place within the packed pixels
DAMAGED = {
    "truncated": (GOOD[: len(GOOD) // 2], "Error|not a zip"),
    "truncated near the end": (GOOD[:-30], "BadZipFile"),
    "empty": (b"", "EOFError"),
    "text": (b"<html>not found</html>", "pickled"),
    "one byte changed": (GOOD[:PIXELS] + b"\0" + GOOD[PIXELS + 1 :], "error|BadZipFile"),
    "an array missing": (npz({k: a for k, a in fake().items() if k != "y_test"}), "y_test"),
    "wrong shape": (
        npz(fake() | {"x_test": np.zeros((5, 27, 28), np.uint8)}),
        r"x_test with shape \(5, 27, 28\) and type uint8",
    ),
    "wrong type": (
        npz(fake() | {"y_train": np.zeros(24, np.float32)}),
        r"y_train with shape \(24,\) and type float32",
    ),
    "altered": (npz(fake() | {"x_train": fake(254)["x_train"]}), "x_train .* not the official"),
    "pickled objects": (npz(fake() | {"y_test": np.array([{}] * 5)}), "allow_pickle=False"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_file_is_named_and_left_as_it_was(damage, folders, monkeypatch):
    content, what = DAMAGED[damage]
    declare_official(monkeypatch, fake())
    path = folders.variable / "mnist.npz"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"{path} is not the official mnist dataset: .*{what}"
    ) as e:
        load_dataset("mnist")
    assert e.match("Delete it to have Keras download it again") and e.match('dataset="digits"')
    assert path.read_bytes() == content
    del e
    gc.collect()  # an open file left behind is reported here
    assert os.listdir(folders.variable) == ["mnist.npz"] and os.listdir(folders.project) == []


def test_a_pickle_is_never_opened(folders):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(folders.project / "pickle-was-run"),)

    path = folders.variable / "mnist.npz"
    path.write_bytes(npz(fake() | {"y_train": np.array([Bomb()], object)}))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_dataset("mnist")
    assert os.listdir(folders.project) == []


def test_altered_keras_cache_is_named(folders):
    arrays = fake()
    folders.keras = (
        (arrays["x_train"], arrays["y_train"]),
        (arrays["x_test"], arrays["y_test"]),
    )
    with pytest.raises(
        ValueError, match=r"^mnist\.npz in the Keras cache .*is not the official mnist dataset"
    ):
        load_dataset("mnist")


def test_damaged_keras_cache_is_named(folders, monkeypatch):
    def load_data():
        raise EOFError("No data left in file")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", load_data)
    with pytest.raises(
        ValueError, match=r"^mnist\.npz in the Keras cache .*EOFError.*No data left"
    ):
        load_dataset("mnist")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_no_file_and_no_network_names_three_ways_out(name, folders):
    with pytest.raises(FileNotFoundError, match="Three ways out") as caught:
        load_dataset(name)
    assert caught.match("URL fetch failure")
    assert caught.match(f"set PRUNINGLIB_DATA to a folder that holds {name}.npz")
    assert caught.match(f"copy {name}.npz into {folders.project}")
    assert caught.match('dataset="digits", which needs no file')
    assert str(folders.variable) in str(caught.value)


def test_a_broken_connection_names_three_ways_out(folders, monkeypatch):
    def load_data():
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", load_data)
    with pytest.raises(FileNotFoundError, match=r"reset by peer.*Three ways out"):
        load_dataset("mnist")
