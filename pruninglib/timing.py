"""Time networks against each other, fairly."""

from time import perf_counter

import numpy as np


def time_models(runs, inputs, batch_sizes=(1, 64), repeats=30, least_seconds=0.002):
    """Yield rows of how long each network takes for one batch.

    Args:
        runs: {label: function inputs -> outputs}, such as `eager(model)` or `compiled(model)`.
        inputs: array (images, ...) from which the batches are taken in turn.
        batch_sizes: images in a batch; at most len(inputs).
        repeats: measurements of each network.
        least_seconds: fast networks are called several times in a measurement, to fill this.

    The networks take turns, so that a change in the machine's load meets all of them, each is
    warmed up, and successive calls see different inputs. Rows: label, batch_size, median_ms,
    q1_ms, q3_ms (quartiles, milliseconds for one batch), repeats, calls in a measurement.
    """
    for batch_size in batch_sizes:
        if not 1 <= batch_size <= len(inputs):
            raise ValueError(
                f"batch size {batch_size} must lie in [1, {len(inputs)}] (the inputs)."
            )
        whole = len(inputs) // batch_size * batch_size
        batches = np.split(inputs[:whole], whole // batch_size)[:100]
        calls = {}
        for label, run in runs.items():
            _seconds(run, batches, 3)
            calls[label] = 1 + int(least_seconds / _seconds(run, batches, 3))
        measured = {label: [] for label in runs}
        for repeat in range(repeats):
            for label, run in runs.items():
                first = repeat * calls[label]
                measured[label].append(1e3 * _seconds(run, batches, calls[label], first))
        for label, milliseconds in measured.items():
            q1, median, q3 = np.percentile(milliseconds, (25, 50, 75))
            yield {
                "label": label,
                "batch_size": batch_size,
                "median_ms": median,
                "q1_ms": q1,
                "q3_ms": q3,
                "repeats": repeats,
                "calls": calls[label],
            }


def _seconds(run, batches, calls, first=0):
    start = perf_counter()
    for call in range(first, first + calls):
        run(batches[call % len(batches)])
    return (perf_counter() - start) / calls
