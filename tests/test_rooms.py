"""A room imports only from the rooms below it, nothing in a circle, and what is public says so."""

import ast
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import pruninglib

ROOMS = ("", "structure", "pruning", "recovery", "execution", "experiments", "plotting", "batch")
FOLDER = Path(pruninglib.__file__).parent
MODULES = {
    ".".join(("pruninglib", *path.relative_to(FOLDER).with_suffix("").parts)): path.read_text()
    for path in sorted(FOLDER.rglob("*.py"))
}
FOR_ANY_MODEL = ("structure", "pruning", "recovery", "execution")


def room(module):
    """The room of "pruninglib.room.module"; "" for the single files."""
    return module.split(".")[1] if module.count(".") > 1 else ""


def imports(source):
    """The dotted names that a module imports, anywhere in it; each as module and module.name."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names.update({module, *(f"{module}.{alias.name}" for alias in node.names)})
    return names


@cache
def siblings(source):
    """The modules of pruninglib that a module imports."""
    return {name for name in imports(source) if name in MODULES}


def circle(module, path=()):
    """The modules of a circle of imports that begins here, or nothing."""
    if module in path:
        return [*path[path.index(module) :], module]
    found = (circle(name, (*path, module)) for name in sorted(siblings(MODULES[module])))
    return next(filter(None, found), [])


def test_there_are_seven_rooms_of_ten_modules_at_most():
    folders = {path for path in FOLDER.iterdir() if (path / "__init__.py").exists()}
    assert {path.name for path in folders} == set(ROOMS) - {""}
    for folder in (FOLDER, *folders):
        assert len(list(folder.glob("[!_]*.py"))) <= 10, folder


def test_a_room_imports_from_the_rooms_below_it():
    wrong = {
        (module, name)
        for module, source in MODULES.items()
        for name in siblings(source)
        if ROOMS.index(room(name)) > ROOMS.index(room(module))
    }
    assert not wrong


def test_no_imports_go_in_a_circle():
    assert [found for found in map(circle, MODULES) if found] == []


def test_no_imports_are_relative():
    found = {name for source in MODULES.values() for name in imports(source)}
    assert not [name for name in found if name.startswith(".")]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from pruninglib.pruning.masks import prune", {"pruninglib.pruning.masks"}),
        ("def f():\n    import pruninglib.atomic as m", {"pruninglib.atomic"}),
        ("from pruninglib.pruning import masks", {"pruninglib.pruning.masks"}),
        ("import numpy", set()),
    ],
)
def test_no_way_to_import_goes_unseen(line, found):
    assert siblings(line) == found


def test_what_serves_any_model_knows_nothing_of_the_study():
    for module, source in MODULES.items():
        if room(module) in FOR_ANY_MODEL:
            assert not [word for word in ("mnist", "make_mlp", "hidden_1") if word in code(source)]


def code(source):
    """The text of a module without its docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    return ast.unparse(tree).lower()


def test_criteria_need_numpy_only():
    assert imports(MODULES["pruninglib.pruning.criteria"]) == {"numbers", "numpy", "zlib"}
    assert "pruninglib.backend" not in siblings(MODULES["pruninglib.recovery.least_squares"])


def test_keras_and_tensorflow_come_from_where_they_are_imported_quietly():
    """But for the classes that saved models hold, which are imported when Keras is."""
    for package in ("keras", "tensorflow"):
        needing = {name for name, source in MODULES.items() if package in imports(source)}
        assert needing - {"pruninglib.registered"} == {"pruninglib.backend"}


def test_no_module_asks_for_tensorflow_when_it_is_imported():
    """On other backends tests/pruning/test_backends.py sees that it is not imported at all."""
    assert {name for name, source in MODULES.items() if at_import(source)} == set()


def at_import(source):
    """Whether a module asks for TensorFlow when it is imported."""
    return any(
        isinstance(node, ast.ImportFrom) and "tf" in {alias.name for alias in node.names}
        for node in ast.parse(source).body
    )


def test_no_module_has_the_name_of_a_public_function():
    """Else `pl.name` would be the module, once something has imported it."""
    assert not set(pruninglib.__all__) & {*ROOMS, *(path.stem for path in FOLDER.glob("*.py"))}


@pytest.mark.processes
@pytest.mark.parametrize("first", ["keras", "pruninglib"])
def test_saved_masks_are_found_whichever_is_imported_first(first):
    then = {"keras": "pruninglib", "pruninglib": "keras"}[first]
    code = (
        f"import {first}, {then}; assert keras.saving.get_registered_object('pruninglib>HoldMask')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_public_names_are_documented():
    names = pruninglib.__all__
    assert {"load_dataset", "make_masks", "prune", "strip", "shrink", "compare"} <= set(names)
    assert [name for name in names if not inspect.getdoc(getattr(pruninglib, name))] == []


def test_every_module_says_what_it_is_for():
    assert [
        name for name, source in MODULES.items() if not ast.get_docstring(ast.parse(source))
    ] == []


SCRIPTS = [
    path
    for folder in ("benchmarks", "evidence", "examples")
    for path in sorted((FOLDER.parent / folder).rglob("*.py"))
]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(FOLDER.parent)))
def test_scripts_that_no_test_runs_import_what_is_there(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pruninglib"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                assert hasattr(module, alias.name) or importlib.util.find_spec(name), name


def test_pages_and_scripts_use_public_names_that_there_are():
    root = FOLDER.parent
    pages = [*root.glob("*.md"), *(root / "docs").glob("*.md"), *SCRIPTS]
    pages += (root / "notebooks").rglob("*.ipynb")
    for path in pages:
        used = set(re.findall(r"\bpl\.([A-Za-z_]+)", path.read_text()))
        assert used <= {*pruninglib.__all__, "__version__"}, path
