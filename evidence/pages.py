"""Write the README's sections of numbers from data/results.

python -m evidence.pages
"""

import json

import numpy as np
import pandas as pd

from evidence.claims import page
from evidence.claims import rules as judging
from evidence.claims import tables as claim_tables
from pruninglib import percent, plateau
from pruninglib.atomic import written_whole
from pruninglib.experiments.paths import PUBLISHED, RESULTS, ROOT

NAMES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
SHOWN = (0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99)


def headline():
    """Return the best of MNIST in a few lines, as Markdown."""
    weights = read("mnist", "2_weight_prune_recovery")
    units = read("mnist", "3_unit_prune_recovery")
    units = units[units["method"] == "greedy unit"]
    times = pd.read_csv(RESULTS / "mnist" / "4_shrunk_network_timing.csv")
    tenth = times[(times["stage"] == "shrunk") & np.isclose(times["sparsity"], 0.9)]
    faster = [best(tenth[tenth["batch_size"] == size], "speed_up") for size in (1, 256, 10_000)]
    lines, seconds = [], []
    for name, table, removed in (
        ("weights", weights, 0.95),
        ("weights", weights, 0.97),
        ("units", units, 0.8),
        ("units", units, 0.9),
    ):
        rows = table[np.isclose(table["sparsity"], removed)]
        stages = [rows[rows["stage"] == stage]["accuracy"] for stage in ("pruned", "repaired")]
        last = trained(rows, "repaired", rows["iterations"].max())["accuracy"]
        lines.append([f"{removed:.0%} of the {name}", *map(percent, [*stages, last])])
        seconds += [f"{rows[rows['stage'] == 'repaired']['seconds'].median():.0f}"]
    dense = weights[(weights["sparsity"] == 0) & (weights["stage"] == "pruned")]["accuracy"]
    counts = [f"{table['iterations'].max():.0f}" for table in (weights, units)]
    heads = ["removed", "as pruned", "repaired", "repaired, trained on"]
    return (
        f"On MNIST, accuracy on the test set, {weights['seed'].nunique()} seeds, mean ± standard "
        f"deviation; the dense network has {percent(dense)}:\n\n{markdown(heads, lines)}\n\n"
        f"A repair takes no label, and {', '.join(seconds)} seconds in these cases, on 2 "
        "cores beside other work. Weights go by magnitude, units by greedy choice, and masks stay "
        "held while training on, for "
        f"{counts[0]} iterations (weights) or {counts[1]} (units). With 90 % of the units gone the "
        f"shrunk network runs faster than the dense one in the same runtime: {faster[0]} for "
        f"single images, {faster[1]} in batches of 256, {faster[2]} in batches of 10,000. That is "
        "for calls one after another (~: the ratio scatters); if something else ran between single "
        "images, it gains less: see "
        "[How fast is it, and why](benchmarks/README.md#how-fast-is-it-and-why).\n"
    )


def claims():
    """Return how many of the published claims hold, and which, as Markdown."""
    tables = claim_tables.read()
    found = judging.judge(tables)
    published = pd.read_csv(PUBLISHED / "claims.csv").set_index("id")
    return (
        f"{page.summary(found, published)}\nWhat each says, how it was judged and what was "
        "measured: [CLAIMS.md](CLAIMS.md). `make results` measures it again; its runs took "
        f"{page.hours(tables['runs']):.1f} hours on 2 cores.\n"
    )


