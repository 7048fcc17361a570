"""The folders do not depend on the working folder; files are written whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pruninglib.experiments import paths
from pruninglib.experiments.paths import written_whole


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


def test_written_whole_appears_at_the_end_only(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with written_whole(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent and temporary.suffix == ".csv"
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["table.csv"]


def test_failure_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), written_whole(path) as temporary:
        temporary.write_text("ha")
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_failure_before_anything_is_written_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), written_whole(tmp_path / "table.csv"):
        _ = 1 / 0
    assert os.listdir(tmp_path) == []
