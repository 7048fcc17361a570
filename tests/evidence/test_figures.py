"""Figures are drawn again from tables alone."""

import json

import nbformat
import pandas as pd
import pytest
from PIL import Image

from evidence.figures import drawn, redraw

IMPORTS = """import pandas as pd

import pruninglib as pl
from pruninglib.plotting import curves, style

folder = pl.run_folder(parameters := pl.parameters_in(globals()))"""
FIGURE = """fig, ax = style.figure()
curves.methods(errors, ax)
words = f"Of {dataset} by {rate:g}: {style.means(errors, ['method'])}."
style.show(fig, words, folder / "tiny.png")"""
CELLS = {
    "parameters": 'dataset: str = "mnist"  # d\nrate: float = 0.1  # r\nresults: str = ""  # f',
    "": IMPORTS,
    "trained": 'raise AssertionError("nothing is to be trained")',
    "figure": FIGURE,
    "written": "pl.write_result(folder, parameters, errors=errors, other=other)",
}


@pytest.fixture
def place(tmp_path):
    cells = [
        nbformat.v4.new_code_cell(source, metadata={"tags": [tag] if tag else []})
        for tag, source in CELLS.items()
    ]
    (tmp_path / "notebooks" / "studies").mkdir(parents=True)
    path = tmp_path / "notebooks" / "studies" / "tiny.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    cells = [cell for cell in cells if cell.metadata.tags != ["figure"]]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "none.ipynb")
    for name in ("one", "two", "three"):
        (tmp_path / "results" / name).mkdir(parents=True)
    rows = [{"method": "weight", "sparsity": 0.9, "accuracy": 0.5}]
    for name in ("one", "two"):
        pd.DataFrame(rows).to_csv(tmp_path / "results" / name / "tiny_errors.csv", index=False)
    about = {"parameters": {"dataset": "digits", "gone_since": 1}}
    (tmp_path / "results" / "two" / "tiny.json").write_text(json.dumps(about))
    return tmp_path


def test_a_figure_needs_the_tables_that_it_draws(place):
    assert drawn(place / "notebooks" / "studies" / "tiny.ipynb") == ["errors"]


def test_each_folder_with_the_tables_gets_the_figure_with_its_parameters(place, capsys):
    folders = [place / name for name in ("notebooks", "results", "figures")]
    assert redraw(*folders) == [place / "figures" / n / "tiny.png" for n in ("one", "two")]
    for name, dataset in (("one", "mnist"), ("two", "digits")):
        with Image.open(place / "figures" / name / "tiny.png") as picture:
            words = picture.text["Description"]
        assert words == f"Of {dataset} by 0.1: at a sparsity of 90% weight 50.0%."
    assert capsys.readouterr().out == "" and not (place / "figures" / "three").exists()
