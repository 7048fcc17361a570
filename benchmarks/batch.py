"""Run 200 tiny notebooks as one batch, and time what a run costs besides its own work.

    python benchmarks/batch.py

Writes its section of benchmarks/README.md. Run it with nothing else running.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import yaml
from machine import spread
from nbclient import NotebookClient
from sections import write_section
from turns import seconds, take_turns

from pruninglib.batch.results import results

RUNS, JOBS, ROUNDS = 200, 2, 5
WRITE = """from pruninglib.experiments.paths import RUNS
from pruninglib.batch.results import write_result
write_result(RUNS / "tiny.result.json", {"seed": seed}, found=[{"seed": seed}])"""


def notebook(*sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def batch(folder, seeds, output):
    grid = {"notebooks": ["tiny.ipynb"], "parameters": {"seed": list(seeds)}}
    (folder / "grid.yaml").write_text(yaml.safe_dump([grid]))
    command = [sys.executable, "-m", "pruninglib.batch", folder / "grid.yaml"]
    command += ["--output", output, "--jobs", str(JOBS)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def kernel():
    """Start a kernel, have it do nothing, and end it."""
    NotebookClient(notebook("pass"), kernel_name="python3").execute()


def papermill(folder):
    command = [sys.executable, "-m", "papermill", folder / "tiny.ipynb", folder / "out.ipynb"]
    subprocess.run([*command, "--no-progress-bar"], check=True, capture_output=True)


with tempfile.TemporaryDirectory() as place:
    folder = Path(place)
    nbformat.write(notebook("seed: int = 0", WRITE), folder / "tiny.ipynb")
    number = iter(range(1000))
    variants = {
        "a kernel that does nothing": kernel,
        "one run of a batch": lambda: batch(folder, [0], folder / f"one-{next(number)}"),
        "papermill alone": lambda: papermill(folder),
    }
    times = take_turns(
        {name: lambda run=run: seconds(run) for name, run in variants.items()}, ROUNDS
    )
    whole = seconds(batch, folder, range(RUNS), folder / "all")
    found = results(folder / "all")
    arrived = {result["rows"][0]["seed"] for result in found.values()}
    if len(found) != RUNS or arrived != set(range(RUNS)):
        raise SystemExit(f"{len(arrived)} of {RUNS} runs arrived.")

base = times["a kernel that does nothing"]
lines = ["| | seconds, median (all rounds) | over a kernel |", "|---|---|---|"]
for name, values in times.items():
    lines.append(f"| {name} | {spread(values)} | {np.median(np.divide(values, base)):.1f} |")
each = whole * JOBS / RUNS
lines.append(
    f"| each of {RUNS} runs, {JOBS} at a time | {each:.2f} | {each / np.median(base):.1f} |"
)
table = "\n".join(lines)
write_section(
    "Batches",
    f"""
`python -m pruninglib.batch` with notebooks that only write their result: {RUNS} runs, {JOBS} at a time, took
{whole:.0f} s, and all arrived. Below, {ROUNDS} rounds, variants in turn; each of the {RUNS}: seconds times {JOBS}, for
as many ran at once on as many cores.

{table}

A run is a process of papermill, which imports for a second, and one of the kernel. One run of a batch has the
command's own start in it.
""",
)
