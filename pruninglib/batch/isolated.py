"""Run one notebook in a process and a folder of its own."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from pruninglib.batch.outcome import Outcome, executed, outputs
from pruninglib.experiments.paths import BASELINES, data_folders

# the kernel is papermill's child and ends with it, as papermill ends with this process
STARTUP = """import os
from pruninglib.batch.lifeline import end_with
end_with(int(os.environ["JPY_PARENT_PID"]))
"""


def run_notebook(
    notebook, changed, data=(), scratch=None, cores=None, minutes=None, stopped=lambda: False
):
    """Run a notebook by papermill, judge it by its exit code and its result, return an `Outcome`.

    The result is that of `write_result`, with the seconds that the run took and its threads.

    Args:
        notebook: its content, bytes.
        changed: {parameter: value} to inject.
        data: {file name: bytes} of data that its `load_dataset` finds; what is there, if empty.
        scratch: folder to work in, which another process need not see; the system's, if None.
        cores: threads of TensorFlow and NumPy; theirs, if None.
        minutes: time limit; None for none.
        stopped: called now and then; the run is killed once it is true.

    On Linux nothing of it outlives this process. Everything comes and goes as bytes, so that it
    may run on another machine that has pruninglib installed.
    """
    start = time.monotonic()
    with TemporaryDirectory(prefix="run-", dir=scratch, ignore_cleanup_errors=True) as folder:
        folder = Path(folder).resolve()
        startup = folder / "ipython" / "profile_default" / "startup"
        for path in (startup, folder / "data", folder / "runs"):
            path.mkdir(parents=True)
        (startup / "lifeline.py").write_text(STARTUP)
        (folder / "in.ipynb").write_bytes(notebook)
        for name, content in dict(data).items():
            (folder / "data" / name).write_bytes(content)
        error = _papermill(folder, changed, _environment(folder, data, cores), minutes, stopped)
        files, missing = outputs(folder)
        error = error or missing
        files["notebook.ipynb"] = executed(folder, notebook, error)
    if not error:
        seconds = {"seconds": round(time.monotonic() - start, 1), "threads": cores}
        result = json.loads(files["result.json"]) | seconds
        files["result.json"] = json.dumps(result, indent=1).encode() + b"\n"
    return Outcome(files, error)


def threads(count):
    """Return the variables of the environment that set the threads of TensorFlow and NumPy."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    return dict.fromkeys((*names, "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), str(count))


def _environment(folder, data, count):
    found = dict(os.environ, IPYTHONDIR=str(folder / "ipython"))
    found |= {"PRUNINGLIB_RUNS": str(folder / "runs"), "PRUNINGLIB_BASELINES": str(BASELINES)}
    if data or "PRUNINGLIB_DATA" in found:
        found["PRUNINGLIB_DATA"] = str(folder / "data" if data else data_folders()[0])
    return found | (threads(count) if count else {})


def _papermill(folder, changed, environment, minutes, stopped):
    """Run papermill and return why it failed, or nothing."""
    # as YAML, for papermill reads JSON's 1e-05 as text
    changed = base64.b64encode(yaml.safe_dump(changed).encode()).decode()
    command = [sys.executable, "-m", "pruninglib.batch.lifeline", str(os.getpid()), "papermill"]
    command += ["in.ipynb", "notebook.ipynb", "-b", changed, "--no-progress-bar"]
    deadline = time.monotonic() + 60 * minutes if minutes else float("inf")
    with (folder / "log").open("w+") as log:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        process = subprocess.Popen(  # in a session of its own, which Ctrl-C does not reach
            command, cwd=folder, env=environment, start_new_session=True, **pipes
        )
        try:
            while True:
                try:
                    process.wait(0.5)
                    return _ending(process.returncode, log)
                except subprocess.TimeoutExpired:
                    if stopped():
                        return "stopped"
                    if time.monotonic() > deadline:
                        return f"over its time limit of {minutes:g} minutes"
        finally:
            process.kill()
            process.wait()


def _ending(code, log):
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    log.seek(0)
    last = [line for line in log.read().splitlines() if line.strip()][-1:]
    return f"exit code {code}: {''.join(last)}" if code else ""