def story():
    """Return what examples/residual_network.py measured, as Markdown."""
    table = pd.read_csv(RESULTS / "fashion_mnist" / "residual_network.csv")
    dense = table[table["stage"] == "dense"]
    sizes = [
        column.removeprefix("ms_") for column in table if column.count("_") == 1 and "ms_" in column
    ]
    heads = ["units removed", "as pruned", "repaired", "trained on", "parameters", "MACs", ".keras"]
    heads += ["LiteRT", *(f"ms, batch {int(size):,}" for size in sizes)]
    lines = [["0%", "", "", percent(dense["accuracy"]), *costs(dense, sizes)]]
    for sparsity, rows in table[table["sparsity"] > 0].groupby("sparsity"):
        stages = [rows[rows["stage"] == stage] for stage in ("pruned", "repaired", "trained on")]
        accuracies = [percent(found["accuracy"]) for found in stages]
        lines.append([f"{sparsity:.0%}", *accuracies, *costs(stages[-1], sizes)])
    return (
        f"{markdown(heads, lines)}\n\nFashion-MNIST, test set, {table['seed'].nunique()} seeds, "
        "mean ± standard deviation. Milliseconds: medians and quartiles, as compiled graphs, all "
        f"networks in turn, on 2 cores, seed {table['seed'].max()} (at the others the machine had "
        "other work); masked networks, not shrunk, take "
        f"{masked_time(table, sizes)} times those of the dense one.\n"
    )


def costs(rows, sizes):
    """Return what networks cost, as cells: sizes are means over the seeds, times of the last."""
    mean, last = rows.mean(numeric_only=True), rows[rows["seed"] == rows["seed"].max()].iloc[0]
    times = [
        f"{last[f'ms_{size}']:.2f} ({last[f'ms_{size}_q1']:.2f} to {last[f'ms_{size}_q3']:.2f})"
        for size in sizes
    ]
    files = [f"{mean[column] / 1000:.0f} kB" for column in ("file_bytes", "litert_bytes")]
    return [f"{mean['parameters']:,.0f}", f"{mean['macs'] / 1e6:.2f} million", *files, *times]


def masked_time(table, sizes):
    """Return the least and the largest ratio of a masked network's time to the dense one's."""
    table = table[table["seed"] == table["seed"].max()]
    masked, dense = (table[table["stage"] == stage] for stage in ("pruned", "dense"))
    dense = dense.set_index("seed")
    ratios = [masked[f"ms_{n}"] / masked["seed"].map(dense[f"ms_{n}"]) for n in sizes]
    return f"{min(map(min, ratios)):.2f} to {max(map(max, ratios)):.2f}"


def results():
    """Return the results section as Markdown."""
    sections = [accuracy_table(name) for name in NAMES]
    timed = RESULTS.glob("*/4_shrunk_network_timing.csv")
    sections += [timing_table(path.parent.name) for path in sorted(timed, reverse=True)]
    if (RESULTS / "frontier").exists():
        sections.append(frontier())
    if (RESULTS / "neuron_merging").exists():
        sections.append(neuron_merging())
    return "\n".join([*sections, learning_rates(), running_times()])


def frontier():
    """Return errors of gradually pruned networks beside the best published ones, as Markdown."""
    file = "2_weight_prune_recovery_gradual.csv"
    ways = {"as they are": "frontier", "shifted too": "frontier_shifted"}
    folders = {way: RESULTS / name for way, name in ways.items()}
    tables = {way: pd.read_csv(f / file) for way, f in folders.items() if f.exists()}
    theirs = pd.read_csv(PUBLISHED / "frontier.csv")
    theirs = theirs[(theirs["network"] == "784-300-100-10") & (theirs["kind"] == "weight")]
    lines = []
    for sparsity, rows in pd.concat(tables).groupby("sparsity"):
        kept = 1 - sparsity
        published = [
            f"{row['test_error']:.2%} ({row['method']}, {row['source']}: {row['reported']})"
            for _, row in theirs[np.isclose(theirs["kept_share"], kept, rtol=0.02)].iterrows()
        ]
        errors = [
            percent(1 - rows.loc[w]["accuracy"], 2) if w in rows.index else "" for w in tables
        ]
        count = f"{rows['weights'].iloc[0]:,}"
        lines.append([count, f"{kept:.2%}", *errors, "; ".join(published)])
    heads = ["weights left", "of 266,200", *(f"error, images {way}" for way in tables)]
    return (
        "### MNIST, 784-300-100-10 pruned gradually\n\n"
        f"{markdown([*heads, 'published'], lines)}\n\n"
        f"{pd.concat(tables)['seed'].nunique()} seeds, mean ± standard deviation, test set, last "
        "iteration; published: of others, as far as they are for this network. Without biases, all "
        "layers pruned, the logits layer too; with all weights left it is the control, trained "
        "alike. Shifted too: training images, for the network and for the dense one that it learns "
        "from, are also moved by a pixel each way; those published were, to our knowledge, trained "
        f"on the images as they are.\n\n{tried()}"
    )


