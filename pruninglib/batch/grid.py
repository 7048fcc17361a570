"""Read a grid: which notebooks run with which parameters; check that these fit."""

import ast
import hashlib
import json
import reprlib
from contextlib import suppress
from itertools import chain, product, repeat
from pathlib import Path
from typing import NamedTuple

import yaml

from pruninglib import __version__

EXAMPLE = """
- notebooks: [../1_prune_sweep.ipynb]  # paths, seen from the grid's folder
  profiles: [../profiles/quick.yaml]   # files of parameters; may be left out
  parameters:                          # lists of values; may be left out
    seeds: [[0], [1]]
  alone: false                         # true for what measures time; may be left out
"""
BLOCK = {"notebooks", "profiles", "parameters", "alone"}
STUDIES = "studies"  # subfolder of notebooks that share the profiles of those above


class Run(NamedTuple):
    """One run of a notebook."""

    notebook: Path
    content: bytes  # of the notebook
    changed: dict  # {parameter: value} that differ from the notebook's own
    parameters: dict  # {parameter: value}, all
    alone: bool  # whether nothing else may run beside it
    key: str  # the notebook's name, and a hash of its code, the parameters and __version__


def read_grid(path):
    """Return the runs of a grid, each once; refuse what would fail later.

    A grid is a YAML file with a list of blocks as in `EXAMPLE`. The runs of a block are the
    product of its notebooks, profiles and lists. A profile may have parameters that only other
    notebooks in the same folder have, or in its folder `studies`; a list may not.

    Raises ValueError for a file that cannot be read, for parameters that a notebook lacks or has
    with another type, for names that are no identifiers, and for a grid without runs.
    """
    path = Path(path)
    blocks = _yaml(path) or []
    runs = {}
    for block in blocks if isinstance(blocks, list) else [blocks]:
        runs |= {run.key: run for run in _runs(path, block)}
    if not runs:
        raise ValueError(f"{path} has no runs. Name some notebooks, as in:{EXAMPLE}")
    return list(runs.values())


def _runs(path, block):
    if not isinstance(block, dict) or not {"notebooks"} <= set(block) <= BLOCK:
        raise ValueError(f"{path}: expected blocks as below, got {reprlib.repr(block)}.{EXAMPLE}")
    lists = block.get("parameters") or {}
    if not isinstance(lists, dict):
        raise ValueError(f"{path}: parameters must be {{name: list of values}}, got {lists!r}.")
    choices = [_list(path, name, values) for name, values in lists.items()]
    notebooks, profiles = (
        [path.parent / name for name in _list(path, kind, block.get(kind) or [])]
        for kind in ("notebooks", "profiles")
    )
    for notebook, profile, values in product(
        notebooks, profiles or [None], list(product(*choices))
    ):
        own, wanted = defaults(notebook), dict(zip(lists, values, strict=True))
        changed = {**_profile(profile, notebook), **checked(path, wanted, own)}
        changed = {name: value for name, value in changed.items() if own[name] != value}
        parameters = own | changed
        alone, content = bool(block.get("alone")), notebook.read_bytes()
        yield Run(notebook, content, changed, parameters, alone, _key(notebook, parameters))


def _list(path, name, values):
    if not isinstance(values, list):
        raise ValueError(f"{path}: {name} must be a list, got {values!r}. Write [{values}].")
    return values


def _yaml(path):
    try:
        return yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _profile(path, notebook):
    """Return those parameters of a profile that a notebook has."""
    wanted, own = (_yaml(path) or {}) if path else {}, defaults(notebook)
    beside, folder = {}, notebook.parent
    if folder.name == STUDIES:
        folder = folder.parent
    for other in (*folder.glob("*.ipynb"), *(folder / STUDIES).glob("*.ipynb")):
        with suppress(ValueError):  # a notebook without parameters
            beside |= defaults(other)
    fitting = checked(path, wanted, beside | own)
    return {name: value for name, value in fitting.items() if name in own}


def _without_imports(source):
    """Return a cell's source without imports, which do not change what it computes."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a magic command of IPython
        return source
    imports = [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
    gone = {line for node in imports for line in range(node.lineno, node.end_lineno + 1)}
    lines = enumerate(source.splitlines(), start=1)
    return "\n".join(line for number, line in lines if number not in gone)


def _key(notebook, parameters):
    sources = [source for tags, source in code_cells(notebook) if "parameters" not in tags]
    code = [_without_imports(source) for source in sources]
    content = json.dumps([code, __version__, parameters], sort_keys=True)
    return f"{notebook.stem}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def code_cells(notebook):
    """Return the code cells of a notebook: [(tags, source)]."""
    try:
        cells = json.loads(notebook.read_text())["cells"]
    except FileNotFoundError as error:
        others = ", ".join(sorted(path.name for path in notebook.parent.glob("*.ipynb")))
        raise ValueError(
            f"There is no notebook {notebook}; in that folder: {others or 'none'}. Names in a grid "
            "are seen from the grid's folder."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{notebook} is not a notebook: {error!r}") from error
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    return [(cell["metadata"].get("tags", []), "".join(cell["source"])) for cell in code]


def defaults(notebook):
    """Return {parameter: default} of a notebook's cell tagged "parameters"."""
    sources = [source for tags, source in code_cells(notebook) if "parameters" in tags]
    if len(sources) != 1:
        raise ValueError(
            f'{notebook} has {len(sources)} cells tagged "parameters"; expected one, with lines '
            "such as: seeds: list = [0, 1, 2]"
        )
    lines = [line for line in ast.parse(sources[0]).body if isinstance(line, ast.AnnAssign)]
    return {line.target.id: ast.literal_eval(line.value) for line in lines}


def checked(path, wanted, known):
    """Return parameters converted to the types of their defaults; refuse unknown ones."""
    if not isinstance(wanted, dict):
        raise ValueError(f"{path}: expected parameters as name: value, got {wanted!r}.")
    for name in wanted:
        if name not in known:
            what = "is no name of a parameter" if not str(name).isidentifier() else "is not known"
            raise ValueError(f"{path}: {name!r} {what}. Known are {', '.join(sorted(known))}.")
    return {name: _fitted(path, name, value, known[name]) for name, value in wanted.items()}


def _fitted(path, name, value, default):
    if isinstance(default, list) and isinstance(value, list):
        if not default:
            return value
        parts = zip(value, chain(default, repeat(default[-1])), strict=False)
        return [_fitted(path, name, part, own) for part, own in parts]
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise ValueError(
            f"{path}: {name} must be {type(default).__name__} as {default!r}, got {value!r}."
            + _mend(value, default)
        )
    return value


def _mend(value, default):
    """Return a hint on lists of lists, or on numbers: YAML wants a dot and a sign, 1.0e-3."""
    if isinstance(default, list):
        return " In a grid each value of such a parameter is a list: [[1, 2], [3, 4]]."
    try:
        return f" YAML reads this as text; write {float(value):.1e}." * isinstance(value, str)
    except ValueError:
        return ""
