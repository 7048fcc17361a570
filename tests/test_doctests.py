"""What docstrings and CONTRIBUTING.md show is what happens."""

import contextlib
import doctest
import importlib
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pruninglib as pl

ROOT = Path(pl.__file__).parent.parent
SHOWING = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "pruninglib").rglob("*.py")
    if ">>>" in path.read_text()
)


@pytest.mark.parametrize("module", SHOWING)
def test_the_examples_of_a_module_hold(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    names = {"np": np, "pd": pd, "pl": pl}
    tested = doctest.testmod(importlib.import_module(module), extraglobs=names)
    assert tested.attempted and not tested.failed


def test_the_functions_that_users_meet_first_have_examples():
    for name in ("load_dataset", "make_mlp", "magnitude", "make_masks", "prune", "strip", "repair"):
        assert ">>>" in getattr(pl, name).__doc__, name
    for name in ("shrink", "plan_shrink", "export", "count_macs", "count_parameters", "percent"):
        assert ">>>" in getattr(pl, name).__doc__, name


def test_the_criterion_of_contributing_prunes():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert float(printed.getvalue()) == pytest.approx((3 * 4 + 2 * 6) / 54)  # 3 and 2 units
