"""The tables that the claims are measured on, in data/results/claims."""

import json

import pandas as pd

from pruninglib.atomic import written_whole
from pruninglib.batch.results import results
from pruninglib.experiments.paths import RESULTS

FOLDER = RESULTS / "claims"
NAMES = {  # (notebook, its table): name here
    ("1_prune_sweep", "sweep"): "sweep",
    ("1_prune_sweep", "mistakes"): "mistakes",
    ("1_prune_sweep", "shapes"): "shapes",
    ("2_weight_prune_recovery", "recovery"): "weights",
    ("3_unit_prune_recovery", "recovery"): "units",
    ("4_shrunk_network_timing", "times"): "times",
    ("4_shrunk_network_timing", "tf_sparse"): "tf_sparse",
    ("4_shrunk_network_timing", "bytes"): "bytes",
}


def read(folder=FOLDER):
    """Return {name: table}; a column `dataset` and `epochs` say how the run was asked for."""
    return {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}


def take_over(batch, folder=FOLDER):
    """Take over the results of a batch.

    Of a notebook's runs on a dataset, with the same seeds and after as many epochs, the newest
    counts, for a notebook may have got other parameters since.
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
    runs["seeds"] = [str(json.loads(asked)[1]["seeds"]) for asked in runs["asked"]]
    newest = runs.drop_duplicates(["notebook", "dataset", "seeds", "epochs"], keep="last")["run"]
    for name, table in whole.items():
        table = table[table["run"].isin(newest)].sort_values("run", kind="stable")
        with written_whole(folder / f"{name}.csv") as path:
            table.dropna(axis="columns", how="all").to_csv(path, index=False, float_format="%.7g")


def _tables(key, result):
    """Return {name: rows} of one run."""
    notebook, parameters = key.rpartition("-")[0], result["parameters"]
    about = {"run": key, "dataset": parameters["dataset"], "epochs": parameters["epochs"]}
    tables = {}
    for row in result["rows"]:
        row = dict(row)
        name = NAMES.get((notebook, row.pop("table")))
        if name and not str(row.get("method")).startswith("random"):
            tables.setdefault(name, []).append(about | row)
    asked = json.dumps([notebook, parameters], sort_keys=True)
    versions = "; ".join(f"{name} {version}" for name, version in result["versions"].items())
    how = {name: result.get(name) for name in ("seconds", "threads", "code", "device", "date")}
    tables["runs"] = [about | how | {"versions": versions, "asked": asked}]
    return tables
