"""Small networks and data that the tests share. Nothing here touches the real runs folder."""

import gc
import os
import shutil
import sys
import tempfile

sys.modules.setdefault("conftest", sys.modules[__name__])  # else `import conftest` is a second one
STORE = tempfile.mkdtemp(prefix="pruninglib-runs-")
os.environ["PRUNINGLIB_QUIET"] = "1"  # no progress lines, in kernels neither
os.environ["PRUNINGLIB_RUNS"] = STORE  # before pruninglib is imported, which reads it once
os.environ["MPLBACKEND"] = "Agg"

# nbformat imports jsonschema, which would build a grammar of addresses for 1 s and more
sys.modules.setdefault("rfc3987_syntax", None)

# Keras is imported where it is used: the process that only hands out the tests needs none of it
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

import pruninglib as pl  # noqa: E402

# the modules that take longest, from the longest on: what is last should be short
SLOWEST = ["notebooks", "batch", "applications", "pages", "retraining", "repair", "examples"]
SLOWEST += ["runtimes", "shrink_graphs", "networks"]


def pytest_collection_modifyitems(items):
    order = {f"test_{name}": place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(SLOWEST)))


def pytest_collection_finish():
    gc.freeze()  # each training collects garbage; what was imported need not be looked at again


def pytest_sessionfinish():
    shutil.rmtree(STORE, ignore_errors=True)


@pytest.fixture(scope="module")
def browser():
    """A real browser without a screen, which asks the network for nothing of its own."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("no chromium on this machine: make chromium installs it on Debian")
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=quiet)
        yield browser
        browser.close()


def more(*values):
    """Parameters that make check leaves out, beside others of the same test."""
    return [pytest.param(value, marks=pytest.mark.more) for value in values]


def tried(examples, **more):
    """Settings of a property that takes long: all examples in make test-all, else a fifth."""
    if not os.environ.get("PRUNINGLIB_ALL_EXAMPLES"):
        examples //= 5
    return settings(max_examples=examples, deadline=None, derandomize=True, **more)


def dense(units, activation="relu", bias=True, name=None, **settings):
    """A Dense layer whose bias does not start at zero, so that forgetting it shows."""
    import keras

    return keras.layers.Dense(
        units, activation, use_bias=bias, bias_initializer="random_normal", name=name, **settings
    )


def unbuilt():
    import keras

    return keras.Sequential([dense(3), dense(2)], name="unbuilt")


def subclassed():
    import keras

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__(name="subclassed")
            self.dense = dense(2)

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    model(np.zeros((1, 3), np.float32))
    return model


def without_kernels():
    import keras

    return keras.Sequential([keras.Input((4,)), keras.layers.ReLU()], name="without_kernels")


def with_weight(value):
    model = pl.make_mlp(4, (6, 5), 3)
    kernel = model.get_layer("hidden_2").kernel
    kernel.assign(np.full(kernel.shape, value))
    return model


def with_moving_average():
    import keras

    model = pl.make_mlp(4, (6, 5), 3)
    model.compile(keras.optimizers.SGD(use_ema=True), "mse")
    return model


# What no function of the library accepts: (how to make the model, error, part of its message)
BAD_MODELS = {
    "never built": (unbuilt, ValueError, r"'unbuilt' was never built.*call model\.build"),
    "no kernels": (without_kernels, ValueError, "'without_kernels' has no layer.*found ReLU"),
    "NaN": (lambda: with_weight(np.nan), ValueError, "hidden_2/kernel .*NaN or inf.*Train again"),
    "infinite": (lambda: with_weight(np.inf), ValueError, "hidden_2/kernel .*NaN or infinite"),
    "no model": (lambda: "mlp", TypeError, "Expected a Keras model, got str"),
}


@pytest.fixture(params=BAD_MODELS)
def bad_model(request):
    """(model, error, match) for each kind of model that is refused."""
    make, error, match = BAD_MODELS[request.param]
    return make(), error, match


@pytest.fixture(params=["never built", "no kernels", "no model"])
def unreadable_model(request):
    """(model, error, match) for those that are refused without a look at their weights."""
    make, error, match = BAD_MODELS[request.param]
    return make(), error, match


@pytest.fixture
def mlp():
    """Untrained 4-6-5-3 network without biases, not compiled."""
    return pl.make_mlp(4, (6, 5), 3)


@pytest.fixture(scope="session")
def tiny():
    """120 + 24 + 36 points in four dimensions, three classes that a network can learn."""
    x = np.random.default_rng(0).random((180, 4), np.float32)
    y = x[:, :3].argmax(axis=1)
    return pl.Dataset("tiny", x[:120], y[:120], x[120:144], y[120:144], x[144:], y[144:])


@pytest.fixture(scope="session")
def trained(tiny):
    """4-16-12-3 network without biases that learned `tiny`; to be left as it is."""
    model = pl.make_mlp(4, (16, 12), 3)
    return pl.train(model, tiny.x_train, tiny.y_train, 200, batch_size=40, learning_rate=0.02)
