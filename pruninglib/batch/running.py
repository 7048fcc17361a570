"""Run many notebooks in parallel, each in its own process, here or on a Dask cluster."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import yaml

from pruninglib.experiments.paths import BASELINES, data_files, data_folders

# the kernel is papermill's child and ends with it, as papermill ends with this process
STARTUP = """import os
from pruninglib.batch.lifeline import end_with
end_with(int(os.environ["JPY_PARENT_PID"]))
"""


def outcomes(runs, scratch, jobs=1, scheduler=None, minutes=None, tick=lambda running: None):
    """Run notebooks, those that must run alone last and one by one; yield (run, `Outcome`).

    Args:
        runs: as from `read_grid`.
        scratch: folder for unfinished work on this machine.
        jobs: notebooks at a time on this machine, which share its cores equally.
        scheduler: address of a Dask scheduler, whose workers run them instead. Workers need
            pruninglib, but no access to this machine's disk: everything travels as bytes.
        minutes: time limit of each run.
        tick: called about once a second with the number of running notebooks.

    However this generator ends, runs under way are killed (on the cluster, within seconds).
    """
    together = [run for run in runs if not run.alone]
    parts = [together] if together else []
    for part in [*parts, *([run] for run in runs if run.alone)]:
        at_a_time = 1 if part[0].alone else jobs
        pool = _cluster(scheduler, part) if scheduler else _machine(scratch, at_a_time)
        yield from _outcomes(part, pool, minutes, tick)


def _outcomes(runs, pool, minutes, tick):
    with pool as submit:
        waiting = {}
        for run in runs:
            waiting[submit(run, run.content, run.changed, minutes=minutes)] = run
        while waiting:
            ended, _ = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
            tick(sum(future.running() for future in waiting if future not in ended))
            for future in ended:
                run = waiting.pop(future)
                yield run, _outcome(run, future)


def _outcome(run, future):
    try:
        return future.result()
    except (Exception, CancelledError) as error:  # the machine or the cluster may raise anything
        said = f"{type(error).__name__}: {error}"
        return Outcome({"notebook.ipynb": with_error(run.content, said)}, said)


@contextmanager
def _machine(scratch, jobs):
    stop = threading.Event()
    cores = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None
    pool = ThreadPoolExecutor(jobs)
    how = {"scratch": scratch, "cores": cores, "stopped": stop.is_set}
    try:
        yield lambda run, *arguments, **more: pool.submit(run_notebook, *arguments, **how, **more)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _cluster(address, runs):
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError("A scheduler needs Dask: pip install distributed") from error
    try:
        client = Client(address, timeout=10)
    except OSError as error:
        raise ValueError(
            f"No Dask scheduler answers at {address} ({error}). Start one with `dask scheduler`, "
            "and workers with `dask worker ADDRESS`; it prints its address, tcp://HOST:PORT."
        ) from error
    names = {run.parameters.get("dataset") for run in runs}
    # as results of tasks, which Dask recomputes if the worker that held them is lost
    data = {dataset: client.submit(dict, data_files(dataset), pure=False) for dataset in names}
    pool = client.get_executor(pure=False)

    def submit(run, *arguments, **more):
        files = data[run.parameters.get("dataset")]
        return pool.submit(run_notebook, *arguments, data=files, stopped=cancelled, **more)

    try:
        yield submit
    finally:
        client.close()  # the scheduler cancels what nobody waits for


def cancelled():
    """Say, in a worker of the cluster, whether its current task has been cancelled."""
    from distributed import get_worker

    worker = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    return task is None or task.state in ("cancelled", "released", "forgotten")


def run_notebook(
    notebook, changed, data=(), scratch=None, cores=None, minutes=None, stopped=lambda: False
):
    """Run a notebook by papermill, check its exit code and its result, return an `Outcome`.

    The result is that of `write_result`, with the seconds that the run took and its threads.

    Args:
        notebook: its content, bytes.
        changed: {parameter: value} to inject.
        data: {file name: bytes} of data files for its `load_dataset`; if empty, it looks in the
            usual folders.
        scratch: folder to work in; the system's temporary folder if None.
        cores: threads of TensorFlow and NumPy; their own default if None.
        minutes: time limit; None for none.
        stopped: called every half second; the run is killed once it returns True.

    On Linux nothing of it outlives this process. Everything comes and goes as bytes, so that it
    may run on another machine with pruninglib installed.
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
    """Return the environment variables that set the threads of TensorFlow and NumPy."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    return dict.fromkeys((*names, "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), str(count))


def _environment(folder, data, count):
    found = dict(os.environ, IPYTHONDIR=str(folder / "ipython"))
    found |= {"PRUNINGLIB_RUNS": str(folder / "runs"), "PRUNINGLIB_BASELINES": str(BASELINES)}
    if data or "PRUNINGLIB_DATA" in found:
        found["PRUNINGLIB_DATA"] = str(folder / "data" if data else data_folders()[0])
    return found | (threads(count) if count else {})


def _papermill(folder, changed, environment, minutes, stopped):
    """Run papermill; return why it failed, or an empty string."""
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


class Outcome(NamedTuple):
    """The files of a run, and its error."""

    files: dict  # {name: bytes}: result.json, notebook.ipynb, tables and figures
    error: str  # why it failed; empty if it did not


def outputs(folder):
    """Return {name: bytes} of the files of a notebook, and what is wrong with them, or ""."""
    written = [path for path in sorted((folder / "runs").rglob("[!.]*")) if path.is_file()]
    files = {path.name: path.read_bytes() for path in written}
    if len(files) < len(written):
        names = ", ".join(str(path.relative_to(folder / "runs")) for path in written)
        return files, f"wrote several files of one name, in {names}; give each a name of its own"
    results = [name for name in files if name.endswith("result.json")]
    if len(results) != 1:
        return files, f"wrote {len(results)} results; a cell of it must call pl.write_result once"
    files["result.json"] = files.pop(results[0])
    return files, ""


def executed(folder, notebook, error):
    """Return the executed notebook, or the original if papermill did not write it."""
    try:
        content = (folder / "notebook.ipynb").read_bytes()
        json.loads(content)
    except (OSError, ValueError):
        content = notebook
    return with_error(content, error) if error else content


def with_error(notebook, error):
    """Return a notebook (bytes) with an error message on top."""
    content = json.loads(notebook)
    note = {"id": "why-it-failed", "cell_type": "markdown", "metadata": {}}
    content["cells"].insert(0, note | {"source": f"**This run failed: {error}**"})
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"
