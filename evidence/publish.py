"""Copy the results of a batch to where they are committed.

    python -m evidence.publish runs/studies

Tables go to data/results/NAME, figures to figures/NAME, where NAME is a run's parameter `results`,
or else its dataset; the executed notebook of a run with the default parameters replaces the one in
notebooks/.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from pruninglib.atomic import written_whole
from pruninglib.batch.grid import STUDIES, code_cells, defaults
from pruninglib.batch.results import results
from pruninglib.experiments.paths import FIGURES, RESULTS, ROOT

NOTEBOOKS = ROOT / "notebooks"
STRIPPED = "metadata.papermill cell.metadata.papermill cell.metadata.execution metadata.widgets"


def publish(batch, results_folder=RESULTS, figures=FIGURES, notebooks=NOTEBOOKS):
    """Copy the tables, figures and default notebooks of all finished runs of a batch."""
    found = newest(results(batch))
    for key in found:
        check_same_code(key, batch, notebooks)
    for key, result in found.items():
        stem, parameters = key.rpartition("-")[0], result["parameters"]
        name = parameters["results"] or parameters["dataset"]
        for kind, folder in ((".csv", results_folder), (".png", figures)):
            for path in (batch / key).glob(f"*{kind}"):
                copy_whole(path, folder / name / path.name)
        about = {"key": key} | {k: v for k, v in result.items() if k != "rows"}
        with written_whole(results_folder / name / f"{stem}.json") as path:
            path.write_text(json.dumps(about, indent=1) + "\n")
        notebook = place(stem, notebooks)
        if parameters == defaults(notebook):
            with written_whole(notebook) as path:
                path.write_text(without_widgets((batch / key / "notebook.ipynb").read_text()))
                options = ["--keep-output", "--keep-count", "--extra-keys", STRIPPED]
                subprocess.run([sys.executable, "-m", "nbstripout", *options, path], check=True)
        print(f"{key}: {name}")


def place(stem, notebooks=NOTEBOOKS):
    """Return the path of a notebook, which may be a study."""
    study = notebooks / STUDIES / f"{stem}.ipynb"
    return study if study.exists() else notebooks / f"{stem}.ipynb"


def without_widgets(text):
    """Return a notebook without the views of widgets, which need a kernel; their words stay."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return json.dumps(notebook)


def newest(found):
    """Return those of the results that no later one has the notebook and parameters of."""
    by_date = sorted(found.items(), key=lambda item: item[1]["date"])
    last = {
        (key.rpartition("-")[0], json.dumps(result["parameters"], sort_keys=True)): key
        for key, result in by_date
    }
    return {key: found[key] for key in found if key in last.values()}


def check_same_code(key, batch, notebooks=NOTEBOOKS):
    """Exit if a run is not of the notebook as it is now."""
    notebook = place(key.rpartition("-")[0], notebooks)
    ran = [
        cell
        for cell in code_cells(batch / key / "notebook.ipynb")
        if "injected-parameters" not in cell[0]
    ]
    if ran != code_cells(notebook):
        raise SystemExit(f"{notebook} was edited since the run {key}; run it again.")


def copy_whole(source, target):
    """Copy a file so that a reader never sees half of it."""
    with written_whole(target) as path:
        shutil.copy(source, path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    publish(Path(sys.argv[1]))
