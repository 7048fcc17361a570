"""Write the results of a notebook to one JSON file, and those of a batch to one table."""

import hashlib
import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from pruninglib import __version__
from pruninglib.atomic import written_whole
from pruninglib.experiments.paths import RUNS

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "numba", "onnxruntime", "ai-edge-litert")


def parameters_in(names):
    """Return the part of {name: value} that can be a notebook's parameters.

    Meant for `globals()` right after the parameters cell: strings, integers, floats and lists
    whose names do not begin with an underscore. Raises TypeError for a value of another type than
    its annotation, such as a list that papermill's `-p` passes as text.

    >>> parameters_in({"seed": 0, "_hidden": 1, "np": np})
    {'seed': 0}
    """
    for name, kind in names.get("__annotations__", {}).items():
        value = names.get(name)
        if type(value) is not kind and (type(value), kind) != (int, float):
            raise TypeError(
                f"{name} must be {kind.__name__}, got {value!r}. A list is given to papermill as "
                f"-y '{{{name}: [1, 2]}}'."
            )
    kinds = (str, int, float, list)
    return {
        name: value
        for name, value in names.items()
        if type(value) in kinds and not name.startswith("_") and name != "In"  # IPython's history
    }


def run_folder(parameters):
    """Return the folder for a notebook's results, in runs/ or $PRUNINGLIB_RUNS.

    Args:
        parameters: {name: value}; `results` names the folder, or `dataset` where that is empty.
    """
    return RUNS / (parameters.get("results") or parameters.get("dataset") or "")


def write_result(path, parameters, **tables):
    """Write the results of a notebook as JSON, and each table as CSV; each whole or not at all.

    Args:
        path: such as runs/mnist/1_prune_sweep.result.json; the tables go beside it, to
            1_prune_sweep_TABLE.csv.
        parameters: {name: value}.
        tables: rows by table name, as DataFrames, whose index is left out, or as lists of dicts;
            ValueError for NaN or infinite values in lists.

    The JSON file, written last, has: parameters, seeds (from the parameters), versions (of
    pruninglib, Python and packages), code (a hash of pruninglib's source), device, date (UTC) and
    rows: the rows of all tables, each with the name of its table.
    """
    result = {
        "parameters": parameters,
        "seeds": parameters.get("seeds"),
        "versions": {"pruninglib": __version__, "python": platform.python_version(), **_versions()},
        "code": _code(),
        "device": _device(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": [row for name, table in tables.items() for row in _rows(name, table)],
    }
    content = json.dumps(result, indent=1, allow_nan=False) + "\n"
    path = Path(path)
    for name, table in tables.items():
        stem = path.name.removesuffix(".result.json")
        with written_whole(path.with_name(f"{stem}_{name}.csv")) as temporary:
            pd.DataFrame(table).to_csv(temporary, index=False)
    with written_whole(path) as temporary:
        temporary.write_text(content)


def _rows(name, table):
    """Return the rows of a table, without missing values."""
    if hasattr(table, "to_json"):
        table = json.loads(table.to_json(orient="records", double_precision=15))
    rows = [{k: v for k, v in row.items() if v is not None} for row in table]
    return [{"table": name, **row} for row in rows]


def _versions():
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _code():
    """Return a hash of the library's source, which tells unreleased versions apart."""
    content = b"".join(p.read_bytes() for p in sorted(Path(__file__).parents[1].rglob("*.py")))
    return hashlib.sha256(content).hexdigest()[:12]


def _device():
    processor = platform.processor() or platform.machine()
    return f"{platform.system()}, {processor}, {os.cpu_count()} cores"


def results(folder):
    """Return {key: content of result.json} for the finished runs of a batch."""
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
