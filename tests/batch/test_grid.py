"""Grids: their runs and keys, and what is refused before anything starts."""

import json
import shutil

import pytest
import yaml

from pruninglib.batch import grid
from pruninglib.batch.grid import defaults, read_grid

PARAMETERS = """sparsities: list = [0.0, 0.5]  # shares
rate: float = 0.001  # of learning
seed: int = 0  # a number
dataset: str = "digits"  # a name
units: list = []  # of layers"""


def notebook(path, parameters=PARAMETERS, code="print(seed)"):
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# Title"},
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": parameters},
        {"cell_type": "code", "metadata": {}, "source": code},
    ]
    path.write_text(json.dumps({"cells": cells}))


@pytest.fixture
def place(tmp_path):
    notebook(tmp_path / "one.ipynb")
    notebook(tmp_path / "two.ipynb", "seed: int = 3  # a number\nwidth: int = 4  # of a layer")
    (tmp_path / "profile.yaml").write_text("rate: 2\nwidth: 5\nseed: 1\n")
    return tmp_path


def read(place, content):
    (place / "grid.yaml").write_text(content if isinstance(content, str) else yaml.dump(content))
    return read_grid(place / "grid.yaml")


def test_runs_are_the_product_of_notebooks_profiles_and_lists(place):
    block = {
        "notebooks": ["one.ipynb", "two.ipynb"],
        "profiles": ["profile.yaml"],
        "parameters": {"seed": [1, 2, 3]},
    }
    runs = read(place, [block])
    found = [(run.notebook.stem, run.changed) for run in runs]
    assert found[:3] == [("one", {"rate": 2.0, "seed": seed}) for seed in (1, 2, 3)]
    assert found[3:] == [
        ("two", {"width": 5, "seed": 1}),
        ("two", {"width": 5, "seed": 2}),
        ("two", {"width": 5}),  # 3 is its own
    ]
    assert runs[0].parameters == defaults(place / "one.ipynb") | {"rate": 2.0, "seed": 1}
    assert len({run.key for run in runs}) == 6 and not any(run.alone for run in runs)


def test_what_two_blocks_want_is_run_once(place):
    one, both = {"notebooks": ["one.ipynb"]}, {"notebooks": ["one.ipynb", "two.ipynb"]}
    assert [run.notebook.stem for run in read(place, [one, both])] == ["one", "two"]
    assert read(place, [one | {"alone": True}])[0].alone
    assert len(read(place, one)) == 1  # a single block


def test_the_key_changes_with_code_parameters_and_version(place, monkeypatch):
    content = {"notebooks": ["one.ipynb"]}
    (before,) = read(place, content)
    shutil.copy(place / "one.ipynb", place / "copy.ipynb")
    notebook(place / "one.ipynb", PARAMETERS + "  # of hidden ones")
    assert read(place, content)[0].key == before.key
    notebook(place / "one.ipynb", PARAMETERS.replace("seed: int = 0", "seed: int = 1"))
    assert read(place, content)[0].key != before.key
    assert read(place, content | {"parameters": {"seed": [0]}})[0].key == before.key
    notebook(place / "one.ipynb", code="print(seed, 1)")
    assert read(place, content)[0].key != before.key
    shutil.copy(place / "copy.ipynb", place / "one.ipynb")
    monkeypatch.setattr(grid, "__version__", "another")
    assert read(place, content)[0].key != before.key


def test_the_key_stays_when_what_is_imported_moves(place):
    keys = set()
    for imports in ("import numpy as np", "from a.b import (\n    np,\n)", "%matplotlib inline"):
        notebook(place / "one.ipynb", code=f"{imports}\nprint(seed)")
        keys.add(read(place, {"notebooks": ["one.ipynb"]})[0].key)
    assert len(keys) == 2  # a magic command computes


