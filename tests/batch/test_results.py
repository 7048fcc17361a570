"""What a notebook writes for others to read."""

import json

import numpy as np
import pandas as pd
import pytest

from pruninglib import parameters_in, run_folder, write_result
from pruninglib.experiments.paths import RUNS


def test_parameters_are_the_plain_values_of_a_notebook():
    names = {"seeds": [0], "rate": 0.1, "name": "x", "n": 3, "In": ["code"], "_i": "code"}
    names |= {"np": np, "f": len, "flag": None, "table": {}}
    assert parameters_in(names) == {"seeds": [0], "rate": 0.1, "name": "x", "n": 3}


def test_a_parameter_of_another_type_than_annotated_is_refused():
    kinds = {"units": list, "rate": float}
    assert parameters_in({"units": [3], "rate": 1, "__annotations__": kinds})
    with pytest.raises(TypeError, match=r"units must be list, got '\[3\]'.*-y '{units: \[1, 2\]}'"):
        parameters_in({"units": "[3]", "rate": 1.0, "__annotations__": kinds})


def test_a_result_says_what_when_and_with_what(tmp_path):
    path = tmp_path / "new" / "tiny.result.json"
    table = pd.DataFrame({"accuracy": [0.123456789012345, np.nan], "ok": [True, False]}, [7, 8])
    write_result(path, {"seeds": [1, 2]}, sweep=table, files=[{"bytes": 3, "why": None}])
    found = json.loads(path.read_text())
    assert found["parameters"] == {"seeds": [1, 2]} and found["seeds"] == [1, 2]
    assert found["rows"] == [
        {"table": "sweep", "accuracy": 0.123456789012345, "ok": True},
        {"table": "sweep", "ok": False},
        {"table": "files", "bytes": 3},
    ]
    assert {"pruninglib", "python", "keras", "numpy"} <= set(found["versions"])
    assert found["date"].endswith("+00:00") and "cores" in found["device"] and found["code"]


def test_each_table_is_written_beside_it_as_csv(tmp_path):
    table = pd.DataFrame({"accuracy": [0.5, np.nan]}, [7, 8])
    write_result(tmp_path / "tiny.result.json", {}, sweep=table, files=[{"bytes": 3}])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"tiny.result.json", "tiny_sweep.csv", "tiny_files.csv"}
    assert pd.read_csv(tmp_path / "tiny_sweep.csv")["accuracy"].isna().tolist() == [False, True]
    assert pd.read_csv(tmp_path / "tiny_files.csv").to_dict("list") == {"bytes": [3]}


def test_results_go_to_the_folder_that_is_named_or_to_that_of_the_dataset():
    assert run_folder({"dataset": "digits", "results": ""}) == RUNS / "digits"
    assert run_folder({"dataset": "digits", "results": "mine"}) == RUNS / "mine"
    assert run_folder({"seed": 1}) == RUNS


def test_a_result_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "tiny.result.json"
    write_result(path, {})
    before = path.read_text()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_result(path, {"rate": float("nan")})
    assert path.read_text() == before and list(tmp_path.iterdir()) == [path]
