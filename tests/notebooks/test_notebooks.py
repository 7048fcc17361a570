"""The notebooks run with the quick profile, say the same twice, and are clean as committed."""

import ast
import json
import os
import re
import subprocess
import sys
from collections import Counter
from copy import deepcopy
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
import yaml

from evidence import publish
from pruninglib.batch.grid import defaults, read_grid
from pruninglib.batch.report import report
from pruninglib.batch.results import collect, parameters_in
from pruninglib.batch.running import threads

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[1-9]*.ipynb"))
REQUIRED = {
    *("dataset", "hidden_units", "epochs", "batch_size", "learning_rate", "optimizer", "seeds"),
    "results",
}


def cells(path, kind="code"):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def parameter_lines(path):
    (cell,) = [c for c in cells(path) if "parameters" in c.metadata.get("tags", [])]
    return cell.source.splitlines()


def tags(cell):
    return cell.metadata.get("tags", [])


def text(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def test_there_are_four_notebooks():
    assert len(NOTEBOOKS) == 4


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """{notebook: folder of its run}, executed with the quick grid as `make run` does: a minute."""
    folder = tmp_path_factory.mktemp("notebooks")
    grid = ROOT / "notebooks" / "grids" / "quick.yaml"
    command = [sys.executable, "-m", "pruninglib.batch", grid, "--output", folder / "quick"]
    environment = {**os.environ, "PRUNINGLIB_RUNS": str(folder)}
    environment.pop("PRUNINGLIB_BASELINES", None)
    done = subprocess.run(
        [*command, "--jobs", "2"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"4 of 4 runs done, 0 of them before: {folder / 'quick'}" in done.stdout
    found = {}
    for path in NOTEBOOKS:
        (found[path],) = (folder / "quick").glob(f"{path.stem}-*/")
    return found


@pytest.mark.notebooks
def test_a_run_leaves_notebook_result_tables_and_figures(executed):
    for path, folder in executed.items():
        for pattern in ("notebook.ipynb", "result.json", f"{path.stem}*.csv", f"{path.stem}*.png"):
            assert list(folder.glob(pattern)), pattern


@pytest.mark.notebooks
def test_the_result_has_all_parameters_and_the_rows_of_the_tables(executed):
    for path, folder in executed.items():
        result = json.loads((folder / "result.json").read_text())
        quick = yaml.safe_load((ROOT / "notebooks" / "profiles" / "quick.yaml").read_text())
        own = defaults(path)
        assert result["parameters"] == own | {k: v for k, v in quick.items() if k in own}
        counts = Counter(row["table"] for row in result["rows"])
        written = sorted(len(pd.read_csv(csv)) for csv in folder.glob("*.csv"))
        assert sorted(counts.values()) == written
        assert result["seconds"] > 0 and result["versions"]["keras"]


@pytest.mark.notebooks
def test_all_rows_are_collected_and_shown_on_one_page(executed):
    folder = next(iter(executed.values())).parent
    rows = pd.read_csv(collect(folder), low_memory=False)
    assert set(rows["notebook"]) == {path.stem for path in NOTEBOOKS}
    differing = {name for name in rows if name.startswith("parameter.")}
    assert differing == {"parameter.weight_sparsities", "parameter.unit_sparsities"}
    tables = re.findall(r"<table.*?</table>", report(folder).read_text(), re.DOTALL)
    sweep, weights, units, times = ([*re.findall(">([^<]+)</t[hd]>", t)] for t in tables)
    assert {"weight", "random unit", "90%"} < set(sweep)
    assert {"pruned", "repaired", "held", "free"} < set(weights)
    assert {"unit", "greedy unit", "from scratch"} < set(units)
    assert {"NumPy", "sparse (numba)", "64"} < set(times)
    assert " %" in "".join(units) and " %" not in "".join(times), "the last are milliseconds"


@pytest.mark.notebooks
def test_executed_notebooks_have_no_errors_and_no_standard_error(executed):
    for folder in executed.values():
        for cell in cells(folder / "notebook.ipynb"):
            for output in cell.outputs:
                assert output.output_type != "error"
                assert output.get("name") != "stderr", output.text
                assert "image/png" not in output.get("data", {}) or output.metadata["image/png"]


@pytest.mark.notebooks
@pytest.mark.parametrize(
    "path",
    [NOTEBOOKS[0], *(pytest.param(path, marks=pytest.mark.slow) for path in NOTEBOOKS[1:])],
    ids=lambda path: path.stem,
)
def test_a_second_execution_computes_the_same(path, executed, tmp_path):
    """Strict nbval in an empty store, so that training is repeated too: over 10 s.

    Only cells that print times are tagged to be left out; columns of times are not compared.
    """
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q"]
    options = ["--nbval-cell-timeout=3000", "-p", "no:cacheprovider", "-W", "default"]
    environment = {**os.environ, "PRUNINGLIB_RUNS": str(tmp_path)}
    cores = json.loads((executed[path] / "result.json").read_text())["threads"]
    environment |= threads(cores) if cores else {}
    command = [*command, *options, str(executed[path] / "notebook.ipynb")]
    how = {"env": environment, "cwd": tmp_path, "capture_output": True, "text": True}
    done = subprocess.run(command, **how)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    tables = sorted(executed[path].glob("*.csv"))
    assert tables
    for table in tables:
        first, second = (pd.read_csv(p) for p in (table, tmp_path / "quick" / table.name))
        inexact = ("seconds", "first_ms", "median_ms", "q1_ms", "q3_ms", "times_ms", "speed_up")
        inexact += ("repeats", "calls", "steady", "bytes", "gzip_bytes")
        exact = [name for name in first if not name.startswith(inexact)]
        pd.testing.assert_frame_equal(first[exact], second[exact])
        for name in {"bytes", "gzip_bytes"} & set(first):  # the last bit of a weight may be a byte
            np.testing.assert_allclose(first[name], second[name], rtol=1e-3)


@pytest.mark.notebooks
def test_checked_cells_say_the_same_in_every_profile(executed):
    for path in NOTEBOOKS:
        pairs = zip(
            cells(path),
            [
                c
                for c in cells(executed[path] / "notebook.ipynb")
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

    def test_it_writes_its_result_with_its_last_words_and_ends_in_the_slider(self, path):
        written, slider = cells(path)[-2:]
        assert f'"{path.stem}.result.json"' in written.source
        assert "pl.write_result(" in written.source and "Markdown(findings." in written.source
        assert slider.metadata["tags"] == ["explore"] and "pl.explorer(" in slider.source

    def test_every_cell_that_ends_in_words_a_figure_or_a_table_shows_them_as_committed(self, path):
        show = r"\b(print|show|explorer|Markdown|pivot_table|round)\("
        last = [(cell, ast.unparse(ast.parse(cell.source).body[-1])) for cell in cells(path)]
        showing = [(cell, end) for cell, end in last if re.search(show, end)]
        assert len(showing) >= 6
        assert [end for cell, end in showing if not cell.outputs] == []

    def test_its_first_cell_does_nothing_outside_colab(self, path, tmp_path, monkeypatch):
        first, others = cells(path)[0], [cells(other)[0] for other in NOTEBOOKS]
        assert first.metadata["tags"] == ["colab"]
        assert {other.source for other in others} == {first.source}
        monkeypatch.chdir(tmp_path)
        before = (dict(os.environ), list(sys.path))
        exec(first.source, {})
        assert (dict(os.environ), list(sys.path)) == before and not list(tmp_path.iterdir())

    def test_its_words_name_this_notebook(self, path):
        assert f"papermill notebooks/{path.name} out.ipynb -p " in cells(path, "markdown")[1].source

    def test_every_figure_has_words_for_those_who_do_not_see_it(self, path):
        sources = [cell.source for cell in cells(path)]
        drawn = [source for source in sources if re.search(r"style\.figure\(", source)]
        assert drawn and all("style.show(" in source for source in drawn)
        assert not any("plt.show" in source or "savefig" in source for source in sources)

    def test_ends_with_what_we_saw_and_exercises(self, path):
        texts = [cell.source for cell in cells(path, "markdown")]
        assert any(text.startswith("## What we saw") for text in texts)
        assert texts[-1].startswith("## Exercises")

    def test_it_is_short(self, path):
        lengths = [len(list(filter(str.strip, cell.source.splitlines()))) for cell in cells(path)]
        assert len(lengths) <= 12
        (parameters,) = [i for i, cell in enumerate(cells(path)) if "parameters" in tags(cell)]
        assert lengths.pop(parameters) <= 12
        assert max(lengths) <= 10

    def test_prose_stands_between_its_cells(self, path):
        kinds = [cell.cell_type for cell in nbformat.read(path, as_version=4).cells]
        assert "code code code" not in " ".join(kinds)

    def test_parameters_are_independent_literals_with_help(self, path):
        lines = parameter_lines(path)
        assert set(defaults(path)) >= REQUIRED
        for line in lines:
            assert re.fullmatch(r"\w+: (str|int|float|list) = [^=]+  # [^=]+", line), line
            statement = ast.parse(line).body[0]
            value = ast.literal_eval(statement.value)
            assert type(value).__name__ == statement.annotation.id

    def test_papermill_lists_every_parameter_with_its_help(self, path):
        listed = papermill.inspect_notebook(str(path))  # what papermill --help-notebook prints
        found = {name: ast.literal_eval(about["default"]) for name, about in listed.items()}
        assert found == defaults(path)
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


def test_parameters_of_one_name_have_one_default_and_one_help():
    lines = {line for path in NOTEBOOKS for line in parameter_lines(path)}
    names = [line.split(":")[0] for line in lines]
    # what trains at each level has fewer
    assert {name for name in names if names.count(name) > 1} <= {
        "weight_sparsities",
        "unit_sparsities",
    }


def test_the_studies_have_the_notebooks_as_they_are_committed():
    runs = read_grid(ROOT / "notebooks" / "grids" / "studies.yaml")
    as_committed = {run.notebook.name for run in runs if not run.changed}
    assert as_committed >= {path.name for path in NOTEBOOKS}


# ---- publish


@pytest.fixture
def project(tmp_path):
    """A batch with one run of a notebook, and the folders to publish it in."""
    parameters = nbformat.v4.new_code_cell('dataset: str = "digits"  # d\nresults: str = ""  # r')
    parameters.metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=[parameters, nbformat.v4.new_code_cell("1 + 1")])
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook, tmp_path / "notebooks" / "tiny.ipynb")
    return tmp_path, notebook


def ran(project, key, edit=lambda notebook: None, **changed):
    """Put a finished run into the batch."""
    place, notebook = project
    folder = place / "batch" / f"tiny-{key}"
    folder.mkdir(parents=True)
    notebook = deepcopy(notebook)
    for count, cell in enumerate(notebook.cells, start=1):
        cell.execution_count = count
    if changed:
        injected = nbformat.v4.new_code_cell("", metadata={"tags": ["injected-parameters"]})
        notebook.cells.insert(1, injected)
    edit(notebook)
    nbformat.write(notebook, folder / "notebook.ipynb")
    result = {"parameters": {"dataset": "digits", "results": ""} | changed, "rows": [{"x": 1}]}
    about = {"seconds": 3.0, "date": f"2026-01-01 {key}"}
    (folder / "result.json").write_text(json.dumps(result | about))
    (folder / "tiny.csv").write_text(key)
    (folder / "tiny.png").write_text(key)


def published(project):
    place, _ = project
    folders = [place / name for name in ("batch", "results", "figures", "notebooks")]
    publish.publish(*folders)
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


@pytest.mark.notebooks
def test_tables_and_figures_are_published_by_name_and_the_default_run_is_the_notebook(project):
    ran(project, "a")
    ran(project, "b", results="other")
    files = published(project)
    place = project[0]
    for name, key in (("digits", "a"), ("other", "b")):
        assert (place / "results" / name / "tiny.csv").read_text() == key
        assert f"figures/{name}/tiny.png" in files
        record = json.loads((place / "results" / name / "tiny.json").read_text())
        assert record["key"] == f"tiny-{key}" and record["seconds"] == 3 and "rows" not in record
    committed = nbformat.read(place / "notebooks" / "tiny.ipynb", 4)
    assert [cell.execution_count for cell in committed.cells] == [1, 2]


@pytest.mark.notebooks
def test_of_a_slider_only_its_words_are_published(project):
    def with_slider(notebook):
        view = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "w"}
        notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", view)]

    ran(project, "a", with_slider)
    published(project)
    committed = nbformat.read(project[0] / "notebooks" / "tiny.ipynb", 4)
    assert committed.cells[-1].outputs[0].data == {"text/plain": "w"}


@pytest.mark.notebooks
def test_of_runs_with_the_same_parameters_the_newest_is_published(project):
    ran(project, "a", lambda notebook: notebook.cells[-1].update(source="before"))
    ran(project, "b")
    published(project)
    assert (project[0] / "results" / "digits" / "tiny.csv").read_text() == "b"


@pytest.mark.notebooks
def test_a_run_of_a_notebook_that_was_edited_since_is_not_published(project):
    ran(project, "a")
    ran(project, "b", lambda notebook: notebook.cells[-1].update(source="1 + 2"), dataset="mnist")
    with pytest.raises(SystemExit, match=r"tiny\.ipynb was edited since the run tiny-b"):
        published(project)
    assert not (project[0] / "results").exists()


# ---- Colab's cell


@pytest.fixture
def fetching(tmp_path, monkeypatch):
    """A function that runs the notebooks' first cell as on Colab; its folder."""
    monkeypatch.setitem(sys.modules, "google.colab", object())
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PRUNINGLIB_REPOSITORY", "")  # so that it is put back afterwards
    monkeypatch.delenv("PRUNINGLIB_REPOSITORY")
    monkeypatch.chdir(tmp_path)
    scope = {}
    return lambda: exec(cells(NOTEBOOKS[0])[0].source, scope) or scope


@pytest.mark.processes
def test_on_colab_the_repository_is_fetched_once_and_no_parameter_is_left(
    fetching, tmp_path, monkeypatch
):
    origin = tmp_path / "origin"
    (origin / "pruninglib").mkdir(parents=True)
    (origin / "pruninglib" / "__init__.py").touch()
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=origin, check=True)
    monkeypatch.setenv("PRUNINGLIB_REPOSITORY", origin.as_uri())
    for _ in range(2):  # the second notebook finds it
        scope = fetching()
    assert (tmp_path / "pruning" / "pruninglib" / "__init__.py").exists()
    assert sys.path[0] == "pruning" and parameters_in(scope) == {}


@pytest.mark.processes
@pytest.mark.parametrize("address", [None, "file:///nowhere"])
def test_on_colab_an_address_that_is_missing_or_wrong_is_told_with_what_to_do(
    address, fetching, monkeypatch
):
    if address:
        monkeypatch.setenv("PRUNINGLIB_REPOSITORY", address)
    with pytest.raises(OSError, match=r"could not fetch pruninglib\. Set its address before"):
        fetching()
