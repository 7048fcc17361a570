"""A module imports only from lower floors, and the public names are documented."""

import ast
import inspect
from pathlib import Path

import pytest

import pruninglib

FLOORS = {
    **dict.fromkeys(("quiet", "paths", "order", "kernels", "graph", "channels"), 0),
    **dict.fromkeys(("timing", "plots", "tables", "least_squares", "selection", "pictures"), 0),
    **dict.fromkeys(
        ("rewinding", "augmentation", "numba_kernels", "tiles", "executable", "encoding"), 0
    ),
    **dict.fromkeys(("data", "training", "hold", "prunable", "rebuilding", "reading"), 1),
    **dict.fromkeys(("passing", "costs", "running", "timing_plots", "products", "criteria"), 1),
    **dict.fromkeys(("models", "scores", "flow", "chain", "inspection", "storage"), 2),
    **dict.fromkeys(("activations", "distillation", "graphs", "sharing", "exported"), 2),
    **dict.fromkeys(("planning", "folding", "coupling"), 3),
    **dict.fromkeys(("pruning", "saliency", "merging", "columns", "litert", "onnx"), 3),
    **dict.fromkeys(("masks", "cutting", "repair", "rates", "evaluation", "sparse"), 4),
    **dict.fromkeys(
        ("shrink", "rows", "schedules", "regrowth", "sensitivity", "execution", "files"), 5
    ),
    "retraining": 6,
    **dict.fromkeys(("sweeps", "timing_sweep", "gradual"), 7),
    "recovery_sweep": 8,
    "batch": 9,
}
FOLDER = Path(pruninglib.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
GENERAL = (
    "masks",
    "pruning",
    "shrink",
    "sparse",
    "litert",
    "onnx",
    "files",
    "timing",
    "hold",
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


def test_only_what_runs_networks_needs_tensorflow():
    needing = {name for name in MODULES if "tensorflow" in imports(source(name))}
    assert needing == {"quiet", "models", "training", "graphs", "litert", "saliency"}


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
    tree = ast.parse((FOLDER / "__init__.py").read_text())
    names = [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert {"load_dataset", "make_masks", "prune", "strip", "shrink", "compare"} <= set(names)
    assert [name for name in names if not inspect.getdoc(getattr(pruninglib, name))] == []


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_for(module):
    assert ast.get_docstring(ast.parse(source(module)))
