"""Execute the notebooks with a profile, and publish their results.

    python notebooks/run.py quick                         run, leave everything in runs/quick
    python notebooks/run.py mnist fashion_mnist --publish run what changed, copy the results to
                                                          data/results, figures and notebooks

Each notebook runs in a papermill process of its own. A published notebook is skipped as long as
its code, its parameters and the library's code are what they were.
"""

import argparse
import ast
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import nbformat
import yaml

NOTEBOOKS = Path(__file__).resolve().parent
PROFILES = NOTEBOOKS / "profiles"
ROOT = NOTEBOOKS.parent
RUNS = Path(os.environ.get("PRUNINGLIB_RUNS") or ROOT / "runs")
RESULTS = ROOT / "data" / "results"
FIGURES = ROOT / "figures"
DEFAULT_PROFILE = "mnist"
STRIPPED = "metadata.papermill cell.metadata.papermill cell.metadata.execution metadata.widgets"


def defaults(notebook):
    """Return {parameter: default} of a notebook's cell tagged "parameters"."""
    cells = nbformat.read(notebook, as_version=4).cells
    (cell,) = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    lines = ast.parse(cell.source).body
    return {line.target.id: ast.literal_eval(line.value) for line in lines}


def parameters(notebook, profile):
    """Return what a profile changes in a notebook; refuse names that no notebook has."""
    wanted = yaml.safe_load((PROFILES / f"{profile}.yaml").read_text())
    known = {name for path in NOTEBOOKS.glob("[1-9]*.ipynb") for name in defaults(path)}
    if unknown := set(wanted) - known:
        sys.exit(f"Profile {profile}: no notebook has a parameter {', '.join(sorted(unknown))}.")
    own = defaults(notebook)
    return {name: v for name, v in wanted.items() if name in own and own[name] != v}


def key(notebook, changed):
    """Return a hash of what is run: parameters and code, comments and docstrings apart."""
    cells = nbformat.read(notebook, as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    sources += [path.read_text() for path in sorted((ROOT / "pruninglib").glob("*.py"))]
    trees = [ast.parse(source) for source in sources]
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(
            node
        ):
            del node.body[0]
    code = [ast.dump(tree) for tree in trees]
    return hashlib.sha256(json.dumps([code, changed], sort_keys=True).encode()).hexdigest()


def encoded(changed):
    """Return parameters as papermill's -b wants them: YAML, for it reads JSON's 1e-05 as text."""
    return base64.b64encode(yaml.safe_dump(changed).encode()).decode()


def execute(notebook, changed, folder):
    """Run one notebook into a folder, return the seconds it took; exit if it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in outputs(notebook, folder):
        old.unlink()
    output = folder / notebook.name
    command = [sys.executable, "-m", "papermill", str(notebook), str(output)]
    command += ["-b", encoded(changed)]
    start = perf_counter()
    done = subprocess.run([*command, "--no-progress-bar"], capture_output=True, text=True)
    if done.returncode or not outputs(notebook, folder):
        print(done.stderr, file=sys.stderr)
        raise SystemExit(f"{notebook.name} failed; the cell and its error are in {output}.")
    seconds = round(perf_counter() - start)
    print(f"{notebook.stem}: {seconds} s", flush=True)
    return seconds


def outputs(notebook, folder):
    """Return the tables and figures of a notebook in a folder."""
    return [p for p in sorted(folder.glob(f"{notebook.stem}*")) if p.suffix in (".csv", ".png")]


def published(notebook, profile):
    """Return the record of the published run, or nothing if one of its files is gone."""
    record = RESULTS / profile / f"{notebook.stem}.json"
    known = json.loads(record.read_text()) if record.exists() else {}
    return known if all((ROOT / file).exists() for file in known.get("files", [])) else {}


def publish(notebook, profile, folder, run):
    """Copy tables and figures where they are committed; the default run is the notebook itself."""
    folders = {".csv": RESULTS / profile, ".png": FIGURES / profile}
    targets = {path: folders[path.suffix] / path.name for path in outputs(notebook, folder)}
    for path, target in targets.items():
        copy_whole(path, target)
    if profile == DEFAULT_PROFILE:
        executed = folder / notebook.name
        options = ["--keep-output", "--keep-count", "--extra-keys", STRIPPED]
        subprocess.run([sys.executable, "-m", "nbstripout", *options, executed], check=True)
        copy_whole(executed, notebook)
    run["files"] = [str(target.relative_to(ROOT)) for target in targets.values()]
    record = folder / f"{notebook.stem}.json"
    record.write_text(json.dumps(run, indent=1) + "\n")
    copy_whole(record, RESULTS / profile / record.name)


def copy_whole(source, target):
    """Copy a file so that a reader never sees half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{os.getpid()}-{target.name}")
    shutil.copy(source, temporary)
    os.replace(temporary, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profiles", nargs="+", help="names of files in notebooks/profiles")
    parser.add_argument("--only", help="run the notebooks whose name begins so, for example 1")
    parser.add_argument("--jobs", type=int, default=1, help="notebooks to run at a time")
    parser.add_argument("--publish", action="store_true", help="copy results; skip what is there")
    options = parser.parse_args()
    notebooks = sorted(NOTEBOOKS.glob(f"{options.only or '[1-9]'}*.ipynb"))
    for profile in options.profiles:
        run_profile(profile, notebooks, options.jobs, options.publish)


def run_profile(profile, notebooks, jobs=1, publishing=False):
    """Run notebooks with a profile, those that time networks last and alone."""
    folder = RUNS / profile

    def run(notebook):
        changed = parameters(notebook, profile)
        before = key(notebook, changed)
        if publishing and published(notebook, profile).get("key") == before:
            print(f"{notebook.stem}: nothing changed since the published run")
            return
        source = notebook.read_bytes()
        seconds = execute(notebook, changed, folder)
        if publishing and notebook.read_bytes() != source:
            raise SystemExit(f"{notebook} was edited meanwhile; its results stay in {folder}.")
        if publishing:
            publish(notebook, profile, folder, {"key": before, "seconds": seconds})

    timings = [notebook for notebook in notebooks if "timing" in notebook.name]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, [notebook for notebook in notebooks if notebook not in timings]))
    for notebook in timings:
        run(notebook)
    print(f"Notebooks, tables and figures of profile {profile}: {folder}")


if __name__ == "__main__":
    main()
