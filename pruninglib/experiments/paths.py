"""The folders of the study: those of the checkout, from any working folder.

If the library was installed outside a checkout, the checkout around the working folder is taken,
or else the working folder itself: nothing is written where packages are installed.
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
    """Return the folders in which a dataset's file NAME.npz is looked for, in order."""
    own = os.environ.get("PRUNINGLIB_DATA")
    return [Path(own).resolve(), DATA] if own else [DATA]


def data_files(name):
    """Return {file name: bytes} of a dataset's file, empty if `data_folders` have none."""
    files = [folder / f"{name}.npz" for folder in data_folders()]
    return next(({path.name: path.read_bytes()} for path in files if path.exists()), {})
