"""All ways to run a network agree with Keras, on any batch and any number of threads."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import keras
import numpy as np
import onnxruntime
import pytest
from ai_edge_litert import interpreter
from cases import more
from keras import layers
from networks import dense
from numpy.testing import assert_allclose

from pruninglib import (
    compiled,
    count_parameters,
    eager,
    export,
    file_bytes,
    litert,
    magnitude,
    make_masks,
    numpy_dense,
    onnx,
    prune,
    shrink,
    sparse,
    unit_norm,
)
from pruninglib.execution import executable, numpy_runtime
from pruninglib.execution.numpy_runtime import count_compact
from pruninglib.execution.runtimes import tf_sparse

WAYS = {
    "eager": eager,
    "compiled": compiled,
    "compiled, weights read": partial(compiled, frozen=False),
    "sparse (numba)": sparse,
    "sparse (scipy)": partial(sparse, library="scipy"),
    "NumPy": numpy_dense,
    "LiteRT": litert,
    "LiteRT, sparse": partial(litert, sparse=True),
    "ONNX Runtime": onnx,
}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6)).astype(np.float32)


def randomize(model):
    for weight in model.weights:
        if "seed" not in weight.path:
            weight.assign(RNG.uniform(0.2, 1, weight.shape) * RNG.choice([-1, 1], weight.shape))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(np.abs(layer.moving_variance))
    return model


def chain_network():
    """A chain of Dense layers with whatever may stand between, before and after them."""
    return randomize(
        keras.Sequential(
            [
                keras.Input((6,)),
                layers.Rescaling(0.5),
                layers.Dropout(0.5),
                dense(40, None),
                layers.BatchNormalization(),
                layers.ReLU(negative_slope=0.1),
                layers.Dropout(0.5),
                dense(30, "tanh"),
                dense(20),
                layers.BatchNormalization(scale=False, center=False),
                layers.Activation("relu"),
                dense(10, "softmax"),
                layers.Rescaling(3.0),
            ]
        )
    )


@pytest.fixture(scope="module")
def networks():
    model = chain_network()
    masked = prune(model, make_masks(model, magnitude, 0.8))
    fewer = prune(model, make_masks(model, unit_norm, 0.7))
    return {"dense": model, "masked": masked, "shrunk": shrink(fewer)}


@pytest.fixture(scope="module")
def executables(networks):
    class Made(dict):
        """Those that a test asked for."""

        def __missing__(self, key):
            name, way = key
            return self.setdefault(key, WAYS[way](networks[name]))

    return Made()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["masked", *more("shrunk", "dense")])
def test_every_way_computes_what_keras_does(name, way, networks, executables):
    run = executables[name, way]
    expected = networks[name].predict(X, verbose=0)
    for size in (1, 2, 7, 9, 64, 300, 3):
        found = run(X[:size])
        assert type(found) is np.ndarray and found.dtype == np.float32
        assert_allclose(found, expected[:size], rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("way", WAYS)
def test_any_float_array_will_do(way, networks, executables):
    inputs = np.asfortranarray(X[::2].astype(np.float64))
    expected = networks["masked"](X[::2])
    assert_allclose(executables["masked", way](inputs), expected, rtol=1e-5, atol=1e-5)


SHARING = [way for way in WAYS if way.startswith(("sparse", "LiteRT"))]


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=[pytest.mark.more] * ("," in way)) for way in SHARING]
)
def test_threads_share_the_batch(way, networks, executables, monkeypatch):
    monkeypatch.setattr(executable, "WORTH_SHARING", 0)
    pools, make = [], executable._pools
    monkeypatch.setattr(
        executable, "_pools", lambda count: pools.extend(made := make(count)) or made
    )
    run = WAYS[way](networks["masked"], threads=3)
    expected = executables["masked", "eager"](X)
    for size in (1, 2, 3, 4, 300):
        assert_allclose(run(X[:size]), expected[:size], rtol=1e-5, atol=1e-5)
    assert run.threads == len(pools) == 3


@pytest.mark.parametrize("way", WAYS)
def test_two_callers_at_once_get_their_own_outputs(way, executables):
    run, parts = executables["masked", way], [X[:5], X[100:140]]
    expected = [run(part) for part in parts]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(30):
            found = pool.map(run, parts)
            for one, other in zip(found, expected, strict=True):
                assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", [*WAYS][1:])
def test_inputs_of_another_shape_are_refused(way, executables):
    for wrong in (X[:, :5], np.hstack([X, X]), X[0], X[:4, :, None]):
        with pytest.raises(ValueError, match=r"inputs of shape \(batch, 6\), got \("):
            executables["masked", way](wrong)


@pytest.mark.parametrize("way", WAYS)
def test_no_images_give_no_outputs(way, executables):
    assert executables["masked", way](X[:0]).shape == (0, 10)


# not eager: Keras' own Flatten makes (0, 144) of no images at all
@pytest.mark.parametrize("way", [way for way in WAYS if way[:2] not in ("ea", "sp", "Nu")])
def test_no_images_pass_convolutions(way):
    run = WAYS[way](convolutions())
    for size in (0, 2, 0):
        assert run(np.ones((size, 6, 6, 1), np.float32)).shape == (size, 3)


@pytest.mark.parametrize("way", [litert, sparse, onnx])
@pytest.mark.parametrize("threads", [0, *more(-1, 2.0)])
def test_threads_are_a_positive_number(way, threads, mlp):
    with pytest.raises(ValueError, match=rf"from 1, got {threads}"):
        way(mlp, threads=threads)


def test_onnx_runtime_shares_the_work_itself(networks, monkeypatch):
    counts = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, content, options, providers):
            counts.append(options.intra_op_num_threads)
            super().__init__(content, options, providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    run = onnx(networks["masked"], threads=3)
    assert counts == [3] and run.threads == 3
    assert_allclose(run(X), networks["masked"](X), rtol=1e-5, atol=1e-5)


@pytest.mark.more
@pytest.mark.parametrize(("large", "expected"), [(0, [1, 1, 1, 3]), (1e9, [1, 1, 1])])
def test_litert_shares_an_example_if_it_is_large(large, expected, networks, monkeypatch):
    """The interpreter with threads of its own runs batches of fewer examples than threads."""
    made, used, module = [], [], sys.modules["pruninglib.execution.runtimes"]
    make = module._function

    class Interpreter(interpreter.Interpreter):
        def __init__(self, model_content, num_threads):
            made.append(num_threads)
            super().__init__(model_content=model_content, num_threads=num_threads)
            self.count = num_threads

    def counted(one):
        run = make(one)
        return lambda inputs: used.append(one.count) or run(inputs)

    monkeypatch.setattr(interpreter, "Interpreter", Interpreter)
    monkeypatch.setattr(module, "_function", counted)
    monkeypatch.setattr(module, "LARGE", large)
    run = litert(networks["masked"], threads=3)
    assert made[1:] == expected  # the first tries the file
    for size in (1, 2, 3):
        assert_allclose(run(X[:size]), networks["masked"](X[:size]), rtol=1e-5, atol=1e-5)
    assert used[1:] == ([1, 1, 1] if large else [3, 3, 1])


@pytest.mark.more
def test_a_shape_that_litert_cannot_run_spoils_no_other():
    parts = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), dense(2)]
    model = keras.Sequential([keras.Input((None, None, 1)), *parts])
    run, images = litert(model, threads=1), RNG.normal(size=(2, 8, 8, 1)).astype(np.float32)
    for _ in range(2):
        assert_allclose(run(images), model(images), rtol=1e-4, atol=1e-5)
        with pytest.raises(ValueError, match=r"cannot run inputs of shape \(2, 2, 2, 1\)"):
            run(images[:, :2, :2])


@pytest.mark.parametrize("way", WAYS)
def test_an_executable_says_what_it_is(way, executables):
    run = executables["masked", way]
    assert run.runtime == ("compiled" if way.startswith("compiled") else way)
    assert run.threads >= 1 and isinstance(run.threads, int)
    assert repr(run) == f"Executable(runtime={run.runtime!r}, threads={run.threads})"


@pytest.mark.more
def test_bytes_are_those_of_the_files(networks, executables, tmp_path):
    files = {"LiteRT": ("a.tflite", {}), "LiteRT, sparse": ("b.tflite", {"sparse": True})}
    for way, (name, how) in (files | {"sparse (numba)": ("a.npz", {})}).items():
        export(networks["masked"], tmp_path / name, **how)
        assert executables["masked", way].bytes == (tmp_path / name).stat().st_size
    for way in ("eager", "compiled", "NumPy"):
        assert executables["masked", way].bytes == file_bytes(networks["masked"])
    assert executables["dense", "ONNX Runtime"].bytes > 4 * (6 * 40 + 40 * 30 + 30 * 20 + 20 * 10)


def test_frozen_weights_are_those_of_the_moment(mlp):
    x = X[:, :4]
    eagerly, frozen, live = eager(mlp), compiled(mlp), compiled(mlp, frozen=False)
    before = mlp(x)
    mlp.get_layer("logits").kernel.assign(np.zeros((5, 3)))
    assert_allclose(frozen(x), before, rtol=1e-5, atol=1e-6)
    assert not live(x).any() and not eagerly(x).any()


@pytest.mark.parametrize("way", WAYS)
def test_the_model_is_left_as_it_was(way, trained):
    before, optimizer = trained.get_weights(), trained.optimizer
    WAYS[way](trained)(X[:, :4])
    assert trained.optimizer is optimizer
    for one, other in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def convolutions():
    parts = [layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), dense(3, None)]
    return randomize(keras.Sequential([keras.Input((6, 6, 1)), *parts]))


@pytest.mark.parametrize("way", [way for way in WAYS if way[:2] not in ("sp", "Nu")])
def test_convolutions_run_too(way):
    model, images = convolutions(), RNG.normal(size=(20, 6, 6, 1)).astype(np.float32)
    assert_allclose(WAYS[way](model)(images), model(images), rtol=1e-4, atol=1e-4)


def residual():
    inputs = keras.Input((6,))
    x = dense(6)(inputs)
    return keras.Model(inputs, dense(2)(layers.Add()([x, inputs])))


REFUSED = {
    "branches": (residual, "is not one in a chain of layers"),
    "no Dense": (lambda: keras.Sequential([keras.Input((6,)), layers.ReLU()]), "no Dense layer"),
    "softmax between": (
        lambda: keras.Sequential([keras.Input((6,)), dense(3, "softmax"), dense(2)]),
        r"\(Dense\) stands between Dense layers; only BatchNormalization.*compiled\(model\)",
    ),
    "sequences": (
        lambda: keras.Sequential([keras.Input((5, 6)), dense(3), dense(2)]),
        r"inputs of shape \(None, 5, 6\), expected \(batch, inputs\)",
    ),
}


@pytest.mark.parametrize("way", [sparse, numpy_dense])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_chain_of_dense_layers_is_refused(kind, way):
    make, message = REFUSED[kind]
    with pytest.raises(ValueError, match=message):
        way(make())


class Augment(layers.Layer):
    """Adds ten in training; like Keras' layers that augment images it thinks it always is."""

    def call(self, inputs, training=True):
        return inputs + 10 if training else inputs


