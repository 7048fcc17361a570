"""The notebooks run with the quick profile, say the same twice, and are clean as committed."""

import ast
import base64
import importlib.util
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pandas as pd
import papermill
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[1-9]*.ipynb"))
PROFILES = sorted((ROOT / "notebooks" / "profiles").glob("*.yaml"))
REQUIRED = {
    *("dataset", "hidden_units", "activation", "sparsities", "epochs", "batch_size", "optimizer"),
    *("loss", "scope", "seeds", "results"),
}
OWN = {"1": {"learning_rates"}, **{key: {"learning_rate", "iterations"} for key in "234"}}

spec = importlib.util.spec_from_file_location("run", ROOT / "notebooks" / "run.py")
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)


def cells(path, kind="code"):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def parameter_lines(path):
    (cell,) = [c for c in cells(path) if "parameters" in c.metadata.get("tags", [])]
    return cell.source.splitlines()


def text(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def test_there_are_four_notebooks():
    assert len(NOTEBOOKS) == 4


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """The folder of the four notebooks, executed with the quick profile as `make run` does."""
    folder = tmp_path_factory.mktemp("notebooks")
    command = [sys.executable, ROOT / "notebooks" / "run.py", "quick", "--jobs", "2"]
    environment = {**os.environ, "PRUNINGLIB_RUNS": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(folder / "quick") in done.stdout
    return folder


def test_a_run_leaves_notebooks_tables_and_figures(executed):
    for path in NOTEBOOKS:
        for pattern in (f"{path.stem}.ipynb", f"{path.stem}*.csv", f"{path.stem}*.png"):
            assert list((executed / "quick").glob(pattern)), pattern


def test_executed_notebooks_have_no_errors_and_no_standard_error(executed):
    for path in NOTEBOOKS:
        for cell in cells(executed / "quick" / path.name):
            for output in cell.outputs:
                assert output.output_type != "error"
                assert output.get("name") != "stderr", output.text


def test_a_second_execution_computes_the_same(executed, tmp_path):
    """Strict nbval in an empty store, so that training is repeated too.

    Only cells that print times are tagged to be left out; columns of times are not compared.
    """

    def execute_and_compare(path):
        command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q"]
        options = ["--nbval-cell-timeout=300", "-p", "no:cacheprovider", "-W", "default"]
        environment = {**os.environ, "PRUNINGLIB_RUNS": str(tmp_path)}
        notebook = str(executed / "quick" / path.name)
        command = [*command, *options, notebook]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True
        )

    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(execute_and_compare, NOTEBOOKS):
            assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    tables = sorted((executed / "quick").glob("*.csv"))
    assert len(tables) >= len(NOTEBOOKS)
    for path in tables:
        first, second = (pd.read_csv(p) for p in (path, tmp_path / "quick" / path.name))
        inexact = ("seconds", "median_ms", "q1_ms", "q3_ms", "speed_up")
        inexact += ("repeats", "calls", "steady")
        exact = [name for name in first if not name.startswith(inexact)]
        pd.testing.assert_frame_equal(first[exact], second[exact])


def test_checked_cells_say_the_same_in_every_profile(executed):
    for path in NOTEBOOKS:
        pairs = zip(
            cells(path),
            [
                c
                for c in cells(executed / "quick" / path.name)
                if "injected-parameters" not in c.metadata.get("tags", [])
            ],
            strict=True,
        )
        checked = [
            pair for pair in pairs if "nbval-check-output" in pair[0].metadata.get("tags", [])
        ]
        assert checked, path
        for committed, quick in checked:
            assert text(committed) == text(quick)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestStructure:
    def test_begins_with_title_and_question(self, path):
        first = nbformat.read(path, as_version=4).cells[0]
        assert re.match(r"# \d\. .+\n\n\*\*.+\?\*\*", first.source)

    def test_ends_with_what_we_saw_and_exercises(self, path):
        texts = [cell.source for cell in cells(path, "markdown")]
        assert any(text.startswith("## What we saw") for text in texts)
        assert texts[-1].startswith("## Exercises")

    def test_has_at_most_fifteen_code_cells_and_never_three_in_a_row(self, path):
        assert len(cells(path)) <= 15
        kinds = [cell.cell_type for cell in nbformat.read(path, as_version=4).cells]
        assert "code code code" not in " ".join(kinds)

    def test_parameters_are_independent_literals_with_help(self, path):
        lines = parameter_lines(path)
        assert set(run.defaults(path)) >= REQUIRED | OWN[path.stem[0]]
        for line in lines:
            assert re.fullmatch(r"\w+: (str|int|float|list) = [^=]+  # [^=]+", line), line
            statement = ast.parse(line).body[0]
            value = ast.literal_eval(statement.value)
            assert type(value).__name__ == statement.annotation.id

    def test_papermill_lists_every_parameter_with_its_help(self, path):
        listed = papermill.inspect_notebook(str(path))  # what papermill --help-notebook prints
        found = {name: ast.literal_eval(about["default"]) for name, about in listed.items()}
        assert found == run.defaults(path)
        assert all(about["help"] and about["inferred_type_name"] for about in listed.values())

    def test_committed_outputs_are_whole_and_clean(self, path):
        code = cells(path)
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
        for output in (output for cell in code for output in cell.outputs):
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            assert len(output.get("data", {}).get("image/png", "")) * 3 / 4 < 150_000
        assert path.stat().st_size < 1_000_000
        assert not re.search(r"/(home|root|work|tmp|Users|content)/", path.read_text())
        assert "papermill" not in nbformat.read(path, as_version=4).metadata

    def test_needs_no_other_notebook_and_copies_no_function(self, path):
        for cell in cells(path):
            assert "%run" not in cell.source
            assert (
                sum(isinstance(node, ast.FunctionDef) for node in ast.parse(cell.source).body) < 2
            )


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profiles_hold_known_parameters_of_the_right_type(path):
    known = {
        name: value for notebook in NOTEBOOKS for name, value in run.defaults(notebook).items()
    }
    for name, value in yaml.safe_load(path.read_text()).items():
        assert type(value) is type(known[name]), name
        if isinstance(value, list) and known[name]:
            assert {type(part) for part in value} == {type(part) for part in known[name]}, name


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profiles_reach_papermill_with_numbers_as_numbers(path):
    changed = run.parameters(NOTEBOOKS[0], path.stem)
    assert yaml.safe_load(base64.b64decode(run.encoded(changed))) == changed


def test_parameters_of_one_name_have_one_default_and_one_help():
    lines = {line for path in NOTEBOOKS for line in parameter_lines(path)}
    names = [line.split(":")[0] for line in lines]
    assert {name for name in names if names.count(name) > 1} <= {"iterations"}


def test_the_mnist_profile_is_the_default():
    assert not any(run.parameters(path, "mnist") for path in NOTEBOOKS)


def test_a_profile_with_an_unknown_parameter_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "PROFILES", tmp_path)
    (tmp_path / "typo.yaml").write_text("epoch: 3\n")
    with pytest.raises(SystemExit, match="no notebook has a parameter epoch"):
        run.parameters(NOTEBOOKS[0], "typo")