def tried():
    """Return what was tried for gradual pruning, on validation images, as folded Markdown."""
    table = pd.read_csv(RESULTS / "choose_gradual.csv")
    names = list(table.columns[: table.columns.get_loc("seed")])
    first = table.iloc[0]
    lines = []
    for setting, rows in table.groupby(names, sort=False):
        pairs = zip(names, setting, strict=True)
        changes = [f"{name} {value}" for name, value in pairs if value != first[name]]
        errors = [percent(rows[f"{part}_error"], 2) for part in ("validation", "training")]
        lines.append([", ".join(changes) or "as it was begun", f"{len(rows)}", *errors])
    begun = ", ".join(f"{name} {first[name]}" for name in names)
    heads = ["what was changed", "seeds", "error, validation images", "error, training images"]
    return (
        f"<details><summary>What was tried at {first['weights']:,} weights, on 5,000 validation "
        f"images</summary>\n\nBegun with: {begun}.\n\n{markdown(heads, lines)}\n\n"
        "[Table](data/results/choose_gradual.csv), [script](evidence/choices/gradual.py); the "
        "words are those of `pl.prune_gradually`, shift that of `pl.shifted`.\n</details>\n"
    )


def neuron_merging():
    """Return units removed without retraining, beside what is published for it, as Markdown."""
    table = pd.read_csv(RESULTS / "neuron_merging" / "3_unit_prune_recovery_criteria.csv")
    sweep = pd.read_csv(RESULTS / "neuron_merging" / "3_unit_prune_recovery.csv")
    sweep = sweep[(sweep["stage"] == "pruned") & (sweep["method"] == "unit")]
    dense = sweep[sweep["sparsity"] == 0]["accuracy"]
    theirs = pd.read_csv(PUBLISHED / "frontier.csv")
    theirs = theirs[theirs["method"] == "neuron merging"]
    published = dict(zip(theirs["kept_share"].round(2), 1 - theirs["test_error"], strict=True))
    ways = {
        "by norm": ("norm", "pruned"),
        "by norm, merged": ("norm", "merged"),
        "by norm, repaired": ("norm", "repaired"),
        "greedy, repaired": ("greedy", "repaired"),
    }
    lines = []
    for sparsity, rows in table.groupby("sparsity"):
        of_way = rows.set_index(["method", "stage"])["accuracy"].sort_index()
        cells = [percent(of_way[way], 2) for way in ways.values()]
        theirs_here = f"{100 * published[round(1 - sparsity, 2)]:.2f} %"
        lines.append([f"{sparsity:.0%}", *cells, theirs_here])
    heads = ["sparsity", *ways, "neuron merging, published"]
    return (
        "### Fashion-MNIST, 784-300-100-10, units removed, no retraining\n\n"
        f"{markdown(heads, lines)}\n\n"
        f"{table['seed'].nunique()} seeds, mean ± standard deviation; published: one network of "
        "Kim et al. 2020, trained by others. Merging is data-free, repair sees 10,000 training "
        "images without their labels. Our dense networks have "
        f"{percent(dense)}, theirs is another one: compare repair with our own merging, too.\n"
    )


