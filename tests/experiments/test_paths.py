"""The folders do not depend on the working folder, and never are where packages are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pruninglib.experiments import paths, tables

PRINTED = (
    "from pruninglib.experiments.paths import BASELINES, PUBLISHED, ROOT, RUNS, data_folders\n"
    "print(RUNS, BASELINES, data_folders()[0], ROOT, PUBLISHED, sep='\\n')"
)


def folders(where, packages=paths.ROOT, **variables):
    """The library's folders, if it is imported in a working folder, from a folder of packages."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith("PRUNINGLIB_")}
    environment = kept | {"PYTHONPATH": str(packages)} | variables
    how = {"env": environment, "cwd": where, "capture_output": True, "text": True, "check": True}
    found = subprocess.run([sys.executable, "-c", PRINTED], **how).stdout.split()
    names = ("runs", "baselines", "data", "root", "published")
    return dict(zip(names, map(Path, found), strict=True))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder of packages with the library, as pip leaves it."""
    packages = tmp_path_factory.mktemp("env") / "site-packages"
    shutil.copytree(Path(paths.__file__).parents[1], packages / "pruninglib")
    return packages


def test_folders_are_those_of_the_repository():
    assert (paths.ROOT / "pruninglib" / "experiments" / "paths.py").samefile(paths.__file__)
    for folder in (paths.DATA, paths.PUBLISHED, paths.RESULTS, paths.FIGURES):
        assert folder.is_absolute() and folder.is_relative_to(paths.ROOT)


def test_runs_folder_is_taken_from_the_environment():
    assert Path(os.environ["PRUNINGLIB_RUNS"]).resolve() == paths.RUNS


def test_relative_folders_are_those_of_the_caller_s_folder(tmp_path):
    names = {"runs": "r", "baselines": "b", "data": "d"}
    variables = {f"PRUNINGLIB_{name.upper()}": value for name, value in names.items()}
    found = folders(tmp_path, **variables)
    assert {n: found[n] for n in names} == {n: tmp_path.resolve() / v for n, v in names.items()}


def test_what_is_installed_writes_to_the_working_folder(installed, tmp_path):
    found = folders(tmp_path, installed)
    assert found["root"] == tmp_path.resolve() and found["runs"] == tmp_path.resolve() / "runs"
    assert all(path.is_relative_to(tmp_path.resolve()) for path in found.values())


def test_what_is_installed_finds_the_checkout_that_it_works_in(installed, tmp_path):
    checkout = tmp_path / "checkout"
    for folder in ("pruninglib", "notebooks/grids"):
        (checkout / folder).mkdir(parents=True)
    found = folders(checkout / "notebooks", installed)
    assert found["root"] == checkout.resolve()
    assert found["published"] == checkout.resolve() / "data" / "published"


def test_a_published_table_is_that_of_the_file():
    for name, columns in tables.COLUMNS.items():
        assert list(tables.published(name)) == columns.split() and len(tables.published(name))


def test_without_a_checkout_published_tables_are_empty_and_say_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tables, "PUBLISHED", tmp_path)
    table = tables.published("accuracy_curves")
    assert "left out" in capsys.readouterr().out and not len(table)
    assert not len(table[table["stage"].str.startswith("retrained") & (table["method"] == "unit")])


def test_an_unknown_published_table_is_refused():
    with pytest.raises(ValueError, match="Unknown table 'curves'; expected one of"):
        tables.published("curves")
