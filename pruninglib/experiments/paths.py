"""The folders of the project, the same from any working folder."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
PUBLISHED = DATA / "published"
RESULTS = DATA / "results"
FIGURES = ROOT / "figures"
RUNS = Path(os.environ.get("PRUNINGLIB_RUNS") or ROOT / "runs").resolve()
BASELINES = Path(os.environ.get("PRUNINGLIB_BASELINES") or RUNS / "baselines").resolve()


def data_folders():
    """Return the folders in which a dataset's file NAME.npz is looked for, in that order."""
    own = os.environ.get("PRUNINGLIB_DATA")
    return [Path(own).resolve(), DATA] if own else [DATA]


def data_files(name):
    """Return {file name: bytes} of a dataset's file, empty if it has none in those folders."""
    files = [folder / f"{name}.npz" for folder in data_folders()]
    return next(({path.name: path.read_bytes()} for path in files if path.exists()), {})