def learning_rates():
    """Return what the two learning rates of the published study give, as Markdown."""
    sweep = pd.read_csv(RESULTS / "learning_rates" / "1_prune_sweep.csv")
    shapes = pd.read_csv(RESULTS / "learning_rates" / "1_prune_sweep_shapes.csv")
    limits = plateau(sweep).groupby(["learning_rate", "method"])["sparsity"].mean()
    heads = ["learning rate", "dense accuracy", "weights within 1 point", "units within 1 point"]
    heads += ["excess kurtosis of the weights, by layer"]
    lines = []
    for rate, rows in sweep.groupby("learning_rate", sort=False):
        dense = rows[(rows["sparsity"] == 0) & (rows["method"] == "weight")]["accuracy"]
        ends = [f"{limits[rate, method]:.0%}" for method in ("weight", "unit")]
        kurtosis = shapes[shapes["learning_rate"] == rate].groupby("layer")["kurtosis"].mean()
        spread = ", ".join(f"{value:.1f}" for value in kurtosis)
        lines.append([f"{rate:g}", percent(dense), *ends, spread])
    return f"### Two learning rates, MNIST, 50 epochs, no decay\n\n{markdown(heads, lines)}\n"


def read(name, table):
    """Return a table of a dataset, with the further seeds where they were run.

    Without the seconds of those, for they may have been another machine's.
    """
    own, more = (RESULTS / folder / f"{table}.csv" for folder in (name, f"{name}_more_seeds"))
    further = [pd.read_csv(more).drop(columns="seconds", errors="ignore")] if more.exists() else []
    return pd.concat([pd.read_csv(own), *further])


def accuracy_table(name):
    """Return the accuracies of one dataset, pruned, repaired and retrained, as Markdown."""
    weights, units = read(name, "2_weight_prune_recovery"), read(name, "3_unit_prune_recovery")
    if "start" not in weights or "start" not in units:
        return f"### {NAMES[name]}\n\nRecovery is to be measured again: `make studies`.\n\n"
    in_rounds = read(name, "2_weight_prune_recovery_rounds")
    gradual = read(name, "2_weight_prune_recovery_gradual")
    more = pd.read_csv(RESULTS / name / "3_unit_prune_recovery_more.csv")
    counts = int(weights["iterations"].max()), int(units["iterations"].max())
    by_norm, greedy = (units[units["method"] == method] for method in ("unit", "greedy unit"))
    sections = [
        f"### {NAMES[name]}, weights pruned by magnitude, accuracy on the test set",
        columns_by_sparsity(
            {
                "pruned": weights[weights["stage"] == "pruned"],
                "repaired": weights[weights["stage"] == "repaired"],
                f"retrained {counts[0]}": trained(weights, "pruned", counts[0], taught=False),
                f"distilled {counts[0]}": trained(weights, "pruned", counts[0]),
                f"repaired, distilled {counts[0]}": trained(weights, "repaired", counts[0]),
                f"retrained {counts[0]}, mask free": weights[weights["mask"] == "free"],
                "repaired in rounds": in_rounds[in_rounds["way"] == "repaired, magnitude"],
                "gradually, from scratch": gradual,
            }
        ),
        f"### {NAMES[name]}, units removed, accuracy on the test set",
        columns_by_sparsity(
            {
                "by norm": by_norm[by_norm["stage"] == "pruned"],
                f"by norm, retrained {counts[1]}": trained(
                    by_norm, "pruned", counts[1], taught=False
                ),
                "greedy, repaired": greedy[greedy["stage"] == "repaired"],
                f"greedy, repaired, distilled {counts[1]}": trained(greedy, "repaired", counts[1]),
            }
        ),
    ]
    sweep = pd.read_csv(RESULTS / name / "1_prune_sweep.csv")
    limits = plateau(sweep).groupby("method", sort=False)["sparsity"].agg(["mean", "min", "max"])
    limit_texts = [
        f"{method} {row['mean']:.0%} ({row['min']:.0%} to {row['max']:.0%})"
        for method, row in limits.iterrows()
    ]
    free = weights[(weights["mask"] == "free") & (weights["sparsity"] == 0.99)]
    repairs, retrainings = (
        weights[weights["stage"] == "repaired"],
        trained(weights, "pruned", counts[0], False),
    )
    return "\n\n".join(sections) + (
        f"\n\n{weights['seed'].nunique()} seeds, mean ± standard deviation, last iteration; the "
        "masks are held but where it says free. Sparsity 0 is the dense network, and in the other "
        "columns the control, treated alike. Distilled: retrained from the labels and, by half, "
        "from the dense network's outputs. Gradually: an untrained network, pruned while it is "
        "trained and distilled for as long as the dense one was, all layers ranked together, the "
        f"logits layer too (seeds: {', '.join(map(str, gradual['seed'].unique()))}). "
        "Repair takes no label and no gradient step: "
        f"{repairs['seconds'].median():.1f} s, {counts[0]} iterations of retraining take "
        f"{retrainings['seconds'].median():.1f} s (medians over all weight sparsities). With the "
        "mask free, a network pruned to 99 % ends at a sparsity of "
        f"{percent(free['measured_sparsity'])}. {more_training(more)}{spread(name)}"
        "Largest sparsity within 1 point of the dense "
        f"network, pruned once and left so ({sweep['seed'].nunique()} seeds): "
        f"{', '.join(limit_texts)}.\n\n"
    )


