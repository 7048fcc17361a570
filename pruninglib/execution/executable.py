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

    Its `bytes` are the size of the network on disk. One with several inputs takes them as
    {name: array}. A call raises ValueError for inputs of another shape than the network's, or of a
    type that does not convert to its own.

    Args:
        runtime: name of the runtime.
        threads: number of threads that it may use.
        run: the function, from an array of `dtype`, or {name: array}, to an array.
        measure: function that returns `bytes`.
        shape: of one example, with None for an axis of any size; None if it is not known; of
            several inputs {name: shape}.
        dtype: type to which inputs are converted; None to leave them as they are; of several
            inputs {name: type}.
    """

    runtime: str
    threads: int
    run: Callable = field(repr=False)
    measure: Callable = field(repr=False)
    shape: tuple | dict | None = field(repr=False, default=None)
    dtype: str | dict | None = field(repr=False, default=None)

    def __call__(self, inputs):
        if isinstance(self.shape, dict):
            return self.run(self._by_name(inputs))
        return self.run(_converted(np.asarray(inputs), self.shape, self.dtype))

    def _by_name(self, inputs):
        names = list(self.shape)
        if not isinstance(inputs, dict) or set(inputs) != set(names):
            found = list(inputs) if isinstance(inputs, dict) else type(inputs).__name__
            raise ValueError(
                f"Expected a dict of inputs, one array for each of {names}, got {found}."
            )
        arrays = {
            name: _converted(np.asarray(inputs[name]), self.shape[name], self.dtype[name])
            for name in names
        }
        if len({len(array) for array in arrays.values()}) > 1:
            counts = {name: len(array) for name, array in arrays.items()}
            raise ValueError(f"Expected as many examples in each input, got {counts}.")
        return arrays

    @cached_property
    def bytes(self):
        """Size of the network on disk, in bytes."""
        return self.measure()


def _converted(inputs, shape, dtype):
    """Return an array as the type that a network takes; raise unless its type and shape fit."""
    if dtype is not None:
        if not np.can_cast(inputs.dtype, dtype, "same_kind"):
            raise ValueError(
                f"Expected inputs of {np.dtype(dtype)}, got {inputs.dtype}. Convert them: "
                "of a quantized network with its scale and zero point, of numbers that count "
                f'something with inputs.astype("{np.dtype(dtype)}").'
            )
        inputs = inputs.astype(dtype, copy=False)
    if shape is not None and inputs.shape[1:] != shape:
        _check(inputs.shape, shape)
    return inputs


def _check(found, shape):
    same_rank = len(found) == len(shape) + 1
    pairs = zip(shape, found[1:], strict=True) if same_rank else [(1, 0)]
    if any(size not in (None, other) for size, other in pairs):
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"Expected inputs of shape (batch, {sizes}), got {found}.")


def single_input(model):
    """Return {"shape", "dtype"} of the only input of a model, without the batch axis.

    Raises ValueError unless the model has one input and one output.
    """
    check_ends(model)
    return {"shape": tuple(model.inputs[0].shape[1:]), "dtype": model.inputs[0].dtype}


def check_ends(model, several=False):
    """Raise ValueError unless a model has one output and one input, or `several` that are known."""
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    if len(outputs) != 1 or not inputs or (len(inputs) > 1 and not several):
        expected = "one output and an input or more" if several else "one of each"
        raise ValueError(
            f"Model {model.name!r} has {len(inputs)} known inputs and {len(outputs)} outputs, "
            f"expected {expected}. Build a Sequential or Functional model of that part, or, if it "
            "is subclassed, use eager(model)."
        )


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
