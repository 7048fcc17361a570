"""The studies have the form of the notebooks."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
import yaml

from evidence import publish
from evidence.figures import drawn
from pruninglib.batch.grid import checked, defaults, read_grid

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
STUDIES = sorted((NOTEBOOKS / "studies").glob("*.ipynb"))
PROFILES = sorted((NOTEBOOKS / "profiles").glob("*.yaml"))
GRIDS = ("quick_studies", "results", "studies")
TIMED = {"runtimes", "4_shrunk_network_timing"}


def cells(path, kind="code", tag=None):
    found = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]
    return [cell for cell in found if tag is None or tag in cell.metadata.get("tags", [])]


def lines(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
class TestForm:
    def test_begins_with_title_question_and_how_long_it_takes(self, path):
        first = nbformat.read(path, as_version=4).cells[0]
        assert re.match(r"# .+\n\n\*\*.+\?\*\*\n\n", first.source)
        assert re.search(r"Run All takes about .+ on 2 cores\.$", first.source)

    def test_ends_with_what_we_saw_and_two_or_three_exercises(self, path):
        texts = [cell.source for cell in cells(path, "markdown")]
        assert any(text.startswith("## What we saw") for text in texts)
        assert texts[-1].startswith("## Exercises")
        assert len(re.findall(r"^\d\. ", texts[-1], re.MULTILINE)) in (2, 3)

    def test_its_first_cell_is_that_of_the_notebooks(self, path):
        (first,) = cells(NOTEBOOKS / "1_prune_sweep.ipynb", tag="colab")
        assert cells(path)[0].source == first.source
        assert cells(path)[0].metadata["tags"] == ["colab"]

    def test_its_code_is_short(self, path):
        assert len(cells(path)) <= 12
        (parameters,) = cells(path, tag="parameters")
        assert len(lines(parameters)) <= 12
        long = [cell.source for cell in cells(path) if len(lines(cell)) > 10]
        assert [source for source in long if source != parameters.source] == []

    def test_its_parameters_are_independent_literals_with_help(self, path):
        (cell,) = cells(path, tag="parameters")
        for line in lines(cell):
            assert re.fullmatch(r"\w+: (str|int|float|list) = [^=]+  # [^=]+", line), line
            statement = ast.parse(line).body[0]
            assert type(ast.literal_eval(statement.value)).__name__ == statement.annotation.id
        assert set(defaults(path)) >= {"dataset", "hidden_units", "seeds", "results"}

    def test_uses_all_its_parameters(self, path):
        code = "\n".join(
            c.source for c in cells(path) if "parameters" not in c.metadata.get("tags", [])
        )
        used = set(re.findall(r"@?(\w+)", code))
        assert set(defaults(path)) - {"results"} <= used

    def test_writes_the_tables_that_its_only_figure_draws(self, path):
        (figure,) = cells(path, tag="figure")
        assert drawn(path)
        assert lines(figure)[-1] == f'style.show(fig, words, folder / "{path.stem}.png")'
        assert f'folder / "{path.stem}.result.json"' in "\n".join(c.source for c in cells(path))

    def test_its_outputs_are_committed_all_or_none(self, path):
        counts = [cell.execution_count for cell in cells(path)]
        assert counts in ([None] * len(counts), list(range(1, len(counts) + 1)))
        outputs = [output for cell in cells(path) for output in cell.outputs]
        assert not outputs or None not in counts
        assert all(o.output_type != "error" and o.get("name") != "stderr" for o in outputs)


def test_a_study_is_published_where_it_lies(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "deep.ipynb").touch()
    assert publish.place("deep", tmp_path) == tmp_path / "studies" / "deep.ipynb"
    assert publish.place("1_shallow", tmp_path) == tmp_path / "1_shallow.ipynb"


def test_parameters_of_one_name_have_one_type():
    kinds = {}
    for path in (*STUDIES, *NOTEBOOKS.glob("*.ipynb")):
        for name, value in defaults(path).items():
            kinds.setdefault(name, set()).add(type(value))
    assert {name for name, found in kinds.items() if len(found) > 1} == set()


def test_every_study_runs_quickly_and_for_the_results():
    grids = {name: read_grid(NOTEBOOKS / "grids" / f"{name}.yaml") for name in GRIDS}
    studies = {path.stem for path in STUDIES}
    assert {run.notebook.stem for run in grids["quick_studies"]} == studies
    both = {run.notebook.stem for name in ("results", "studies") for run in grids[name]}
    assert both >= studies
    for runs in grids.values():
        assert all(run.alone == (run.notebook.stem in TIMED) for run in runs)
        assert [run.alone for run in runs] == sorted(run.alone for run in runs)


def test_the_claims_are_measured_on_both_datasets_with_five_seeds_or_more():
    asked = {}
    for run in read_grid(NOTEBOOKS / "grids" / "results.yaml"):
        if run.notebook.stem in ("training", "mistakes", "retraining"):
            assert len(run.parameters["seeds"]) >= 5
            asked.setdefault(run.notebook.stem, []).append(run.parameters["dataset"])
    assert len(asked) == 3
    assert all(datasets == ["mnist", "fashion_mnist"] for datasets in asked.values())


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profiles_hold_known_parameters_of_the_right_type(path):
    everywhere = [defaults(other) for other in (*STUDIES, *NOTEBOOKS.glob("*.ipynb"))]
    wanted = yaml.safe_load(path.read_text())
    assert wanted == checked(path, wanted, {n: v for own in everywhere for n, v in own.items()})
