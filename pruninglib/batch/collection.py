"""Read what a batch found: all rows in one table."""

import json

import pandas as pd

from pruninglib.experiments.paths import written_whole


def results(folder):
    """Return {key: content of result.json} of the finished runs of a batch."""
    found = {path.parent.name: path for path in sorted(folder.glob("*/result.json"))}
    if not found:
        raise ValueError(
            f"{folder} has no finished runs (KEY/result.json in it): name the --output of a batch."
        )
    return {key: json.loads(path.read_text()) for key, path in found.items()}


def changing(found):
    """Return the names of the parameters that differ between results that have them."""
    values = {}
    for result in found.values():
        for name, value in result["parameters"].items():
            values.setdefault(name, []).append(value)
    return {name for name, all_ in values.items() if any(value != all_[0] for value in all_)}


def collect(folder):
    """Write all rows of all runs to folder/results.csv; return its path.

    Columns: run (its key), notebook, table, those of the tables, and `parameter.NAME` for each
    parameter that differs between the runs.
    """
    found = results(folder)
    differing = changing(found)
    rows = []
    for key, result in found.items():
        about = {"run": key, "notebook": key.rpartition("-")[0]}
        own = {f"parameter.{n}": v for n, v in result["parameters"].items() if n in differing}
        rows += [{**about, **row, **own} for row in result["rows"]]
    with written_whole(folder / "results.csv") as path:
        pd.DataFrame(rows).to_csv(path, index=False)
    return folder / "results.csv"
