"""The experiment on time: dense, masked, sparse and shrunk networks in several runtimes."""

from collections import defaultdict

import numpy as np

from pruninglib.execution.runtimes import eager
from pruninglib.experiments.timing import STEADY, time_models
from pruninglib.structure.costs import count_macs


def timing_sweep(networks, inputs, ways, batch_sizes=(1, 64), **timing):
    """Return rows of how long networks take, in each of several runtimes, timed together.

    Args:
        networks: {(stage, sparsity): model}; the unpruned network is ("dense", 0.0).
        inputs: array (images, ...) from which the batches are taken.
        ways: {stage: functions model -> Executable}, such as `compiled` and `litert`.
        timing: repeats, limit, tolerance and least_seconds, as in `time_models`.

    Rows have the columns of `time_models` but for label and times_ms, and stage, sparsity, macs (of
    one image, dense), bytes (on disk), difference (the largest of the outputs, for one input and
    for 1,000 at once, from those of the model run layer by layer, relative to the largest output),
    speed_up over the dense network in
    the same runtime (None if it did not run there) and speed_up_fastest over the dense network in
    the runtime that is fastest for it at that batch size. Both are medians of ratios within a turn,
    in which a load on the machine cancels, and have quartiles, such as speed_up_q1; steady_ratios:
    whether these are no further apart than a quarter of the median.
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
    """Return the quartiles of how many times faster than a dense network, turn by turn."""
    if dense is None:
        return None, None, None
    return np.percentile(np.divide(dense["times_ms"], row["times_ms"]), (25, 50, 75)).tolist()


def _difference(run, inputs, expected):
    found = max(np.abs(run(inputs[:n]) - expected[:n]).max() for n in (1, len(inputs)))
    return float(found / (np.abs(expected).max() or 1))
