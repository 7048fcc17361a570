"""What the benchmarks share."""

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from resumed import resumed


def test_a_table_goes_on_where_it_was_left(tmp_path):
    file, measured = tmp_path / "rows.csv", []
    settings = [{"ridge": 0.1, "seed": seed} for seed in (0, 1, 2)]

    def measure(setting):
        measured.append(setting["seed"])
        if measured == [0, 1, 2]:
            raise KeyboardInterrupt
        return {"error": setting["seed"] / 10}

    with pytest.raises(KeyboardInterrupt):
        resumed(file, settings, measure)
    assert list(pd.read_csv(file)["error"]) == [0, 0.1]
    table = resumed(file, settings, measure)
    assert measured == [0, 1, 2, 2]
    assert list(table["error"]) == [0, 0.1, 0.2]
    resumed(file, settings, measure)
    assert measured == [0, 1, 2, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
