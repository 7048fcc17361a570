"""What mistakes do to a published figure, measured."""

from ledger.costs import MEASURED
from ledger.judging import DATASETS
from ledger.measures import accuracy, pruned, recovered, rows
from ledger.verdicts import over_seeds


def mistakes(tables):
    """Return the section on mistakes as Markdown."""
    found = [mask_not_held, relu_on_the_logits, removed_at_the_percentile, not_warmed_up]
    lines = []
    for tell in found:
        try:
            lines.append(f"* {tell(tables)}")
        except LookupError:
            lines.append(f"* Not measured yet: {tell.__doc__}")
    return "\n".join(["## What mistakes do\n", *lines]) + "\n"


def mask_not_held(tables, sparsity=0.99):
    """the mask was not held (C2), so that weights that were pruned grow back."""
    how = {"method": "weight", "stage": "retrained", "mask": "free", "iterations": 500}
    parts = []
    for dataset, name in DATASETS.items():
        free = rows(tables, "weights", dataset, sparsity=sparsity, **how).set_index("seed")
        held, regrown = (
            recovered(tables, dataset, "weight", sparsity, 500, mask) for mask in ("held", "free")
        )
        parts.append(
            f"{name}: {_percent(free['measured_sparsity'])} are left of {sparsity:.0%} zeros, and "
            f"the accuracy is {_points(regrown)} off the dense network's; with the mask held it is "
            f"{_points(held)} off"
        )
    return (
        "**The mask was not held** (codeitankit; C2). 500 iterations bring back the weights that "
        f"were said to be gone. {'; '.join(parts)}."
    )


def relu_on_the_logits(tables, epochs=5):
    """a ReLU behind the logits (N1, N2)."""
    parts = []
    for dataset, name in DATASETS.items():
        worst = {}
        table = rows(tables, "mistakes", dataset, mistake="ReLU on the logits", epochs=epochs)
        for sparsity in sorted(set(table["sparsity"])):
            how = {"mistake": "ReLU on the logits", "epochs": epochs, "learning_rate": 1e-3}
            with_relu = accuracy(tables, "mistakes", dataset, sparsity, **how)
            right = pruned(tables, dataset, "unit", sparsity, epochs)
            worst[sparsity] = with_relu - right
        sparsity = max(worst, key=lambda s: abs(worst[s].mean()))
        parts.append(f"{name}: at most {_points(worst[sparsity])}, at {sparsity:.0%} of the units")
    return (
        "**A ReLU on the logits** (Snehal-Reddy's unit pruning; N1, N2). It changes the accuracy "
        f"of networks trained without it by: {'; '.join(parts)}."
    )


def removed_at_the_percentile(tables, epochs=5):
    """`norm <= percentile` removes a unit of each layer at sparsity 0."""
    parts = []
    for dataset, name in DATASETS.items():
        how = {"mistake": "<= a percentile", "epochs": epochs, "learning_rate": 1e-3}
        table = rows(tables, "mistakes", dataset, **how).set_index("seed")
        lost = table["accuracy"] - pruned(tables, dataset, "unit", 0, epochs)
        parts.append(f"{name}: {_points(lost)}")
    return (
        "**One too many**: to remove what is `<=` a percentile of the norms removes a unit of each "
        f"layer at sparsity 0. That changes the accuracy by: {'; '.join(parts)}."
    )


def not_warmed_up(tables):
    """timing without warm-up (L6, C4), for the first call makes the graph."""
    table = rows(tables, "tf_sparse", MEASURED)
    table = table[table["sparsity"] > 0]  # the dense one's graph is made before
    times = table["first_ms"] / table["median_ms"]
    return (
        "**Timing without warm-up** (L6, C4; whether the sources did so they do not say). The "
        f"first call of a TensorFlow graph, which makes it, takes {times.min():.0f} to "
        f"{times.max():.0f} times as long as a later one, batches of 64."
    )


def _percent(values):
    mean, low, high = over_seeds(values)
    return f"{100 * mean:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _points(values):
    mean, low, high = (round(100 * x, 1) + 0 for x in over_seeds(values))  # + 0: no -0.0
    return f"{mean:+.1f} points [{low:+.1f}, {high:+.1f}]"
