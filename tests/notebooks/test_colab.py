"""All notebooks run with Colab's versions, in an imitated Colab without this repository.

`make test-colab` makes the environments and runs this.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from pruninglib.batch.grid import defaults

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[1-9]*.ipynb"))
SETS = sorted(path.stem for path in (ROOT / "tests" / "notebooks" / "colab").glob("*.txt"))
pytestmark = pytest.mark.colab


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository of the working tree as it is, for notebooks to fetch; its address."""
    folder = tmp_path_factory.mktemp("repository")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "as it is"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder.as_uri()


@pytest.fixture(scope="module", params=SETS)
def colab(request, repository, tmp_path_factory):
    """(folder, python): an imitated Colab with a kernel named "colab"."""
    python = ROOT / ".venv" / "colab" / request.param / "bin" / "python"
    if not python.exists():
        pytest.fail(f"{python} is missing. Run make test-colab, which makes it.")
    folder = tmp_path_factory.mktemp(request.param)
    for name in ("content", "imitated/google/colab", "kernels/colab", "profile_default/startup"):
        (folder / name).mkdir(parents=True)
    (folder / "imitated" / "google" / "colab" / "__init__.py").touch()
    (folder / "profile_default" / "startup" / "colab.py").write_text("import google.colab")
    kernel = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Colab",
        "language": "python",
        "env": {
            "PYTHONPATH": str(folder / "imitated"),
            "IPYTHONDIR": str(folder),
            "PRUNINGLIB_REPOSITORY": repository,
        },
    }
    (folder / "kernels" / "colab" / "kernel.json").write_text(json.dumps(kernel))
    return folder, python


def installed(python):
    command = [python, "-m", "pip", "freeze"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run(folder, notebook):
    """Run a notebook by papermill of this environment in the kernel of that one."""
    command = [sys.executable, "-m", "papermill", notebook, folder / notebook.name]
    command += ["--kernel", "colab", "--cwd", folder / "content", "--no-progress-bar"]
    command += ["-f", ROOT / "notebooks" / "profiles" / "quick.yaml"]
    names = ("RUNS", "BASELINES", "DATA", "QUIET")
    names = {"PYTHONPATH", *(f"PRUNINGLIB_{name}" for name in names)}
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"JUPYTER_PATH": str(folder), "TF_NUM_INTRAOP_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_all_notebooks_run_and_nothing_that_was_installed_changes(colab):
    folder, python = colab
    before = installed(python)
    for path in NOTEBOOKS:  # all find the repository that the first one fetched
        done = run(folder, path)
        assert done.returncode == 0, done.stderr[-5000:]
    assert installed(python) == before
    pinned = dict(line.split("==") for line in before.splitlines() if "==" in line)
    quick = yaml.safe_load((ROOT / "notebooks" / "profiles" / "quick.yaml").read_text())
    for path in NOTEBOOKS:
        written = folder / "content" / "pruning" / "runs" / "quick" / f"{path.stem}.result.json"
        result = json.loads(written.read_text())
        assert result["parameters"] == defaults(path) | quick
        assert result["versions"]["tensorflow"] == pinned["tensorflow"]
        ran = nbformat.read(folder / path.name, as_version=4)
        assert "application/vnd.jupyter.widget-view+json" in json.dumps(ran), "the slider"
        assert ", done after " in json.dumps(ran), "the progress line"
        outputs = [output for cell in ran.cells for output in cell.get("outputs", [])]
        assert not [output for output in outputs if output.get("name") == "stderr"]
