"""Time networks against each other fairly, in several runtimes."""

from collections import defaultdict
from time import perf_counter, process_time, sleep

import numpy as np

from pruninglib.execution.runtimes import eager
from pruninglib.progress_line import progress
from pruninglib.structure.costs import count_macs

STEADY = 0.25  # share of the median; a time whose quartiles are further apart is no result


def time_models(
    runs, inputs, batch_sizes=(1, 64), repeats=10, limit=60, tolerance=0.1, least_seconds=0.02
):
    """Yield a row for each network and batch size: how long one batch takes.

    Args:
        runs: {label: function inputs -> outputs}, such as an `Executable`, whose threads are chosen
            when it is made.
        inputs: array (images, ...) from which the batches are taken in turn.
        batch_sizes: images in a batch, from 1 to len(inputs).
        repeats: measurements of each network between checks. Measuring ends at a check, the second
            at the earliest, if for each network the quartiles of the first and of the second half
            of its measurements differ by no more than `tolerance` of the median.
        limit: most measurements of each network.
        tolerance: see `repeats`.
        least_seconds: fast networks are called several times in a measurement, to fill this time,
            and as often before it, for threads are slow when they wake up.

    The networks take turns in random order, so that a change in the machine's load affects all of
    them. Each waits until the threads of the one before sleep, is warmed up, and gets different
    inputs in successive calls, if there is more than one batch.

    Columns: label, runtime and threads (of an `Executable`), batch_size, median_ms, q1_ms and q3_ms
    (quartiles, milliseconds for one batch), repeats (measurements), calls (in each), steady
    (whether the quartiles settled, no further apart than a quarter of the median) and times_ms
    (all measurements in the order of the turns, so that networks can be compared turn by turn).
    Raises ValueError for no networks, a batch size out of range, or repeats above limit.
    """
    if not runs or repeats < 1 or limit < repeats:
        raise ValueError(
            f"Expected networks to time and 1 <= repeats <= limit, got {len(runs)} networks, "
            f"repeats={repeats}, limit={limit}."
        )
    for size in batch_sizes:
        if not 1 <= size <= len(inputs):
            raise ValueError(f"batch size {size} must lie in [1, {len(inputs)}] (the inputs).")
    for batch_size in progress(batch_sizes, "batch size"):
        whole = len(inputs) // batch_size * batch_size
        batches = np.split(inputs[:whole], whole // batch_size)[:100]
        calls = {label: _calls(run, batches, least_seconds) for label, run in runs.items()}
        times, quartiles, moved = _repeat(runs, batches, calls, repeats, limit, tolerance)
        for (label, run), (q1, median, q3), shift in zip(
            runs.items(), quartiles, moved, strict=True
        ):
            yield {
                "label": label,
                "runtime": getattr(run, "runtime", None),
                "threads": getattr(run, "threads", None),
                "batch_size": batch_size,
                "median_ms": median,
                "q1_ms": q1,
                "q3_ms": q3,
                "repeats": len(times[label]),
                "calls": calls[label],
                "steady": bool(shift <= tolerance and q3 - q1 <= STEADY * median),
                "times_ms": times[label],
            }


def first_call_ms(run, inputs):
    """Return the milliseconds of one call without warm-up, its preparations included."""
    began = perf_counter()
    run(inputs)
    return 1e3 * (perf_counter() - began)


def _calls(run, batches, least_seconds):
    """Return the number of calls that fill `least_seconds`."""
    _wait_for_idle_threads()
    _seconds(run, batches, 3)
    return 1 + int(least_seconds / _seconds(run, batches, 3))


def _repeat(runs, batches, calls, repeats, limit, tolerance):
    """Return the times (ms) of each run, their quartiles, and by what share these moved."""
    measured, shuffle = {label: [] for label in runs}, np.random.default_rng(0).permutation
    for turn in progress(range(1, limit + 1), "turn"):
        for i in shuffle(len(runs)):
            label, run = list(runs.items())[i]
            _wait_for_idle_threads()
            first = 2 * turn * calls[label]
            _seconds(run, batches, calls[label], first)  # wakes its threads, fills its caches
            measured[label].append(1e3 * _seconds(run, batches, calls[label], first + calls[label]))
        if turn % repeats == 0 or turn == limit:
            quartiles, early, late = (
                np.percentile([times[part] for times in measured.values()], (25, 50, 75), axis=1).T
                for part in (slice(None), slice((turn + 1) // 2), slice(turn // 2, None))
            )
            moved = np.abs(late - early).max(axis=1) / quartiles[:, 1]
            if (moved.max() <= tolerance and turn > repeats) or turn == limit:
                return measured, quartiles, moved if turn > 1 else np.full(len(runs), np.inf)


def _seconds(run, batches, calls, first=0):
    start = perf_counter()
    for call in range(first, first + calls):
        run(batches[call % len(batches)])
    return (perf_counter() - start) / calls


def _wait_for_idle_threads(most=0.3, step=0.01):
    """Wait until this process is nearly idle: threads of some runtimes stay busy for a while."""
    for _ in range(int(most / step)):
        before = process_time()
        sleep(step)
        if process_time() - before < step / 4:
            return


def timing_sweep(networks, inputs, ways, batch_sizes=(1, 64), **timing):
    """Return a list of rows: how long networks take in several runtimes, all timed together.

    Args:
        networks: {(stage, sparsity): model}, among them the unpruned network as ("dense", 0.0);
            they are left as they are.
        inputs: array (images, ...) from which the batches are taken.
        ways: {stage: list of functions model -> Executable}, such as `compiled` and `litert`;
            ValueError if a stage has none.
        batch_sizes: images in a batch.
        timing: repeats, limit, tolerance and least_seconds, as in `time_models`.

    Columns: those of `time_models` except label and times_ms; stage, sparsity, macs (of one image,
    run densely) and bytes (on disk); difference (the largest deviation of the outputs, for one
    input and for 1,000 at once, from those of `eager`, relative to the largest output); speed_up
    over the dense network in the same runtime (None if it did not run there) and speed_up_fastest
    over the dense network in the runtime fastest for it at that batch size. Both are medians of
    the ratios in each turn, in which the machine's load cancels, and have quartiles, such as
    speed_up_q1; steady_ratios says whether these are within a quarter of the median.
    """
    if ("dense", 0.0) not in networks or not all(ways.get(stage) for stage, _ in networks):
        raise ValueError(
            'networks must have ("dense", 0.0), and each stage a way to run in; got networks '
            f"{list(networks)} and ways for {[stage for stage in ways if ways[stage]]}."
        )
    runs, about = {}, {}
    for (stage, sparsity), network in networks.items():
        macs, expected = count_macs(network), eager(network)(inputs[:1000])
        for way in ways[stage]:
            run = way(network)
            label = (stage, sparsity, run.runtime, run.threads)
            if label in runs:
                raise ValueError(f"Two ways of stage {stage!r} are {run}. Leave one out.")
            runs[label] = run
            about[label] = {
                "stage": stage,
                "sparsity": sparsity,
                "macs": macs,
                "bytes": run.bytes,
                "difference": _difference(run, inputs[:1000], expected),
            }
    rows = [
        {**about[r.pop("label")], **r} for r in time_models(runs, inputs, batch_sizes, **timing)
    ]
    dense = defaultdict(dict)
    for row in rows:
        if row["stage"] == "dense":
            dense[row["batch_size"]][row["runtime"], row["threads"]] = row
    for row in rows:
        others = dense[row["batch_size"]]
        same = others.get((row["runtime"], row["threads"]))
        fastest = min(others.values(), key=lambda other: other["median_ms"])
        found = {"speed_up": _ratios(same, row), "speed_up_fastest": _ratios(fastest, row)}
        row["steady_ratios"] = True
        for name, (q1, median, q3) in found.items():
            row |= {name: median, f"{name}_q1": q1, f"{name}_q3": q3}
            row["steady_ratios"] &= median is None or q3 - q1 <= STEADY * median
    return [{name: row[name] for name in row if name != "times_ms"} for row in rows]


def _ratios(dense, row):
    """Return the quartiles of the speed-ups over a dense network, one for each turn."""
    if dense is None:
        return None, None, None
    return np.percentile(np.divide(dense["times_ms"], row["times_ms"]), (25, 50, 75)).tolist()


def _difference(run, inputs, expected):
    found = max(np.abs(run(inputs[:n]) - expected[:n]).max() for n in (1, len(inputs)))
    return float(found / (np.abs(expected).max() or 1))
