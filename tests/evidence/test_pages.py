"""Examples in pages run as printed, numbers are those of data/results, links lead somewhere."""

import contextlib
import io
import re
import shutil
import subprocess
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from evidence.pages import __main__ as command
from evidence.pages import notebooks, readme, results, text
from pruninglib.experiments import evaluation
from pruninglib.experiments.timing import time_models

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"]
PAGES += [f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))]
ADDRESS = "https://github.com/someone/fork"


# ---- examples

BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```\n(.*?)```)?", re.DOTALL)
RUN = {"README.md": 1, "docs/guide.md": 5}  # how many of its blocks print
GUIDE = pytest.param("docs/guide.md", marks=pytest.mark.slow)


@pytest.fixture(params=["README.md", GUIDE], scope="module")
def printed(request, tmp_path_factory):
    """A page, and pairs of what it says that a block prints and what the block prints.

    Over 10 s, for the networks are as large as those shown; but times, which are not printed, are
    measured only as often as it takes to have quartiles.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "time_models", partial(time_models, limit=10))
        return request.param, run_blocks(request.param, tmp_path_factory)


def run_blocks(page, tmp_path_factory):
    names, pairs = {}, []
    for code, expected in BLOCK.findall((ROOT / page).read_text()):
        output = io.StringIO()
        folder = tmp_path_factory.mktemp("page")
        with contextlib.redirect_stdout(output), contextlib.chdir(folder):
            exec(code, names)
        pairs.append((expected, output.getvalue()))
    return [pair for pair in pairs if any(pair)]


@pytest.mark.notebooks
def test_the_examples_print_what_the_page_says(printed):
    page, pairs = printed
    assert len(pairs) == RUN[page]
    for pair in pairs:
        assert all(pair), pair
        expected, found = (re.split(r"\s+", text.strip()) for text in pair)
        assert len(expected) == len(found), pair
        for one, other in zip(expected, found, strict=True):
            if re.fullmatch(r"[01]\.\d+", one):  # accuracies depend on the machine a little
                assert float(other) == pytest.approx(float(one), abs=0.03), pair
            else:
                assert other == one, pair


# ---- numbers


@pytest.mark.parametrize(("page", "sections"), command.PAGES.items())
def test_the_numbers_are_those_of_the_tables(page, sections):
    found = (ROOT / page).read_text()
    assert text.updated(found, sections) == found
    assert "nan" not in re.findall(r"\w+", found)


def test_a_page_that_lacks_a_section_is_refused():
    page = "<!-- a: written by evidence.pages -->\nold\n<!-- end of a -->\nmore\n"
    assert text.updated(page, {"a": lambda: "new\n\n"}) == page.replace("old", "new")
    with pytest.raises(ValueError, match="marks"):
        text.updated(page, {"a": str, "b": str})


KINDS = ["pruned", "repaired", "retrained", "distilled", "repaired, retrained"]
KINDS += ["repaired, distilled", "retrained, mask free", "from scratch"]


def measured(methods, treatments, sparsities, seeds=(0, 1)):
    """Rows with an accuracy that tells what they are of: treatment, then sparsity, then seed."""
    return pd.DataFrame(
        {"seed": seed, "method": m, "treatment": t, "sparsity": s, "measured_sparsity": s}
        | {"accuracy": 0.9 + KINDS.index(t) / 100 - s / 10 + seed / 500, "dataset": "mnist"}
        for seed, m, t, s in product(seeds, methods, treatments, sparsities)
    )


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A function that writes made-up tables into a copy of data/results, for some seeds."""
    folder = tmp_path / "results"
    shutil.copytree(text.RESULTS, folder, ignore=shutil.ignore_patterns("*_5_seeds"))
    monkeypatch.setattr(text, "RESULTS", folder)

    def write(ending, seeds):
        swept = ["weight", "unit", "random weight", "random unit"]
        units = measured(["unit", "greedy unit"], KINDS[:-1], (0.8, 0.9, 0.95), seeds)
        scratch = measured(["from scratch"], KINDS[-1:], (0, 0.8, 0.9, 0.95), seeds)
        tables = {
            "1_prune_sweep_accuracy": measured(swept, KINDS[:1], (0, 0.5, 0.9, 0.99), seeds),
            "2_weight_prune_recovery_accuracy": measured(["weight"], KINDS, (0, 0.9, 0.99), seeds),
            "3_unit_prune_recovery_accuracy": pd.concat([units, scratch]),
            "controls_weights": measured(["weight"], KINDS, (0, 0.9, 0.95, 0.99), seeds),
            "controls_units": pd.concat([units, scratch]),
        }
        (folder / f"mnist{ending}").mkdir(exist_ok=True)
        for name, rows in tables.items():
            rows.to_csv(folder / f"mnist{ending}" / f"{name}.csv", index=False)
        timed = pd.read_csv(folder / "mnist" / "runtimes_times.csv")
        timed.to_csv(folder / "mnist" / "4_shrunk_network_timing_times.csv", index=False)
        sizes = timed.drop_duplicates(["stage", "sparsity"]).assign(accuracy=0.9)
        sizes.to_csv(folder / "mnist" / "4_shrunk_network_timing_sizes.csv", index=False)

    return write