def surrounded(start, end):
    """Dense layers with something before and after them."""
    inputs = keras.Input((6,))
    return randomize(keras.Model(inputs, end(dense(3)(dense(4)(start(inputs))))))


SURROUNDED = {
    "augmented": lambda: surrounded(Augment(), Augment()),
    "arithmetic": lambda: surrounded(lambda x: x / 2.0, lambda x: x * 3.0),
    "nested": lambda: surrounded(
        keras.Sequential([keras.Input((6,)), layers.Rescaling(2.0)]), layers.Softmax()
    ),
    "dropout": lambda: surrounded(layers.Dropout(0.5), layers.Dropout(0.5)),
}


@pytest.mark.parametrize("way", [sparse, partial(sparse, library="scipy"), numpy_dense])
def test_units_that_are_always_zero_are_left_out(way, monkeypatch):
    parts = [dense(8), dense(7, None), dense(6, "gelu"), dense(5), layers.BatchNormalization()]
    model = randomize(keras.Sequential([keras.Input((6,)), *parts, dense(3)]))
    shares = {layer.name: 0.5 for layer in parts[:4]}
    pruned, sizes = prune(model, make_masks(model, unit_norm, shares)), []
    product = numpy_runtime.product
    monkeypatch.setattr(
        numpy_runtime, "product", lambda k, *how: sizes.append(k.shape) or product(k, *how)
    )
    run = way(pruned)
    assert sizes == [(6, 4), (4, 3), (3, 3), (3, 3), (3, 3)]
    assert_allclose(run(X), pruned(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", [sparse, partial(sparse, library="scipy"), numpy_dense])
def test_a_unit_with_nothing_but_a_bias_is_no_dead_one(way):
    model = randomize(keras.Sequential([keras.Input((6,)), dense(4), dense(3, None)]))
    kernel = np.array(model.layers[0].kernel)
    kernel[:, 1] = 0
    model.layers[0].kernel.assign(kernel)
    model.layers[0].bias.assign([0.5, 2.0, 0.5, 0.5])
    assert_allclose(way(model)(X), model(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", [sparse, partial(sparse, library="scipy"), numpy_dense])
def test_units_go_as_in_shrink(way):
    """Those without a bias, those that are constant with one, and those that nothing reads."""
    rng = np.random.default_rng(0)
    for round_ in range(5):
        parts = [dense(9, bias=round_ % 2), dense(8, None), layers.Dropout(0.1), dense(7)]
        model = randomize(keras.Sequential([keras.Input((6,)), *parts, dense(3, "tanh")]))
        for layer in model.layers:
            if isinstance(layer, layers.Dense):
                kernel = np.array(layer.kernel)
                kernel[:, rng.random(kernel.shape[1]) < 0.4] = 0
                kernel[rng.random(len(kernel)) < 0.4] = 0
                layer.kernel.assign(kernel)
        assert count_compact(model) == count_parameters(shrink(model), nonzero=True)
        assert_allclose(way(model)(X), model(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("between", ["gelu", layers.BatchNormalization()])
def test_what_may_hide_units_that_could_go_is_not_counted(between):
    parts = [dense(4), layers.Activation(between) if between == "gelu" else between, dense(3)]
    with pytest.raises(ValueError, match="is no Dense layer"):
        count_compact(keras.Sequential([keras.Input((6,)), *parts]))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["augmented", *more("nested", "arithmetic", "dropout")])
def test_what_stands_around_the_dense_layers_runs_as_in_inference(kind, way):
    model = SURROUNDED[kind]()
    if (kind, way) == ("augmented", "ONNX Runtime"):  # Keras exports what it does in training
        with pytest.raises(ValueError, match=r"computes something else.*Use litert\(model\)"):
            onnx(model)
        return
    run, expected = WAYS[way](model), np.asarray(model(X, training=False))
    assert_allclose(run(X), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("way", ["eager", "compiled", "LiteRT", "ONNX Runtime", "sparse (scipy)"])
def test_integers_go_in_as_integers(way):
    model = keras.Sequential(
        [keras.Input((3,), dtype="int32"), layers.Embedding(50, 4), layers.Flatten(), dense(2)]
    )
    ids = RNG.integers(0, 50, (7, 3))
    assert_allclose(WAYS[way](model)(ids), model(ids), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("way", [sparse, numpy_dense])
def test_what_does_not_compute_in_float32_is_refused(way):
    half = keras.Sequential([keras.Input((6,)), dense(3, dtype="mixed_float16"), dense(2)])
    with pytest.raises(ValueError, match=r"computes in float16.*compiled"):
        way(half)
    quantized = keras.Sequential([keras.Input((6,)), dense(3), dense(2)])
    quantized.layers[0].quantize("int8")
    with pytest.raises(ValueError, match=r"computes in int8.*Use compiled\(model\)"):
        way(quantized)


def test_an_output_may_have_a_name():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, {"logits": dense(2)(inputs)})
    expected = np.asarray(model(X)["logits"])
    for way in (eager, compiled, partial(compiled, frozen=False), sparse):
        assert_allclose(way(model)(X), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("way", ["compiled", "LiteRT"])
def test_images_of_any_size(way):
    parts = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), dense(2)]
    model = keras.Sequential([keras.Input((None, None, 1)), *parts])
    run = WAYS[way](model)
    for side in (5, 8):
        images = RNG.normal(size=(3, side, side, 1)).astype(np.float32)
        assert_allclose(run(images), model(images), rtol=1e-4, atol=1e-5)


def test_subclassed_models_run_by_layer():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.dense = dense(2)

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    expected = np.asarray(model(X))
    assert_allclose(eager(model)(X), expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"'own'.*if it is subclassed, use eager\(model\)"):
        compiled(model)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
def test_a_forked_process_gets_threads_of_its_own(mlp, monkeypatch):
    monkeypatch.setattr(executable, "WORTH_SHARING", 0)
    run, x = sparse(mlp, threads=2, library="scipy"), X[:, :4]
    expected = run(x)
    child = os.fork()
    if not child:
        signal.alarm(20)
        os._exit(0 if np.allclose(run(x), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("way", [sparse, numpy_dense])
def test_any_layers_may_stand_before_the_dense_ones(way):
    model, images = convolutions(), RNG.normal(size=(20, 6, 6, 1)).astype(np.float32)
    assert_allclose(way(model)(images), model(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", ["compiled", "sparse (scipy)", "NumPy", "LiteRT", "ONNX Runtime"])
def test_models_with_two_inputs_or_outputs_are_refused(way):
    one, two = keras.Input((3,)), keras.Input((3,))
    both = keras.Model([one, two], dense(2)(layers.Concatenate()([one, two])), name="both")
    twice = keras.Model(one, [dense(2)(one), dense(3)(one)], name="twice")
    for model in (twice,) if way == "LiteRT" else (both, twice):
        with pytest.raises(ValueError, match=f"{model.name!r}.*(expected one of each|one output)"):
            WAYS[way](model)


def test_what_onnx_cannot_do_is_said():
    model = keras.Sequential([keras.Input((6,)), dense(4, "gelu"), dense(2)], name="exact_gelu")
    with pytest.raises(ValueError, match=r"cannot run model 'exact_gelu'.*Erfc.*litert\(model\)"):
        onnx(model)


def test_litert_takes_several_inputs_by_name():
    one, two = keras.Input((6,), name="one"), keras.Input((6,), name="two")
    model = keras.Model([one, two], layers.Subtract()([dense(3)(one), dense(3)(two)]))
    expected = model([X, X[::-1]])
    for threads in (1, 2):
        found = litert(model, threads=threads)({"one": X, "two": X[::-1]})
        assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Layer InputLayer:UserWarning")  # of Keras' quantize
def test_what_the_converter_to_litert_cannot_do_is_said():
    model = keras.Sequential([keras.Input((8,)), dense(4), dense(2)], name="small")
    model.quantize("int8")
    with pytest.raises(ValueError, match=r"export model 'small' to litert: .*before any quantize"):
        litert(model)


@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_errors_of_converters_are_value_errors(kind, monkeypatch):
    def fails(*arguments, **settings):
        raise KeyError("no such operation\nand where")

    model = keras.Sequential([keras.Input((6,)), dense(2)], name="tiny")
    monkeypatch.setattr(keras.Model, "export", fails)
    with pytest.raises(ValueError, match=rf"export model 'tiny' to {kind}: .*no such operation"):
        {"onnx": onnx, "litert": litert}[kind](model)


def test_strings_are_refused_by_onnx():
    model = keras.Sequential([keras.Input((1,), dtype="string"), layers.Identity()])
    with pytest.raises(ValueError, match=r"takes strings.*after the layer that makes numbers"):
        onnx(model)


@pytest.mark.parametrize(
    ("way", "missing", "needed"),
    [
        (onnx, "onnxruntime", "ONNX Runtime needs onnxruntime.*pip install onnxruntime"),
        (onnx, "tf2onnx", "ONNX Runtime needs tf2onnx.*pip install tf2onnx"),
        (partial(sparse, library="numba"), "numba", "need numba.*pip install numba"),
    ],
)
def test_a_missing_package_is_named(way, missing, needed, mlp, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "pruninglib.execution.numba_kernels", raising=False)
    with pytest.raises(ImportError, match=needed):
        way(mlp)


def test_without_numba_sparse_takes_scipy(mlp, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    run = sparse(mlp)
    assert run.runtime == "sparse (scipy)"
    assert_allclose(run(X[:, :4]), mlp(X[:, :4]), rtol=1e-5, atol=1e-5)


def test_without_ai_edge_litert_tensorflow_runs_litert_files(mlp, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert_allclose(litert(mlp)(X[:, :4]), mlp(X[:, :4]), rtol=1e-5, atol=1e-5)


def test_unknown_libraries_are_refused(mlp):
    with pytest.raises(ValueError, match=r"library must be .*got 'cuda'"):
        sparse(mlp, library="cuda")


def test_sparse_execution_shares_no_batch_that_is_too_small(mlp, monkeypatch):
    def refused(count):
        raise RuntimeError("threads were made")

    monkeypatch.setattr(executable, "WORTH_SHARING", 0)
    monkeypatch.setattr(executable, "_pools", refused)
    run = sparse(mlp, threads=2, library="scipy")
    assert run(np.zeros((63, 4), np.float32)).shape == (63, 3)
    with pytest.raises(RuntimeError, match="threads were made"):
        run(np.zeros((64, 4), np.float32))


def test_tensorflow_s_sparse_products_compute_what_keras_does():
    parts = [dense(7), layers.BatchNormalization(), dense(5, "tanh")]
    model = randomize(keras.Sequential([keras.Input((6,)), *parts, dense(3), layers.Softmax()]))
    pruned = prune(model, make_masks(model, magnitude, 0.5))
    run = tf_sparse(pruned)
    assert run.runtime == "tf.sparse" and run.bytes == file_bytes(pruned)
    for count in (1, 300):
        expected = eager(pruned)(X[:count])
        assert_allclose(run(X[:count]), expected, atol=1e-6)
    with pytest.raises(ValueError, match="chain"):
        first = keras.Input((6,))
        tf_sparse(keras.Model(first, layers.Add()([dense(2)(first), dense(2)(first)])))
