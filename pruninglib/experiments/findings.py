"""Say what a table shows: sentences with its numbers, as Markdown, for the end of a notebook."""

import pandas as pd

from pruninglib.experiments.evaluation import kernel_statistics
from pruninglib.experiments.tables import NOUNS, percent, plateau


def of_sweep(table, networks):
    """Return what pruning alone does.

    Args:
        table: rows of `prune_sweep`, sparsity 0 among them.
        networks: the dense networks that were pruned.
    """
    shapes = pd.DataFrame(row for network in networks for row in kernel_statistics(network))
    lines = [_begin(table), ""]
    kept = plateau(table).groupby("method", sort=False)["sparsity"].mean()
    ends = [f"{share:.0%} of the {NOUNS.get(m, m)}" for m, share in kept.items()]
    lines.append(f"* Within one point of the dense network it stays without {', '.join(ends)}.")
    most = table[table["sparsity"] == _nearest(table, 0.9)]
    found = [
        f"{NOUNS.get(m, m)} {percent(r['accuracy'])}" for m, r in most.groupby("method", sort=False)
    ]
    lines.append(f"* Without {most['sparsity'].iloc[0]:.0%}: {', '.join(found)}.")
    weights, norms = shapes["small_weights"].mean(), shapes["small_norms"].mean()
    lines.append(
        f"* Why: {weights:.0%} of the weights, but {norms:.0%} of the columns' norms, are below "
        "half of their layer's mean."
    )
    return "\n".join(lines)


def of_recovery(table):
    """Return what comes back, and with how many zeros, of networks whose weights were pruned.

    Args:
        table: rows of `recovery_sweep` with a column `treatment`, see `treatments`: pruned,
            retrained with the mask held and free, repaired; sparsity 0, the control, among them.
    """
    control = table[(table["sparsity"] == 0) & (table["stage"] == "retrained")]["accuracy"]
    of = dict(list(table[table["sparsity"] > 0].groupby("treatment")))
    told = {treatment: _levels(rows) for treatment, rows in of.items()}
    left = _levels(of["retrained, mask free"], "measured_sparsity")
    return "\n".join(
        [
            _begin(table),
            "",
            f"* Pruned, it has {told['pruned']}. Retrained with the mask held, "
            f"{told['retrained']}; the dense network, retrained alike, {percent(control)}.",
            f"* With the mask free {told['retrained, mask free']}, but then it is no longer "
            f"sparse: zeros are {left}.",
            f"* Repaired, without labels or training, {told['repaired']}; retrained after that, "
            f"{told['repaired, retrained']}.",
        ]
    )


def of_sizes(table):
    """Return what networks without some units achieve, by what was done, beside the controls.

    Args:
        table: rows of `recovery_sweep` with a column `treatment`, see `treatments`, of the methods
            "unit", "greedy unit" and "weight"; and rows of the method "from scratch", networks of
            the same size trained from the start.
    """
    told = {key: _levels(rows) for key, rows in table.groupby(["method", "treatment"])}
    norm, greedy = (
        [told[method, how] for how in ("repaired", "retrained", "repaired, retrained")]
        for method in ("unit", "greedy unit")
    )
    small = [f"{n:,.0f}" for n in table.query("method == 'from scratch'").parameters.unique()]
    sparse = table.query("method == 'weight'").groupby("sparsity")["parameters"].mean()
    return "\n".join(
        [
            _begin(table),
            "",
            f"* Chosen greedily, repaired and retrained, it has {greedy[2]} of the units removed, "
            f"{_and(small)} weights left; trained from scratch at that size, "
            f"{told['from scratch', 'trained']}.",
            f"* Chosen by norm and retrained, as published projects did, {norm[1]}; repaired "
            f"before, {norm[2]}. Chosen greedily and only retrained, {greedy[1]}.",
            f"* Repaired and never trained again, by norm {norm[0]}, greedily {greedy[0]}.",
            f"* Weights pruned one by one, repaired and retrained, "
            f"{told['weight', 'repaired, retrained']}, "
            f"{_and([f'{count:,.0f}' for count in sparse])} left.",
        ]
    )


def of_times(table, tf_sparse=None):
    """Return how much faster networks are than the dense one, and at which accuracy.

    Args:
        table: rows of `timing_sweep`, one for each network and batch size, with a column accuracy.
        tf_sparse: rows of `time_models`, tf.sparse and then TensorFlow's dense products; or None.
    """
    words = {
        "masked": ("Zeros that are multiplied", "speed_up"),
        "shrunk": ("Units cut out", "speed_up_fastest"),
        "sparse": ("Only the nonzero weights multiplied", "speed_up_fastest"),
    }
    lines = [
        "Times as fast as the dense network in the runtime that is fastest for it (masked: in the "
        "same one); ~: the ratio scatters, its quartiles further apart than a quarter of it.",
        "",
    ]
    for stage, (what, column) in words.items():
        of_stage = []
        for sparsity, rows in table[table["stage"] == stage].groupby("sparsity"):
            found = [
                f"{'' if row['steady_ratios'] else '~'}{row[column]:.2g}x for "
                f"{row['batch_size']:,} at once"
                for _, row in rows.sort_values("batch_size").iterrows()
            ]
            of_stage.append(f"{sparsity:.0%} ({rows['accuracy'].iloc[0]:.1%} right) {_and(found)}")
        if of_stage:
            lines.append(f"* {what}: {'; '.join(of_stage)}.")
    if tf_sparse is not None:
        slow, dense = tf_sparse["median_ms"]
        size = tf_sparse["batch_size"].iloc[0]
        lines.append(
            f"* tf.sparse, {size} at once: {dense / slow:.2g}x TensorFlow's dense products."
        )
    return "\n".join(lines)


