"""Split a batch into tiles that fit in the caches, and share them among threads."""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import ceil
from numbers import Integral

import numpy as np

WORTH_SHARING = 3e-4  # seconds of work; waking threads for less costs more than it saves


def cores():
    """Return the numbers of the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count()))


def thread_count(threads=None):
    """Return how many threads are asked for; None asks for one on each core."""
    if threads is None:
        return len(cores())
    if not isinstance(threads, Integral) or threads < 1:
        raise ValueError(f"threads must be None for all cores or a number from 1, got {threads!r}.")
    return int(threads)


def in_tiles(workers, tile, seconds, least=1):
    """Return a function inputs -> outputs that shares a batch among workers, a thread for each.

    Args:
        workers: functions array (n, ...) -> array (n, ...), one for each thread.
        tile: examples that a worker gets at a time, at most.
        seconds: what one example takes, about: small batches are left to one worker.
        least: examples that each worker gets at least, or one worker gets all.

    If there are as many threads as cores, each keeps to a core of its own.
    """
    pools, process = [], None

    def work(worker, inputs):
        if len(inputs) <= tile:
            return worker(inputs)
        return np.concatenate([worker(part) for part in _split(inputs, ceil(len(inputs) / tile))])

    def run(inputs):
        nonlocal pools, process
        small = len(inputs) < least * len(workers) or len(inputs) * seconds < WORTH_SHARING
        if small or len(workers) == 1:
            return work(workers[0], inputs)
        if process != os.getpid():  # threads do not survive a fork
            pools, process = _pools(len(workers)), os.getpid()
        parts = zip(pools, workers, _split(inputs, len(pools)), strict=True)
        running = [pool.submit(work, worker, part) for pool, worker, part in parts]
        return np.concatenate([each.result() for each in running])

    return run


def _pools(count):
    """Return thread pools of one thread each."""
    usable = cores() if count == len(cores()) else [None] * count
    return [ThreadPoolExecutor(1, initializer=_keep_to, initargs=(core,)) for core in usable]


def _keep_to(core):
    """Keep the calling thread on one core: two of them often start on the same one, and stay."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):  # the core was taken away meanwhile
            os.sched_setaffinity(0, {core})


def _split(inputs, count):
    """Return `count` parts of an array whose lengths differ by one at most."""
    ends = [len(inputs) * i // count for i in range(count + 1)]
    return [inputs[a:b] for a, b in pairwise(ends)]