def more_training(table):
    """Return what long retraining of the fewest units gives, in two sentences."""
    rows = table[table["sparsity"] == table["sparsity"].max()]
    control = table[(table["sparsity"] == 0) & (table["stage"] == "retrained")]
    trained_on = ", ".join(
        f"{percent(found['accuracy'], 2)} after {count:,.0f}"
        for count, found in control.groupby("iterations")
    )
    ways = [
        f"{percent(found['accuracy'])} {stage} for {count:,.0f} iterations"
        for (stage, count), found in rows[rows["iterations"] > 0].groupby(["stage", "iterations"])
    ]
    return (
        f"Networks that keep {1 - rows['sparsity'].iloc[0]:.0%} of the units, greedily chosen and "
        "repaired, then retrained on the labels for longer, or trained from scratch at that size: "
        f"{', '.join(ways)} ({rows['seed'].nunique()} seeds). The control, nothing removed, one "
        f"seed: {trained_on}. "
    )


def spread(name):
    """Return what as many units give that are spread otherwise over the layers, in a sentence."""
    table = read(name, "3_unit_prune_recovery_spread")
    stages = [percent(found["accuracy"]) for _, found in table.groupby("stage", sort=False)]
    return (
        f"As many units spread over the layers as {table['units'].iloc[0]} (chosen on validation "
        f"images, [table](data/results/choose_spread.csv)): repaired {stages[0]}, distilled "
        f"{stages[1]}. "
    )


def trained(table, start, iterations, taught=True):
    held = (table["mask"] == "held") & (table["start"] == start)
    how = (table["iterations"] == iterations) & ((table["distillation"] > 0) == taught)
    return table[held & how]


def columns_by_sparsity(columns):
    """Return a table of accuracies, a row for each sparsity, as Markdown."""
    lines = []
    for sparsity in SHOWN:
        rows = [table[table["sparsity"] == sparsity]["accuracy"] for table in columns.values()]
        lines.append([f"{sparsity:.0%}", *(percent(row, 2) if len(row) else "" for row in rows)])
    return markdown(["sparsity", *columns], lines)


def markdown(heads, lines):
    """Return a table, from lists of its cells, as Markdown."""
    rows = ["| " + " | ".join(cells) + " |" for cells in (heads, *lines)]
    return "\n".join([rows[0], "|---" * len(heads) + "|", *rows[1:]])