def test_the_headline_shows_each_treatment_beside_its_controls(written):
    written("", (0, 1))
    rows = [line for line in readme.headline().splitlines() if "%" in line and line[0] == "|"]
    assert [tuple(row.split(" | ")[:2]) for row in rows] == [
        *(("| weights", level) for level in ("90%", "95%", "99%")),
        *(("| units, greedy", level) for level in ("80%", "90%", "95%")),
    ]
    # pruned, repaired, retrained, both, from scratch: 0.9 - 0.09 + treatment / 100 + seed / 500
    cells = [f"{value}.1 ± 0.1 %" for value in (81, 82, 83, 85, 88)]
    assert re.findall(r"[\d.]+ ± [\d.]+ %", rows[0]) == cells
    assert "2 seeds" in readme.headline()


def test_the_findings_tell_what_does_it(written):
    written("", (0, 1))
    about, _, weights, units, speed = readme.findings().splitlines()
    assert "2 seeds" in about
    assert all(word in weights for word in ("repair", "retraining", "both", "from scratch"))
    assert all(word in units for word in ("norm", "greedily", "repaired", "from scratch"))
    assert "multiplied: 1.00x as fast" in speed


def test_every_section_is_told_once_all_is_measured(written):
    written("", (0,))
    asked = ("sweep", "weights", "units")
    committed = [results.SECTIONS[name]() for name in asked]
    assert all("One seed, 5 epochs" in section for section in committed)
    written("_5_seeds", (0, 1))
    for page, sections in command.PAGES.items():
        for name, section in sections.items():
            assert text.WAITING.strip() not in section(), (page, name)
    assert all("2 seeds" in results.SECTIONS[name]() for name in asked)
    assert "| within 1 point up to | 10.0 ± 0.0 %" in results.sweep()
    assert "| zeros left, mask free |" in results.weights()
    assert "| shrunk | 90% | 90.0 % | 25.2x | fastest runtime |" in results.timing()


def test_what_is_not_measured_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "RESULTS", tmp_path)
    for name in ("sweep", "weights", "units", "timing", "controls"):
        assert results.SECTIONS[name]().endswith(text.WAITING)
    assert readme.headline().endswith(text.WAITING)


def test_what_pages_say_of_the_price_of_a_repair_is_what_the_benchmarks_say():
    told = (ROOT / "benchmarks" / "README.md").read_text()
    assert f"retraining takes {readme.PRICE} as long" in told.replace("\n", " ")
    assert f"in {readme.PRICE}" in (ROOT / "docs" / "guide.md").read_text()


# ---- the repository's address


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of what the address goes into; other sections are not written."""
    other = dict.fromkeys(readme.SECTIONS, str) | {"notebooks": readme.notebooks}
    monkeypatch.setattr(command, "PAGES", {"README.md": other})
    for name in ("README.md", "notebooks", "pyproject.toml"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    return tmp_path


def with_address(copy, address):
    project = (ROOT / "pyproject.toml").read_text().replace("[project.urls]", "[tool.none]")
    if address:
        urls = f'[project.urls]\nRepository = "{address}"\n\n[tool.setuptools]\n'
        project = project.replace("[tool.setuptools]\n", urls, 1)
    (copy / "pyproject.toml").write_text(project)
    command.main(copy)
    cells = [path.read_text() for path in (copy / "notebooks").rglob("*.ipynb")]
    return (copy / "README.md").read_text(), cells


@pytest.mark.parametrize("address", ["", ADDRESS, f"{ADDRESS}.git", "https://elsewhere.org/x/y"])
def test_badges_and_cells_have_the_address_if_there_is_one(copy, address):
    before = with_address(copy, "")
    page, cells = with_address(copy, address)
    opens = "https://colab.research.google.com/github/someone/fork/blob/main/notebooks/"
    assert page.count(f"]({opens}") == (4 if address.startswith(ADDRESS) else 0)
    line = f'setdefault(\\"PRUNINGLIB_REPOSITORY\\", \\"{address}\\")'
    assert len(cells) >= 4 and all(line in cell for cell in cells)
    assert with_address(copy, "") == before


def test_pages_and_notebooks_have_the_address_of_pyproject_and_no_other_file_has_it():
    address = notebooks.address()
    for path in (ROOT / "notebooks").rglob("[!.]*.ipynb"):
        assert notebooks.with_address(path.read_text(), address) == path.read_text()
    command = ["git", "grep", "-l", "-I", "-F", address or "github.com/pruninglib"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    known = {name for name in done.stdout.split() if not name.endswith((".ipynb", "test_pages.py"))}
    assert known <= ({"README.md", "pyproject.toml"} if address else set())


# ---- links


@pytest.mark.parametrize("page", PAGES)
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


def test_the_readme_names_all_of_the_library():
    page = (ROOT / "README.md").read_text().split("## The library")[1].split("\n## ")[0]
    stub = (ROOT / "pruninglib" / "__init__.pyi").read_text()
    names = re.findall(r"\w+", re.sub(r"from \S+ import", "", stub))
    assert sorted(set(names)) == sorted(set(re.findall(r"`(\w+)`", page)))
