"""Draw the notebooks' figures again from the tables that are committed.

    python -m evidence.figures

For each notebook with a cell tagged `figure` and each folder in data/results that has all the
tables which this cell draws, figures/FOLDER/NAME.png is written anew: nothing is trained.
"""

import ast
import contextlib
import io
import json
from pathlib import Path

import pandas as pd

from pruninglib.batch.grid import STUDIES, code_cells, defaults
from pruninglib.experiments.paths import FIGURES, RESULTS, ROOT

NOTEBOOKS = ROOT / "notebooks"


def redraw(notebooks=NOTEBOOKS, results=RESULTS, figures=FIGURES):
    """Draw each notebook's figure for each folder of results; return the files that were written.

    Parameters are the notebook's own, but for those in the folder's NAME.json.
    """
    written = []
    for notebook in (*sorted(notebooks.glob("*.ipynb")), *sorted((notebooks / STUDIES).glob("*"))):
        if notebook.suffix == ".ipynb" and sources(notebook, "figure"):
            for folder in sorted(path for path in results.iterdir() if path.is_dir()):
                written += draw(notebook, folder, figures / folder.name)
    return written


def draw(notebook, folder, target):
    """Draw a notebook's figure from the tables in a folder; return [path], or [] without them."""
    paths = {name: folder / f"{notebook.stem}_{name}.csv" for name in drawn(notebook)}
    if not all(path.exists() for path in paths.values()):
        return []
    own, about = defaults(notebook), folder / f"{notebook.stem}.json"
    asked = json.loads(about.read_text())["parameters"] if about.exists() else {}
    scope = own | {name: value for name, value in asked.items() if name in own}
    (imports,) = [s for s in sources(notebook) if "pl.run_folder(" in s]
    with contextlib.redirect_stdout(io.StringIO()):  # where a notebook would show the picture
        exec(imports, scope)
        scope |= {name: pd.read_csv(path) for name, path in paths.items()} | {"folder": target}
        for figure in sources(notebook, "figure"):
            exec(figure, scope)
    return [target / f"{notebook.stem}.png"]


def sources(notebook, tag=None):
    """Return the sources of a notebook's code cells, of those with a tag if one is given."""
    return [source for tags, source in code_cells(notebook) if tag is None or tag in tags]


def drawn(notebook):
    """Return the names of the tables which a notebook both writes and draws."""
    calls = [
        node
        for source in sources(notebook)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pl.write_result"
    ]
    written = {keyword.arg for call in calls for keyword in call.keywords}
    figure = "\n".join(sources(notebook, "figure"))
    used = {node.id for node in ast.walk(ast.parse(figure)) if isinstance(node, ast.Name)}
    return sorted(written & used)


if __name__ == "__main__":
    for path in redraw():
        print(path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(path))
