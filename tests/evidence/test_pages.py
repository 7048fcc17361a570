"""The README's example runs as printed, and its numbers are those of data/results."""

import contextlib
import io
import re
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from evidence import pages
from pruninglib.experiments import evaluation
from pruninglib.experiments.timing import time_models

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```\n(.*?)```)?", re.DOTALL)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Pairs of what the README says that a block prints, and what it prints.

    Over 10 s, for the networks are as large as those shown; but times, which are not printed, are
    measured only as often as it takes to have quartiles.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "time_models", partial(time_models, limit=10))
        return run_blocks(tmp_path_factory)


def run_blocks(tmp_path_factory):
    names, pairs = {}, []
    for code, expected in BLOCK.findall(README):
        output = io.StringIO()
        folder = tmp_path_factory.mktemp("readme")
        with contextlib.redirect_stdout(output), contextlib.chdir(folder):
            exec(code, names)
        pairs.append((expected, output.getvalue()))
    return [pair for pair in pairs if any(pair)]


@pytest.mark.notebooks
def test_every_block_that_prints_shows_its_output(printed):
    assert len(printed) == 5
    assert all(expected and found for expected, found in printed)


@pytest.mark.notebooks
@pytest.mark.parametrize("block", range(5))
def test_the_examples_print_what_the_readme_says(printed, block):
    expected, found = (re.split(r"\s+", text.strip()) for text in printed[block])
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        if re.fullmatch(r"[01]\.\d+", one):  # accuracies depend on the machine a little
            assert float(other) == pytest.approx(float(one), abs=0.03)
        else:
            assert other == one


def test_the_results_are_those_of_the_tables():
    assert pages.updated(README) == README


def test_further_seeds_give_accuracies_but_no_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "RESULTS", tmp_path)
    for folder, seed in (("mnist", 0), ("mnist_more_seeds", 1)):
        (tmp_path / folder).mkdir()
        row = {"seed": seed, "accuracy": 0.9 + seed / 100, "seconds": 3.0}
        pd.DataFrame([row]).to_csv(tmp_path / folder / "table.csv", index=False)
    table = pages.read("mnist", "table")
    assert table["accuracy"].tolist() == [0.9, 0.91]
    assert table["seconds"].dropna().tolist() == [3.0]


@pytest.mark.parametrize(
    "page", ["README.md", "CLAIMS.md", "CONTRIBUTING.md", "benchmarks/README.md"]
)
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(page):
    path = ROOT / page
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        assert not anchor or anchor in headings(file), target


def headings(path):
    """The anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}
