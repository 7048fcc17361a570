"""Read a grid: which notebooks run with which parameters."""

import hashlib
import json
import reprlib
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import NamedTuple

import yaml

from pruninglib.batch.parameters import checked, code_cells, defaults
from pruninglib.version import VERSION

EXAMPLE = """
- notebooks: [../1_prune_sweep.ipynb]  # paths, seen from the grid's folder
  profiles: [../profiles/quick.yaml]   # files of parameters; may be left out
  parameters:                          # lists of values; may be left out
    seeds: [[0], [1]]
  alone: false                         # true for what measures time; may be left out
"""
BLOCK = {"notebooks", "profiles", "parameters", "alone"}


class Run(NamedTuple):
    """One run of a notebook."""

    notebook: Path
    content: bytes  # of the notebook
    changed: dict  # {parameter: value} that differ from the notebook's own
    parameters: dict  # {parameter: value}, all
    alone: bool  # whether nothing else may run beside it
    key: str  # the notebook's name and a hash of its code, the parameters and VERSION


def read_grid(path):
    """Return the runs of a grid, each once; refuse what could only fail later.

    A grid is a YAML file with a list of blocks as in `EXAMPLE`. The runs of a block are the
    product of its notebooks, profiles and lists. A profile may have parameters that only other
    notebooks beside this one have; a list must not.

    Raises ValueError for a file that cannot be read, for parameters that a notebook lacks, of
    another type than there, or whose names are no identifiers, and for a grid without runs.
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
    beside = {}
    for other in notebook.parent.glob("*.ipynb"):
        with suppress(ValueError):  # it is no notebook with parameters
            beside |= defaults(other)
    fitting = checked(path, wanted, beside | own)
    return {name: value for name, value in fitting.items() if name in own}


def _key(notebook, parameters):
    code = [source for tags, source in code_cells(notebook) if "parameters" not in tags]
    content = json.dumps([code, VERSION, parameters], sort_keys=True)
    return f"{notebook.stem}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
