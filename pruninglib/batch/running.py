"""Run many notebooks at a time, on this machine or on a Dask cluster."""

import os
import threading
from concurrent.futures import FIRST_COMPLETED, CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager

from pruninglib.batch.isolated import run_notebook
from pruninglib.batch.outcome import Outcome, with_error
from pruninglib.experiments.paths import data_files


def outcomes(runs, scratch, jobs=1, scheduler=None, minutes=None, tick=lambda running: None):
    """Run notebooks, those that want to be alone last and one by one; yield (run, `Outcome`).

    Args:
        runs: as from `read_grid`.
        scratch: folder for unfinished work on this machine.
        jobs: notebooks at a time on this machine, which divide its cores.
        scheduler: address of a Dask scheduler, whose workers run them instead. They need
            pruninglib, but see no disk of this machine: everything travels as bytes.
        minutes: time limit of each.
        tick: called about once a second with the number of notebooks that run.

    However this generator ends, what still runs is killed (on the cluster, within seconds).
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
    except (Exception, CancelledError) as error:  # whatever the machine, or the cluster, says
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
    # as results of tasks, which Dask makes again when the worker that held them is gone
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
    """Say, in a worker of the cluster, whether nobody waits for the task at hand any more."""
    from distributed import get_worker

    worker = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    return task is None or task.state in ("cancelled", "released", "forgotten")
