"""The folders do not depend on the working folder."""

import os
import subprocess
import sys
from pathlib import Path

from pruninglib.experiments import paths


def test_folders_are_those_of_the_repository():
    assert (paths.ROOT / "pruninglib" / "experiments" / "paths.py").samefile(paths.__file__)
    for folder in (paths.DATA, paths.PUBLISHED, paths.RESULTS, paths.FIGURES):
        assert folder.is_absolute() and folder.is_relative_to(paths.ROOT)


def test_runs_folder_is_taken_from_the_environment():
    assert Path(os.environ["PRUNINGLIB_RUNS"]).resolve() == paths.RUNS


def test_relative_folders_are_those_of_the_caller_s_folder(tmp_path):
    code = "from pruninglib.experiments.paths import BASELINES, RUNS, data_folders; "
    code += "print(RUNS, BASELINES, data_folders()[0], sep='\\n')"
    names = {"RUNS": "r", "BASELINES": "b", "DATA": "d"}
    environment = os.environ | {f"PRUNINGLIB_{name}": value for name, value in names.items()}
    how = {"env": environment, "cwd": tmp_path, "capture_output": True, "text": True}
    found = subprocess.run([sys.executable, "-c", code], check=True, **how).stdout.split()
    assert [Path(path) for path in found] == [tmp_path.resolve() / name for name in names.values()]
