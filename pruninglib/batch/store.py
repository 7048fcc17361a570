"""Store the results of a batch's runs in its folder, each whole or not at all."""

import os
import shutil
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from pruninglib.atomic import written_whole


@contextmanager
def locked(folder):
    """Lock a folder, clear what a killed command left in it, and yield its scratch folder.

    Raises ValueError if another process has locked it, or if it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"The --output is a folder for results, but {folder} is a file.")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            scratch = folder / ".unfinished"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            yield scratch
            shutil.rmtree(scratch, ignore_errors=True)
    except Timeout:
        raise ValueError(
            f"Another batch command works on {folder}. Wait for it, or name another --output."
        ) from None


def finished(folder, key):
    """Say whether a run's results are stored."""
    return (folder / key / "result.json").exists()


def failed_notebook(folder, key):
    """Return the path of the notebook that a failed run leaves."""
    return folder / f"{key}.failed.ipynb"


def save(folder, key, files):
    """Store the files of a finished run, {name: bytes}, all at once."""
    part = folder / ".unfinished" / key
    part.mkdir()
    try:
        for name, content in files.items():
            (part / name).write_bytes(content)
        shutil.rmtree(folder / key, ignore_errors=True)  # it has no result, else it was skipped
        os.rename(part, folder / key)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    failed_notebook(folder, key).unlink(missing_ok=True)


def save_failed(folder, key, notebook):
    """Store the notebook of a failed run; errors of the disk are ignored."""
    with suppress(OSError), written_whole(failed_notebook(folder, key)) as path:
        path.write_bytes(notebook)
