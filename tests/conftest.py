"""Small networks and data that the tests share. Nothing here touches the real runs folder."""

import gc
import os
import shutil
import sys
import tempfile

STORE = tempfile.mkdtemp(prefix="pruninglib-runs-")
os.environ["PRUNINGLIB_QUIET"] = "1"  # no progress lines, in kernels neither
os.environ["PRUNINGLIB_RUNS"] = STORE  # before pruninglib is imported, which reads it once
os.environ["MPLBACKEND"] = "Agg"

# nbformat imports jsonschema, which would build a grammar of addresses for 1 s and more
sys.modules.setdefault("rfc3987_syntax", None)

# Keras is imported where it is used: the process that only hands out the tests needs none of it
import numpy as np  # noqa: E402
import pytest  # noqa: E402

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


UNREADABLE = ["never built", "no kernels", "no model"]


@pytest.fixture(params=[*UNREADABLE, "NaN", "infinite"])
def bad_model(request):
    """(model, error, match) for each kind of model that is refused."""
    from networks import BAD_MODELS

    make, error, match = BAD_MODELS[request.param]
    return make(), error, match


@pytest.fixture(params=UNREADABLE)
def unreadable_model(request):
    """(model, error, match) for those that are refused without a look at their weights."""
    from networks import BAD_MODELS

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
