"""The folders of the project, the same from any working folder."""

import errno
import os
from contextlib import contextmanager
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


def of_the_machine(error):
    """Say whether an error met while reading a file tells of the machine, not of the content.

    A damaged zip file may name a place before its start; going there is an OSError, too.
    """
    return isinstance(error, (OSError, MemoryError)) and getattr(error, "errno", 0) != errno.EINVAL


@contextmanager
def written_whole(path):
    """Yield a temporary path beside `path`, moved to `path` only if the block succeeds.

    A reader never sees a half-written file, and a failure leaves what was there before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
