"""The examples run, on the embedded digits."""

import runpy
import sys
from functools import partial

import keras
import numpy as np
import pandas as pd
import pytest

from pruninglib import load_dataset
from pruninglib.experiments import evaluation
from pruninglib.experiments.paths import ROOT
from pruninglib.experiments.timing import time_models

pytestmark = [pytest.mark.notebooks, pytest.mark.slow]


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """What examples/residual_network.py writes, run as a script, in this process: over 10 s.

    Seven networks are trained, exported and timed, each time only as often as quartiles need.
    """
    folder = tmp_path_factory.mktemp("residual_network")
    script = str(ROOT / "examples" / "residual_network.py")
    few = "--dataset digits --epochs 20 --iterations 100 --sparsities 0.3 0.6 --output"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "time_models", partial(time_models, limit=10))
        patch.setattr(sys, "argv", [script, *few.split(), str(folder)])
        runpy.run_path(script, run_name="__main__")
    return folder


def test_the_story_ends_well(output):
    table = pd.read_csv(output / "residual_network.csv").set_index(["stage", "sparsity"])
    assert list(table.index) == [
        ("dense", 0.0),
        *(
            (stage, removed)
            for removed in (0.3, 0.6)
            for stage in ("pruned", "repaired", "trained on")
        ),
    ]
    dense, small = table.loc["dense", 0.0], table.loc["trained on", 0.6]
    assert dense["accuracy"] > 0.95
    assert table.loc["repaired", 0.3]["accuracy"] > table.loc["pruned", 0.3]["accuracy"]
    assert small["accuracy"] > 0.9
    assert small["file_bytes"] < dense["file_bytes"]
    for column in ("parameters", "macs", "litert_bytes"):
        assert small[column] < 0.5 * dense[column]
    for size in (1, 64):
        assert small[f"ms_{size}_q1"] <= small[f"ms_{size}"] <= small[f"ms_{size}_q3"]


def test_the_plan_and_the_networks_are_there(output):
    plan = pd.read_csv(output / "plan.csv")
    assert (plan["units_after"] < plan["units"]).sum() == 6
    assert plan["why"].str.contains("carries the constants").any()
    network = keras.models.load_model(output / "residual_network.keras")
    assert [layer.filters for layer in network.layers if hasattr(layer, "filters")] == list(
        plan["units_after"][:6]
    )
    data = load_dataset("digits")
    accuracy = np.mean(np.asarray(network(data.x_test)).argmax(axis=1) == data.y_test)
    table = pd.read_csv(output / "residual_network.csv")
    assert accuracy == pytest.approx(table["accuracy"].iloc[-1])
    assert (output / "residual_network.tflite").stat().st_size == table["litert_bytes"].iloc[-1]