def of_training(table):
    """Return what pruning does after each of several trainings.

    Args:
        table: rows of `prune_sweep` with the columns epochs, learning_rate and training, its name;
            sparsity 0 among them.
    """
    kept, lines = plateau(table), [_begin(table), ""]
    for training, rows in table.groupby("training", sort=False):
        first = rows.iloc[0]
        own = kept[
            kept[["epochs", "learning_rate"]].eq(first[["epochs", "learning_rate"]]).all(axis=1)
        ]
        dense = rows[(rows["sparsity"] == 0) & (rows["method"] == first["method"])]["accuracy"]
        ends = [
            f"{r['sparsity'].mean():.0%} of the {NOUNS.get(method, method)}"
            for method, r in own.groupby("method", sort=False)
        ]
        lines.append(
            f"* {training}: dense {percent(dense)}; within one point of it without "
            f"{', '.join(ends)}."
        )
    return "\n".join(lines)


def of_mistakes(accuracy, regrown, times):
    """Return by how much mistakes in pruning, retraining and timing are off.

    Args:
        accuracy: rows of `prune_sweep` with a column `mistake`, "none" where there is none.
        regrown: rows of `recovery_sweep`, masks held and free.
        times: rows with sparsity, median_ms and first_ms, the milliseconds of the first call.
    """
    lines = [_begin(regrown), ""]
    right = accuracy[accuracy["mistake"] == "none"].set_index(["seed", "sparsity"])["accuracy"]
    for mistake, rows in accuracy[accuracy["mistake"] != "none"].groupby("mistake", sort=False):
        told = rows.set_index(["seed", "sparsity"])["accuracy"]
        lost = (told - right).dropna().groupby("sparsity").mean()
        worst = lost.abs().idxmax()
        lines.append(
            f"* {mistake}: the accuracy is off by {100 * lost[worst]:+.1f} points at a sparsity of "
            f"{worst:.0%}, where it is most; {percent(right.xs(worst, level='sparsity'))} is right."
        )
    free = regrown[(regrown["mask"] == "free") & (regrown["sparsity"] > 0)]
    for sparsity, rows in free.groupby("sparsity"):
        left = percent(rows["measured_sparsity"])
        lines.append(f"* Mask not held: of {sparsity:.0%} zeros {left} are left after retraining.")
    for _, row in times.iterrows():
        lines.append(
            f"* No warm-up: at {row['sparsity']:.0%} of zeros the first call takes "
            f"{row['first_ms'] / row['median_ms']:.0f} times as long as a later one."
        )
    return "\n".join(lines)


def of_bytes(table, kind=".npz"):
    """Return the sizes of files, as shares of the dense network's largest one.

    Args:
        table: rows with method, sparsity and a column of bytes for each kind of file, ".keras"
            among them; sparsity 0 among them.
        kind: the kind of file to tell.
    """
    whole = table[table["sparsity"] == 0][".keras"].iloc[0]
    lines = [f"The dense network as Keras saves it takes {whole:,} bytes.", ""]
    for method, rows in table[table["sparsity"] > 0].groupby("method", sort=False):
        found = [f"{row[kind] / whole:.1%} at {row['sparsity']:.0%}" for _, row in rows.iterrows()]
        lines.append(f"* As `{kind}`, without {NOUNS.get(method, method)}: {', '.join(found)}.")
    return "\n".join(lines)


def at(table, by, sparsity=0.9, column="accuracy"):
    """Return the means of a column at the sparsity nearest to the one asked for, a line for each.

    Args:
        table: DataFrame with the columns `by`, sparsity and the one to tell, in shares.
        by: list of columns whose values name the lines.
    """
    near = table[table["sparsity"] == _nearest(table, sparsity)]
    lines = [f"{_begin(table)} At a sparsity of {near['sparsity'].iloc[0]:.4g}:", ""]
    for names, rows in near.groupby(by, sort=False):
        lines.append(f"* {', '.join(map(str, names))}: {percent(rows[column], 2)}.")
    return "\n".join(lines)


def _begin(table):
    name = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
    where = ", ".join(name.get(d, d) for d in table["dataset"].dropna().unique())
    count = table["seed"].nunique()
    seeds = "one seed" if count == 1 else f"{count} seeds, mean ± standard deviation"
    dense = table[(table["sparsity"] == 0) & (table["stage"] == "pruned")]
    found = dense.groupby("seed")["accuracy"]
    one = len(dense) and found.nunique().max() == 1  # else a seed has several dense networks
    return f"On {where}, {seeds}." + (f" Dense {percent(found.first())}." if one else "")


def _levels(rows, column="accuracy"):
    """Return a column's mean and spread at each sparsity, from the lowest on."""
    levels = rows.groupby("sparsity")[column]
    return _and([f"{percent(values)} at {sparsity:.0%}" for sparsity, values in levels])


def _and(parts):
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _nearest(table, sparsity):
    return min(table["sparsity"].unique(), key=lambda s: abs(s - sparsity))
