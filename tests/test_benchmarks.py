"""What the benchmarks share."""

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from resumed import resumed
from sections import README, write_section


def test_a_table_goes_on_where_it_was_left(tmp_path):
    file, measured = tmp_path / "rows.csv", []
    settings = [{"ridge": 0.1, "seed": seed} for seed in (0, 1, 2)]

    def measure(setting):
        measured.append(setting["seed"])
        if measured == [0, 1, 2]:
            raise KeyboardInterrupt
        return {"error": setting["seed"] / 10}

    with pytest.raises(KeyboardInterrupt):
        resumed(file, settings, measure)
    assert list(pd.read_csv(file)["error"]) == [0, 0.1]
    table = resumed(file, settings, measure)
    assert measured == [0, 1, 2, 2]
    assert list(table["error"]) == [0, 0.1, 0.2]
    resumed(file, settings, measure)
    assert measured == [0, 1, 2, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_a_section_replaces_that_of_its_title_and_leaves_the_others(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# Benchmarks\n\nWords.\n\n## One\n\nold\n\n## Two\n\nstays\n")
    write_section("One", "\nnew\n", readme)
    write_section("Three", "last", readme)
    assert readme.read_text() == (
        "# Benchmarks\n\nWords.\n\n## One\n\nnew\n\n## Two\n\nstays\n\n## Three\n\nlast\n"
    )


def test_the_sections_that_are_published_are_in_this_form(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(README.read_text())
    body = README.read_text().split("\n## Repair\n")[1].split("\n## ")[0]
    write_section("Repair", body, readme)
    assert readme.read_text() == README.read_text()
