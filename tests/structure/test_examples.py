"""Whatever users have becomes arrays as the model takes them, or an error says what it expects."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from networks import dense
from numpy.testing import assert_array_equal

from pruninglib.structure.examples import examples, labelled, structured

X, Y = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32), np.arange(10) % 3


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((4,)), dense(3)])


class Batches(keras.utils.PyDataset):
    """Three batches, or with `endless` one after another for ever."""

    def __init__(self, endless=False):
        super().__init__()
        self.endless = endless

    def __getitem__(self, i):
        part = slice(4 * (i % 3), 4 * (i % 3) + 4)
        return X[part], Y[part]

    @property
    def num_batches(self):
        return None if self.endless else 3


def from_tensors(batch=4):
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(batch)


SINGLE = {
    "array": lambda: X,
    "list": X.tolist,
    "list of one array": lambda: [X],
    "by name": lambda: {"only": X},
    "tensor": lambda: tf.constant(X),
    "doubles": lambda: X.astype(np.float64),
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices(X).batch(4),
    "tf.data with labels": from_tensors,
    "generator": lambda: (X[i : i + 3] for i in range(0, 10, 3)),
    "generator with labels": lambda: ((X[i : i + 3], Y[i : i + 3]) for i in range(0, 10, 3)),
    "PyDataset": Batches,
}


@pytest.mark.parametrize("make", SINGLE.values(), ids=SINGLE)
def test_all_forms_of_a_single_input_are_one_array(make):
    inputs = keras.Input((4,), name="only")
    (found,) = examples(keras.Model(inputs, dense(3)(inputs)), make())
    assert found.dtype == np.float32
    assert_array_equal(found, X)


@pytest.mark.parametrize("make", [from_tensors, Batches])
def test_labels_come_with_their_batches(make, model):
    (found,), labels = labelled(model, make())
    assert_array_equal(found, X)
    assert_array_equal(labels, Y)


def two(names=("one", "other"), as_dict=False):
    inputs = [keras.Input((4,), name=names[0]), keras.Input((2,), name=names[1])]
    given = dict(zip(names, inputs, strict=True)) if as_dict else inputs
    return keras.Model(given, dense(3)(layers.Concatenate()(inputs)))


PAIR = [X, X[:, :2] + 1]
BY_NAME = {"other": PAIR[1], "one": PAIR[0]}


@pytest.mark.parametrize(
    "data",
    [PAIR, tuple(PAIR), BY_NAME, ((tuple(PAIR), Y) for _ in "1"), (BY_NAME for _ in "1")],
    ids=["list", "tuple", "dict", "batches of tuples", "batches of dicts"],
)
def test_several_inputs_come_in_the_order_of_the_model(data):
    for found, wanted in zip(examples(two(), data), PAIR, strict=True):
        assert_array_equal(found, wanted)


def test_a_model_of_a_dict_is_called_with_one():
    model = two(["z", "a"], as_dict=True)
    found = examples(model, {"z": PAIR[0], "a": PAIR[1]})
    assert [array.shape for array in found] == [(10, 2), (10, 4)]
    given = structured(model, found)
    assert {name: array.shape for name, array in given.items()} == {"z": (10, 4), "a": (10, 2)}
    assert np.asarray(model(given)).shape == (10, 3)


def typed(dtype, shape=(1,)):
    inputs = keras.Input(shape, dtype=dtype, name="ids")
    return keras.Model(inputs, layers.Lambda(lambda x: x)(inputs))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool", "float64", "string"])
def test_values_keep_their_type(dtype):
    values = {"bool": [[True], [False]], "string": [["a"], ["bc"]]}.get(dtype, [[1], [200]])
    (found,) = examples(typed(dtype), np.array(values))
    assert found.tolist() == values
    assert dtype == "string" or found.dtype == dtype


def test_large_numbers_stay_what_they_are():
    (found,) = examples(typed("int64"), [[2**40 + 1], [3]])
    assert found.tolist() == [[2**40 + 1], [3]]


@pytest.mark.parametrize(
    ("dtype", "values", "message"),
    [
        ("int32", [[2**40]], "int64 with values that int32 does not hold"),
        ("int32", [[0.5]], "float64 with values that int32 does not hold"),
        ("uint8", [[-1]], "values that uint8 does not hold"),
        ("float32", [[2**24 + 1]], "values that float32 does not hold.*dtype"),
        ("float32", [["a"]], "Expected numbers for 'ids', got"),
        ("float32", [[np.nan], [np.inf]], "2 of the 2 input values are NaN or infinite"),
        ("float32", [[1e300]], "NaN or infinite"),
    ],
)
def test_values_that_do_not_fit_the_type_are_refused(dtype, values, message):
    with pytest.raises(ValueError, match=message):
        examples(typed(dtype), np.array(values))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones((3, 5)), r"inputs of shape \(examples, 4\), got \(3, 5\)"),
        (np.ones(4), r"got \(4,\)"),
        (np.ones((3, 4, 1)), r"got \(3, 4, 1\)"),
        (np.ones((0, 4)), r"got \(0, 4\)"),
        ({"x": X}, r"Expected inputs named \['only'\], got \['x'\]"),
        ((x for x in X), r"got \(40,\)"),
        ((1.0 for _ in "ab"), "single numbers. Batch them first"),
        (iter(()), "gave no batch"),
        (tf.data.Dataset.from_tensor_slices(X).batch(2).repeat(), r"never ends.*data\.take"),
        (Batches(endless=True), "never ends"),
    ],
)
def test_what_does_not_fit_is_refused(data, message):
    inputs = keras.Input((4,), name="only")
    with pytest.raises(ValueError, match=message):
        examples(keras.Model(inputs, dense(3)(inputs)), data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X, r"has 2 inputs, expected a list of as many arrays in the order \['one', 'other'\]"),
        ([*PAIR, X], "has 2 inputs"),
        ({"one": X}, r"Expected inputs named \['one', 'other'\], got \['one'\]"),
        ([X, X[:5, :2]], r"with \[10, 5\] examples"),
    ],
)
def test_several_inputs_that_do_not_fit_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        examples(two(), data)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, None, "inputs and labels, such as two arrays"),
        (Batches(), Y, "no labels beside them"),
        (tf.data.Dataset.from_tensor_slices(X).batch(4), None, "hold no labels"),
        (X, Y[:5], "10 examples, but 5 labels"),
        (((X, Y, Y) for _ in "1"), None, "sample weights"),
    ],
)
def test_labels_that_do_not_fit_are_refused(x, y, message, model):
    with pytest.raises(ValueError, match=message):
        labelled(model, x, y)


@pytest.mark.parametrize("make", [lambda: from_tensors().repeat(), lambda: Batches(endless=True)])
def test_endless_batches_are_taken_as_far_as_asked_for(make, model):
    (found,), labels = labelled(model, make(), most=13)
    assert_array_equal(found, np.concatenate([X, X])[:13])
    assert len(labels) == 13


def test_batches_beyond_memory_are_refused(model, monkeypatch):
    monkeypatch.setattr("pruninglib.structure.examples.MANY", 100)
    with pytest.raises(ValueError, match=r"more than 100 numbers.*data\.take"):
        examples(model, (X for _ in range(10**9)))


def test_a_subclassed_model_gets_what_is_given():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    own = Own()
    assert_array_equal(structured(own, examples(own, X)), X)
    assert_array_equal(structured(own, examples(own, PAIR))[1], PAIR[1])


def test_a_model_of_batches_of_one_size_is_refused():
    model = keras.Sequential([keras.Input(batch_shape=(8, 4)), dense(3)])
    with pytest.raises(ValueError, match=r"batches of exactly 8 examples.*keras\.Input\(shape\)"):
        examples(model, X)
