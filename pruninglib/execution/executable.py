"""The `Executable` that every way to run a network returns, and sharing a batch among threads."""

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import ceil
from numbers import Integral

import numpy as np

WORTH_SHARING = 3e-4  # seconds of work; waking threads for less costs more than it saves


@dataclass(frozen=True)
class Executable:
    """A network made ready to run: a function inputs (batch, ...) -> outputs, with its runtime.

    Its `bytes` are the size of the network on disk. A call raises ValueError for inputs of another
    shape than the network's, or of a type that does not convert to its own.

    Args:
        runtime: name of the runtime.
        threads: number of threads that it may use.
        run: the function, from an array of `dtype` to an array.
        measure: function that returns `bytes`.
        shape: of one example, with None for an axis of any size; None if it is not known.
        dtype: type to which inputs are converted; None to leave them as they are.
    """

    runtime: str
    threads: int
    run: Callable = field(repr=False)
    measure: Callable = field(repr=False)
    shape: tuple | None = field(repr=False, default=None)
    dtype: str | None = field(repr=False, default=None)

    def __call__(self, inputs):
        inputs = np.asarray(inputs)
        if self.dtype is not None:
            if not np.can_cast(inputs.dtype, self.dtype, "same_kind"):
                raise ValueError(
                    f"Expected inputs of {np.dtype(self.dtype)}, got {inputs.dtype}. Convert them: "
                    "of a quantized network with its scale and zero point, of numbers that count "
                    f'something with inputs.astype("{np.dtype(self.dtype)}").'
                )
            inputs = inputs.astype(self.dtype, copy=False)
        if self.shape is not None and inputs.shape[1:] != self.shape:
            self._check(inputs.shape)
        return self.run(inputs)

    @cached_property
    def bytes(self):
        """Size of the network on disk, in bytes."""
        return self.measure()

    def _check(self, found):
        same_rank = len(found) == len(self.shape) + 1
        pairs = zip(self.shape, found[1:], strict=True) if same_rank else [(1, 0)]
        if any(size not in (None, other) for size, other in pairs):
            sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
            raise ValueError(f"Expected inputs of shape (batch, {sizes}), got {found}.")


def single_input(model):
    """Return {"shape", "dtype"} of the only input of a model, without the batch axis.

    Raises ValueError unless the model has one input and one output.
    """
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"Model {model.name!r} has {len(inputs)} known inputs and {len(outputs)} outputs, "
            "expected one of each. Build a Sequential or Functional model of that part, or, if it "
            "is subclassed, use eager(model)."
        )
    return {"shape": tuple(inputs[0].shape[1:]), "dtype": inputs[0].dtype}


def cores():
    """Return the numbers of the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count()))


def thread_count(threads=None):
    """Return the number of threads asked for; None asks for one per core."""
    if threads is None:
        return len(cores())
    if not isinstance(threads, Integral) or threads < 1:
        raise ValueError(f"threads must be None for all cores or a number from 1, got {threads!r}.")
    return int(threads)


def in_tiles(workers, tile, seconds, least=1):
    """Return a function inputs -> outputs that shares a batch among workers, one per thread.

    Args:
        workers: functions array (n, ...) -> array (n, ...), one for each thread.
        tile: most examples that a worker gets at a time.
        seconds: about what one example takes; a batch too short to share goes to one worker.
        least: fewest examples for each worker; a smaller batch goes to one worker.

    If there are as many threads as cores, each is bound to a core of its own.
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
    """Bind the calling thread to one core: two threads often start, and stay, on the same one."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):  # the process may not use the core any more
            os.sched_setaffinity(0, {core})


def _split(inputs, count):
    """Return `count` parts of an array, whose lengths differ by at most one."""
    ends = [len(inputs) * i // count for i in range(count + 1)]
    return [inputs[a:b] for a, b in pairwise(ends)]
