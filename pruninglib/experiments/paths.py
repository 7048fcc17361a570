"""The folders of the study, the same from any working folder: those of the checkout.

Where the library was installed and stands in no checkout, that of the working folder is taken, or
else the working folder itself: nothing is written where packages are installed.
"""

import os
from pathlib import Path


def _root():
    here = Path.cwd()
    for folder in (Path(__file__).resolve().parents[2], here, *here.parents):
        if (folder / "notebooks" / "grids").is_dir() and (folder / "pruninglib").is_dir():
            return folder
    return here


ROOT = _root()
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
