"""The parameters of a notebook, and whether values fit them."""

import ast
import json


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
    """Return parameters as the types of the defaults they replace; refuse unknown ones."""
    if not isinstance(wanted, dict):
        raise ValueError(f"{path}: expected parameters as name: value, got {wanted!r}.")
    for name in wanted:
        if name not in known:
            what = "is no name of a parameter" if not str(name).isidentifier() else "is not known"
            raise ValueError(f"{path}: {name!r} {what}. Known are {', '.join(sorted(known))}.")
    return {name: _fitted(path, name, value, known[name]) for name, value in wanted.items()}


def _fitted(path, name, value, default):
    if isinstance(default, list) and isinstance(value, list):
        return [_fitted(path, name, part, default[0]) for part in value] if default else value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise ValueError(
            f"{path}: {name} must be {type(default).__name__} as {default!r}, got {value!r}."
            + _mend(value, default)
        )
    return value


def _mend(value, default):
    """Say how to write a list among lists, and a number: YAML wants a dot and a sign, 1.0e-3."""
    if isinstance(default, list):
        return " In a grid each value of such a parameter is a list: [[1, 2], [3, 4]]."
    try:
        return f" YAML reads this as text; write {float(value):.1e}." * isinstance(value, str)
    except ValueError:
        return ""
