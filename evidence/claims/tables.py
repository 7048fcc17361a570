"""The tables that the claims are measured on, in data/results/claims."""

import json

import pandas as pd

from pruninglib.atomic import written_whole
from pruninglib.batch.results import results
from pruninglib.experiments.paths import RESULTS

FOLDER = RESULTS / "claims"
NAMES = {  # (notebook, its table): name here
    ("training", "accuracy"): "sweep",
    ("training", "shapes"): "shapes",
    ("mistakes", "accuracy"): "mistakes",
    ("retraining", "weights"): "weights",
    ("retraining", "units"): "units",
    ("runtimes", "times"): "times",
    ("runtimes", "tf_sparse"): "tf_sparse",
    ("storage", "bytes"): "bytes",
}


def read(folder=FOLDER):
    """Return {name: table}; the columns `dataset` and `epochs` say what a row was trained on."""
    return {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}


def take_over(batch, folder=FOLDER):
    """Take over the results of a batch.

    Of a notebook's runs on a dataset, with the same seeds and after as many epochs, the newest
    counts, for a notebook may have got other parameters since. Runs of notebooks that are not
    among `NAMES` any more go.
    """
    found, known = results(batch), read(folder)
    parts = [{name: table[~table["run"].isin(found)] for name, table in known.items()}]
    for key, result in found.items():
        parts.append({name: pd.DataFrame(rows) for name, rows in _tables(key, result).items()})
    whole = {
        name: pd.concat([part[name] for part in parts if name in part])
        for name in {name for part in parts for name in part}
    }
    runs = whole["runs"].sort_values("date")
    runs["notebook"] = runs["run"].str.rpartition("-")[0]
    runs = runs[runs["notebook"].isin([notebook for notebook, _ in NAMES])].copy()
    runs["seeds"] = [str(json.loads(asked)[1]["seeds"]) for asked in runs["asked"]]
    runs["epochs"] = runs["epochs"].astype(str)  # of a run with several trainings, all of them
    newest = runs.drop_duplicates(["notebook", "dataset", "seeds", "epochs"], keep="last")["run"]
    for name, table in whole.items():
        table = table[table["run"].isin(newest)].sort_values("run", kind="stable")
        with written_whole(folder / f"{name}.csv") as path:
            table.dropna(axis="columns", how="all").to_csv(path, index=False, float_format="%.7g")


def _tables(key, result):
    """Return {name: rows} of one run."""
    notebook, parameters = key.rpartition("-")[0], result["parameters"]
    about = {"run": key, "dataset": parameters["dataset"], "epochs": _epochs(parameters)}
    tables = {}
    for row in result["rows"]:
        row = dict(row)
        name = NAMES.get((notebook, row.pop("table")))
        if name and not str(row.get("method")).startswith("random"):
            tables.setdefault(name, []).append(about | row)  # a row may know its epochs
    asked = json.dumps([notebook, parameters], sort_keys=True)
    versions = "; ".join(f"{name} {version}" for name, version in result["versions"].items())
    how = {name: result.get(name) for name in ("seconds", "threads", "code", "device", "date")}
    tables["runs"] = [about | how | {"versions": versions, "asked": asked}]
    return tables


def _epochs(parameters):
    """Return for how many epochs a run trained, as text where it had several trainings."""
    found = [epochs for epochs, _ in parameters.get("trainings", ())] or parameters["epochs"]
    return ", ".join(map(str, dict.fromkeys(found))) if isinstance(found, list) else found
