"""A module imports only from lower floors, and the public names are documented."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pruninglib

FLOORS = {
    **dict.fromkeys(("version", "lifeline", "quiet", "paths", "parameters", "order", "outcome"), 0),
    **dict.fromkeys(("constraint", "rewinding", "tables", "showing", "labels", "quantities"), 0),
    **dict.fromkeys(("least_squares", "selection", "channels", "augmentation"), 0),
    **dict.fromkeys(("numba_kernels", "tiles", "executable", "encoding"), 0),
    **dict.fromkeys(
        ("kernels", "graph", "data", "batches", "progress_line", "pictures", "plots", "figures"), 1
    ),
    **dict.fromkeys(("results", "grid", "isolated", "store", "collection"), 1),
    **dict.fromkeys(
        ("passing", "costs", "running", "timing", "timing_plots", "products", "criteria"), 2
    ),
    **dict.fromkeys(("held", "prunable", "training", "scheduling", "report"), 2),
    **dict.fromkeys(("rebuilding", "reading"), 2),
    "models": 3,
    **dict.fromkeys(("inspection", "scores", "flow", "chain", "storage", "graphs", "exported"), 3),
    **dict.fromkeys(("activations", "distillation", "sharing"), 3),
    **dict.fromkeys(("planning", "folding", "coupling", "lite", "onnx_runtime", "columns"), 4),
    **dict.fromkeys(("pruning", "saliency", "merging", "evaluation"), 5),
    **dict.fromkeys(("masks", "cutting", "repairing", "rates", "csr"), 6),
    **dict.fromkeys(
        ("shrinking", "rows", "schedules", "regrowth", "sensitivities", "execution", "files"), 7
    ),
    "retraining": 8,
    **dict.fromkeys(("sweeps", "speed_ups", "gradual"), 9),
    "views": 8,
    "recovery": 10,
    "exploring": 11,
    "batch": 11,
}
FOLDER = Path(pruninglib.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
GENERAL = (
    "masks",
    "pruning",
    "shrinking",
    "csr",
    "lite",
    "onnx_runtime",
    "files",
    "timing",
    "held",
    "sharing",
)


def imports(source):
    """Return the dotted names that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def siblings(source):
    """Return the modules of pruninglib that a module imports; "" stands for the package."""
    own = [name.split(".") for name in imports(source) if name.startswith((".", "pruninglib"))]
    return {parts[1] if parts[0] == "pruninglib" and len(parts) > 1 else "" for parts in own}


def source(module):
    return (FOLDER / f"{module}.py").read_text()


def test_every_module_has_a_floor():
    assert set(MODULES) <= set(FLOORS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_come_from_lower_floors(module):
    found = siblings(source(module))
    assert "" not in found, "name the module: from pruninglib.x import y"
    assert [name for name in found if FLOORS[name] >= FLOORS[module]] == []


@pytest.mark.parametrize("module", GENERAL)
def test_what_serves_any_model_knows_neither_the_mlp_nor_the_data(module):
    reached, to_visit = set(), {module}
    while to_visit:
        reached |= to_visit
        to_visit = set().union(*(siblings(source(name)) for name in to_visit)) - reached
    assert not reached & {"models", "data"}


def test_criteria_need_numpy_only():
    assert imports(source("criteria")) == {"numbers", "numpy", "pruninglib.order", "zlib"}
    assert imports(source("order")) == {"numpy"}


def test_keras_and_tensorflow_come_from_where_they_are_imported_quietly():
    """But for the classes that saved models hold, which are imported when Keras is."""
    for package in ("keras", "tensorflow"):
        needing = {name for name in MODULES if package in imports(source(name))}
        assert needing - {"constraint", "rewinding"} == {"quiet"}


def test_only_what_runs_networks_needs_tensorflow():
    needing = {
        name for name in MODULES if re.search(r"pruninglib.quiet import .*\btf\b", source(name))
    }
    assert needing == {"models", "training", "batches", "graphs", "lite", "saliency"}


def test_no_module_has_the_name_of_a_public_function():
    assert not set(pruninglib.__all__) & set(MODULES)


@pytest.mark.parametrize("first", ["keras", "pruninglib"])
def test_saved_masks_are_found_whichever_is_imported_first(first):
    then = {"keras": "pruninglib", "pruninglib": "keras"}[first]
    code = (
        f"import {first}, {then}; assert keras.saving.get_registered_object('pruninglib>HoldMask')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from pruninglib.masks import prune", {"masks"}),
        ("def f():\n    import pruninglib.masks as m", {"masks"}),
        ("from pruninglib import masks", {""}),
        ("import pruninglib", {""}),
        ("from .masks import prune", {""}),
        ("import numpy", set()),
    ],
)
def test_no_way_to_import_goes_unseen(line, found):
    assert siblings(line) == found


def test_public_names_are_documented():
    names = pruninglib.__all__
    assert {"load_dataset", "make_masks", "prune", "strip", "shrink", "compare"} <= set(names)
    assert [name for name in names if not inspect.getdoc(getattr(pruninglib, name))] == []


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_for(module):
    assert ast.get_docstring(ast.parse(source(module)))
