"""The README's example runs as printed, and its numbers are those of data/results."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_example_prints_what_the_readme_says():
    code = "".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    output = re.search(r"```python\n[^`]*```\n\n```\n(.*?)```", README, re.DOTALL).group(1)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    expected, found = (pd.read_fwf(io.StringIO(text)) for text in (output, printed.getvalue()))
    # Accuracies depend on the machine and the versions a little, counts do not
    assert found["accuracy"].to_numpy() == pytest.approx(expected["accuracy"].to_numpy(), abs=0.03)
    exact = ["label", "parameters", "macs"]
    pd.testing.assert_frame_equal(found[exact], expected[exact])


def test_the_results_are_those_of_the_tables():
    spec = importlib.util.spec_from_file_location("readme", ROOT / "notebooks" / "readme.py")
    readme = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme)
    assert readme.BEGIN + readme.results() + readme.END in README


def test_every_link_leads_to_a_file():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