def lists(**parameters):
    return {"notebooks": ["one.ipynb"], "parameters": parameters}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no runs"),
        ([], "has no runs"),
        ({"notebooks": []}, "has no runs"),
        (lists(seed=[]), "has no runs"),
        ("notebooks: [", "cannot be read"),
        ("a word", "expected blocks"),
        ({"notebook": ["one.ipynb"]}, "expected blocks"),
        ({"notebooks": ["one.ipynb"], "seeds": [0]}, "expected blocks"),
        ({"notebooks": "one.ipynb"}, r"notebooks must be a list.*Write \[one.ipynb\]"),
        (
            {"notebooks": ["three.ipynb"]},
            "There is no .*three.ipynb; in that folder: one.ipynb, two",
        ),
        ({"notebooks": ["profile.yaml"]}, "profile.yaml is not a notebook"),
        ({"notebooks": ["one.ipynb"], "profiles": ["none.yaml"]}, "none.yaml cannot be read"),
        ({"notebooks": ["one.ipynb"], "parameters": [1]}, "parameters must be {name: list"),
        (lists(seeds=[0]), "'seeds' is not known. Known are dataset, rate, seed"),
        (lists(width=[4]), "'width' is not known"),
        ({"notebooks": ["one.ipynb"], "parameters": {"a b; c": [0]}}, "is no name of a parameter"),
        (lists(seed=3), r"seed must be a list, got 3. Write \[3\]"),
        (lists(seed=["x"]), "seed must be int as 0, got 'x'"),
        (lists(seed=[True]), "seed must be int as 0, got True"),
        (lists(seed=[0.5]), "seed must be int as 0, got 0.5"),
        (lists(dataset=[3]), "dataset must be str as 'digits', got 3"),
        (
            lists(sparsities=[0.5]),
            r"sparsities must be list as \[0.0, 0.5\], got 0.5.*a list: \[\[1, 2\], \[3, 4\]\]",
        ),
        ([1000 * "long"], r"expected blocks as below, got 'longlong.*\.\.\..*long'\.\n"),
        ("notebooks: [one.ipynb]\nparameters: {rate: [1e-3]}", "reads this as text; write 1.0e-03"),
        ("notebooks: [one.ipynb]\nparameters: {sparsities: [[1e-3]]}", "sparsities must be float"),
    ],
)
def test_what_could_only_fail_later_is_refused(content, message, place):
    with pytest.raises(ValueError, match=message):
        read(place, content)


def test_a_profile_with_a_parameter_of_no_notebook_is_refused(place):
    (place / "profile.yaml").write_text("sead: 3\n")
    content = {"notebooks": ["one.ipynb"], "profiles": ["profile.yaml"]}
    with pytest.raises(ValueError, match=r"profile.yaml: 'sead' is not known"):
        read(place, content)


def test_a_notebook_without_parameters_beside_does_not_disturb(place):
    (place / "Untitled.ipynb").write_text('{"cells": []}')
    (place / "broken.ipynb").write_text("{")
    (run,) = read(place, {"notebooks": ["one.ipynb"], "profiles": ["profile.yaml"]})
    assert run.changed == {"rate": 2.0, "seed": 1}


def test_a_profile_serves_the_notebooks_and_their_studies_alike(place):
    (place / "studies").mkdir()
    notebook(place / "studies" / "deep.ipynb", "depth: int = 1  # of it\nseed: int = 0  # a number")
    (place / "profile.yaml").write_text("rate: 2\nwidth: 5\nseed: 1\ndepth: 3\n")
    notebooks = ["one.ipynb", "studies/deep.ipynb"]
    above, below = read(place, {"notebooks": notebooks, "profiles": ["profile.yaml"]})
    assert above.changed == {"rate": 2.0, "seed": 1}
    assert below.changed == {"depth": 3, "seed": 1}


def test_a_pair_keeps_the_types_of_its_places(place):
    notebook(place / "one.ipynb", "pairs: list = [[5, 0.1], [6, 0.2]]  # epochs and rates")
    (run,) = read(place, lists(pairs=[[[1, 1], [2, 0.5], [3, 2]]]))
    assert run.changed == {"pairs": [[1, 1.0], [2, 0.5], [3, 2.0]]}
    with pytest.raises(ValueError, match=r"pairs must be int as 5, got 0\.5"):
        read(place, lists(pairs=[[[0.5, 1]]]))


def test_whole_numbers_become_those_of_the_default(place):
    (run,) = read(place, lists(rate=[1], sparsities=[[0, 1]], units=[[3, 2]]))
    assert run.changed == {"rate": 1.0, "sparsities": [0.0, 1.0], "units": [3, 2]}
    assert type(run.changed["rate"]) is float


def test_a_notebook_without_parameters_is_refused(place):
    (place / "one.ipynb").write_text('{"cells": []}')
    with pytest.raises(ValueError, match='has 0 cells tagged "parameters"'):
        read(place, {"notebooks": ["one.ipynb"]})