def timing_table(name):
    """Return speed-ups and bytes of the pruned networks of one dataset as Markdown."""
    file = RESULTS / name / "4_shrunk_network_timing"
    times, found, files = (pd.read_csv(f"{file}{end}.csv") for end in ("", "_accuracy", "_bytes"))
    sizes = sorted(times["batch_size"].unique())
    seeds = found["seed"].nunique()
    found = found[found["stage"] == "retrained"].set_index(["method", "sparsity"])["accuracy"]
    macs = times[times["stage"].isin(["dense", "shrunk"])].groupby("sparsity")["macs"].first()
    units, weights = [], []
    for sparsity in SHOWN[1:]:
        shrunk, sparse = (
            times[(times["stage"] == stage) & (times["sparsity"] == sparsity)]
            for stage in ("shrunk", "sparse")
        )
        faster = [shrunk[shrunk["batch_size"] == size] for size in sizes]
        units.append(
            [
                f"{sparsity:.0%}",
                percent(found.loc[[("unit", sparsity)]]),
                f"{macs[0.0] / macs[sparsity]:.1f}x",
                *(f"{best(r, 'speed_up')}, {best(r, 'speed_up_fastest')}" for r in faster),
            ]
        )
        stored = files[(files["method"] == "weight") & (files["sparsity"] == sparsity)].iloc[0]
        weights.append(
            [
                f"{sparsity:.0%}",
                percent(found.loc[[("weight", sparsity)]]),
                *(best(sparse[sparse["batch_size"] == size], "speed_up_fastest") for size in sizes),
                *(f"{stored[form] / 1e3:,.0f} kB" for form in (".keras", ".npz")),
                f"{stored['.npz, 16 values'] / 1e3:,.0f} kB, {stored['accuracy_16_values']:.2%}",
            ]
        )
    batches = [f"batch {size:,}" for size in sizes]
    unit_heads = ["units removed", "accuracy", "fewer MACs", *batches]
    weight_heads = ["weights pruned", "accuracy", *batches, ".keras", ".npz", "16 values"]
    masked = times[times["stage"] == "masked"]["speed_up"]
    published = "the published 5 to 7 times were for 10,000 images in one batch; " * (
        name == "mnist"
    )
    return (
        f"### {NAMES[name]}, how much faster and smaller\n\n{markdown(unit_heads, units)}\n\n"
        "Units chosen greedily, repaired, retrained and shrunk. First number: over the dense "
        "network in the same runtime, the best of compiled graph, NumPy, LiteRT and ONNX Runtime; "
        "second: over the dense network in whatever is fastest for it. ~: the ratio scatters, its "
        "quartiles further apart than a quarter of it; "
        f"{published}all timed in turn, medians. Masked networks that are "
        f"not shrunk: {masked.median():.2f}x.\n\n{markdown(weight_heads, weights)}\n\n"
        "Weights pruned by magnitude, repaired and retrained; speed-ups of multiplying only the "
        "nonzero ones over the dense network in whatever is fastest for it. The dense .keras file "
        f"has {files.loc[0, '.keras'] / 1e3:,.0f} kB; .npz is what `pl.export` writes, and with "
        "`pl.share_weights` each layer has 16 values, here without training on (with it: "
        "[benchmarks](benchmarks/README.md#storage)). Accuracies: mean ± standard deviation over "
        f"{seeds} seed{'s' * (seeds > 1)}; times and files of the first one.\n\n"
    )


def best(rows, column):
    """Return the largest ratio of some rows and its runtime; "~" where it scatters."""
    row = rows.loc[rows[column].astype(float).idxmax()]
    return f"{'' if row['steady_ratios'] else '~'}{row[column]:.3g}x {row['runtime']}"


def running_times():
    """Return how long each notebook took, as Markdown."""
    lines = ["### Running times", ""]
    lines += [
        "On 2 cores, notebooks 1 to 3 beside other work, the dense networks from the store:",
        "",
    ]
    for name in NAMES:
        runs = sorted((RESULTS / name).glob("[1-9]*.json"))
        times = [f"{run.stem} {json.loads(run.read_text())['seconds']} s" for run in runs]
        lines.append(f"* {NAMES[name]}: {', '.join(times)}.")
    return "\n".join(lines) + "\n"


def updated(text):
    """Return the README's text with the sections of numbers written anew."""
    sections = {"headline": headline, "claims": claims, "story": story, "results": results}
    for name, section in sections.items():
        begin, end = (
            f"<!-- {name}: written by evidence/pages.py -->\n",
            f"<!-- end of {name} -->\n",
        )
        before, rest = text.split(begin)
        text = before + begin + section() + rest[rest.index(end) :]
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    text = updated(readme.read_text())
    with written_whole(readme) as path:
        path.write_text(text)