def edited(notebook, folder, old, new):
    copy = nbformat.read(notebook, as_version=4)
    assert sum(old in cell.source for cell in copy.cells) >= 1
    for cell in copy.cells:
        cell.source = cell.source.replace(old, new)
    nbformat.write(copy, folder / notebook.name)
    return folder / notebook.name


def test_the_key_changes_with_code_and_parameters_only(tmp_path):
    notebook = NOTEBOOKS[0]
    same = run.key(notebook, {})
    assert (
        run.key(edited(notebook, tmp_path, "# passes over the training set", "# epochs"), {})
        == same
    )
    assert run.key(edited(notebook, tmp_path, "## The plateau", "## Plateau"), {}) == same
    assert run.key(edited(notebook, tmp_path, "tolerance=0.01", "tolerance=0.02"), {}) != same
    assert run.key(notebook, {"epochs": 3}) != same


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one notebook whose execution is pretended; counts the executions."""
    for name in ("RUNS", "RESULTS", "FIGURES"):
        monkeypatch.setattr(run, name, tmp_path / name.lower())
    monkeypatch.setattr(run, "ROOT", tmp_path)
    executions = []

    def execute(notebook, changed, folder):
        executions.append(changed)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{notebook.stem}.csv").write_text(str(len(executions)))
        return 7

    monkeypatch.setattr(run, "execute", execute)
    monkeypatch.setattr(run, "key", lambda notebook, changed: str(changed))
    return executions


def test_a_published_run_is_skipped_until_it_changes_or_a_file_is_gone(project, tmp_path):
    def publish():
        run.run_profile("fashion_mnist", [NOTEBOOKS[0]], publishing=True)
        return len(project)

    table = tmp_path / "results" / "fashion_mnist" / f"{NOTEBOOKS[0].stem}.csv"
    assert publish() == 1 and table.read_text() == "1"
    assert publish() == 1
    table.unlink()
    assert publish() == 2 and table.read_text() == "2"
    run.key = lambda notebook, changed: "changed code"
    assert publish() == 3


def test_without_publishing_every_run_is_executed(project):
    for _ in range(2):
        run.run_profile("quick", [NOTEBOOKS[0]])
    assert len(project) == 2


def test_a_notebook_edited_during_its_run_is_not_overwritten(project, tmp_path, monkeypatch):
    notebook = edited(NOTEBOOKS[0], tmp_path, "## The plateau", "## Plateau")
    pretended = run.execute

    def execute(*arguments):
        edited(NOTEBOOKS[0], tmp_path, "## The plateau", "## A plateau")
        return pretended(*arguments)

    monkeypatch.setattr(run, "execute", execute)
    with pytest.raises(SystemExit, match="was edited meanwhile"):
        run.run_profile("mnist", [notebook], publishing=True)
