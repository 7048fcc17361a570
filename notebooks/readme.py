"""Write the results section of the README from data/results.

python notebooks/readme.py
"""

import json

import numpy as np
import pandas as pd

from pruninglib import percent, plateau
from pruninglib.paths import PUBLISHED, RESULTS, ROOT, written_whole

BEGIN, END = "<!-- results: written by notebooks/readme.py -->\n", "<!-- end of results -->\n"
NAMES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
SHOWN = (0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99)


def results():
    """Return the results section as Markdown."""
    sections = [accuracy_table(name) + timing_table(name) for name in NAMES]
    if (RESULTS / "frontier").exists():
        sections.append(frontier())
    if (RESULTS / "neuron_merging").exists():
        sections.append(neuron_merging())
    return "\n".join([*sections, learning_rates(), running_times()])


def frontier():
    """Return errors of gradually pruned networks beside the best published ones, as Markdown."""
    table = pd.read_csv(RESULTS / "frontier" / "2_weight_prune_recovery_gradual.csv")
    theirs = pd.read_csv(PUBLISHED / "frontier.csv")
    theirs = theirs[(theirs["network"] == "784-300-100-10") & (theirs["kind"] == "weight")]
    lines = ["### MNIST, 784-300-100-10 pruned gradually", ""]
    lines += [
        "| weights left | of 266,200 | error on the test set | published |",
        "|---|---|---|---|",
    ]
    for sparsity, rows in table.groupby("sparsity"):
        kept = 1 - sparsity
        published = [
            f"{row['test_error']:.2%} ({row['method']}, {row['source']})"
            for _, row in theirs[np.isclose(theirs["kept_share"], kept, rtol=0.02)].iterrows()
        ]
        error = 100 * (1 - rows["accuracy"])
        cells = [f"{rows['weights'].iloc[0]:,}", f"{kept:.2%}"]
        cells += [f"{error.mean():.2f} ± {error.std():.2f} %", "; ".join(published)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        f"{table['seed'].nunique()} seeds, mean ± standard deviation, last iteration. Without "
        "biases, all layers pruned, the logits layer too. What was tried, on validation images: "
        "[table](data/results/choose_gradual.csv), [script](benchmarks/choose_gradual.py).",
        "",
    ]
    return "\n".join(lines)


def neuron_merging():
    """Return units removed without retraining, beside what is published for it, as Markdown."""
    table = pd.read_csv(RESULTS / "neuron_merging" / "3_unit_prune_recovery_criteria.csv")
    theirs = pd.read_csv(PUBLISHED / "frontier.csv")
    theirs = theirs[theirs["method"] == "neuron merging"]
    published = dict(zip(theirs["kept_share"].round(2), 1 - theirs["test_error"], strict=True))
    ways = {
        "by norm": ("norm", "pruned"),
        "by norm, merged": ("norm", "merged"),
        "by norm, repaired": ("norm", "repaired"),
        "greedy, repaired": ("greedy", "repaired"),
    }
    lines = ["### Fashion-MNIST, 784-300-100-10, units removed, no retraining", ""]
    lines += ["| sparsity | " + " | ".join(ways) + " | neuron merging, published |"]
    lines += ["|---" * (len(ways) + 2) + "|"]
    for sparsity, rows in table.groupby("sparsity"):
        of_way = rows.set_index(["method", "stage"])["accuracy"].sort_index()
        cells = [percent(of_way[way]) for way in ways.values()]
        cells.append(f"{100 * published[round(1 - sparsity, 2)]:.2f} %")
        lines.append(f"| {sparsity:.0%} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"{table['seed'].nunique()} seeds, mean ± standard deviation; published: one network of "
        "Kim et al. 2020, trained by others. Merging is data-free, repair sees 10,000 training "
        "images without their labels.",
        "",
    ]
    return "\n".join(lines)


def learning_rates():
    """Return what the two learning rates of the published study give, as Markdown."""
    sweep = pd.read_csv(RESULTS / "learning_rates" / "1_prune_sweep.csv")
    shapes = pd.read_csv(RESULTS / "learning_rates" / "1_prune_sweep_shapes.csv")
    limits = plateau(sweep).groupby(["learning_rate", "method"])["sparsity"].mean()
    lines = ["### Two learning rates, MNIST, 50 epochs, no decay", ""]
    lines += ["| learning rate | dense accuracy | weights within 1 point | units within 1 point |"]
    lines[-1] += " excess kurtosis of the weights, by layer |"
    lines += ["|---" * 5 + "|"]
    for rate, rows in sweep.groupby("learning_rate", sort=False):
        dense = rows[(rows["sparsity"] == 0) & (rows["method"] == "weight")]["accuracy"]
        ends = " | ".join(f"{limits[rate, method]:.0%}" for method in ("weight", "unit"))
        kurtosis = shapes[shapes["learning_rate"] == rate].groupby("layer")["kurtosis"].mean()
        spread = ", ".join(f"{value:.1f}" for value in kurtosis)
        lines.append(f"| {rate:g} | {percent(dense)} | {ends} | {spread} |")
    return "\n".join(lines) + "\n"


def read(name, table):
    """Return a table of a dataset, with the further seeds where they were run."""
    files = (RESULTS / folder / f"{table}.csv" for folder in (name, f"{name}_more_seeds"))
    return pd.concat([pd.read_csv(file) for file in files if file.exists()])


def accuracy_table(name):
    """Return the accuracies of one dataset, pruned, repaired and retrained, as Markdown."""
    weights, units = read(name, "2_weight_prune_recovery"), read(name, "3_unit_prune_recovery")
    if "start" not in weights or "start" not in units:
        return f"### {NAMES[name]}\n\nRecovery is to be measured again: `make results`.\n\n"
    counts = int(weights["iterations"].max()), int(units["iterations"].max())
    by_norm, greedy = (units[units["method"] == method] for method in ("unit", "greedy unit"))
    sections = [
        f"### {NAMES[name]}, weights pruned by magnitude, accuracy on the test set",
        columns_by_sparsity(
            {
                "pruned": weights[weights["stage"] == "pruned"],
                "repaired": weights[weights["stage"] == "repaired"],
                f"retrained {counts[0]}": trained(weights, "pruned", counts[0]),
                f"repaired, distilled {counts[0]}": trained(weights, "repaired", counts[0]),
                f"retrained {counts[0]}, mask free": weights[weights["mask"] == "free"],
            }
        ),
        f"### {NAMES[name]}, units removed, accuracy on the test set",
        columns_by_sparsity(
            {
                "by norm": by_norm[by_norm["stage"] == "pruned"],
                f"by norm, retrained {counts[1]}": trained(by_norm, "pruned", counts[1]),
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
    seconds = weights.groupby("stage")["seconds"].median()
    return "\n\n".join(sections) + (
        f"\n\n{weights['seed'].nunique()} seeds, mean ± standard deviation, last iteration; the "
        "masks are held but where it says free. Sparsity 0 is the dense network, and in the other "
        "columns the control, treated alike. Distilled: retrained from the labels and, by half, "
        "from the dense network's outputs. Repair takes no label and no gradient step: "
        f"{seconds['repaired']:.1f} s, {counts[0]} iterations of retraining take "
        f"{seconds['retrained']:.1f} s (medians over all weight sparsities). With the mask free, a "
        "network pruned to 99 % ends at a sparsity of "
        f"{percent(free['measured_sparsity'])}. Largest sparsity within 1 point of the dense "
        f"network, pruned once and left so ({sweep['seed'].nunique()} seeds): "
        f"{', '.join(limit_texts)}.\n\n"
    )


def trained(table, start, iterations):
    held = (table["mask"] == "held") & (table["start"] == start)
    return table[held & (table["iterations"] == iterations)]


def columns_by_sparsity(columns):
    """Return a table of accuracies, a row for each sparsity, as Markdown."""
    lines = ["| sparsity | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for sparsity in SHOWN:
        rows = [table[table["sparsity"] == sparsity]["accuracy"] for table in columns.values()]
        cells = [percent(row) if len(row) else "" for row in rows]
        lines.append(f"| {sparsity:.0%} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def timing_table(name):
    """Return the speed-ups of the shrunk networks of one dataset as Markdown."""
    table = pd.read_csv(RESULTS / name / "4_shrunk_network_timing.csv")
    sizes = [int(c.removeprefix("speed_up_")) for c in table if c.startswith("speed_up_")]
    lines = [f"### {NAMES[name]}, units removed, retrained and shrunk", ""]
    heads = ["units removed", "accuracy", "parameters", "fewer MACs", "file", "file, gzip"]
    heads += [f"faster, batch {size:,}" for size in sizes]
    heads += ["published, batch 10,000"]
    theirs = pd.read_csv(PUBLISHED / "timings.csv")
    theirs = theirs[theirs["quantity"].str.startswith("speed-up")]
    theirs = theirs[theirs["method"].str.contains("retrained")].set_index("sparsity")["value"]
    lines += ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for sparsity in SHOWN:
        rows = table[(table["stage"] == "retrained") & (table["sparsity"] == sparsity)]
        values = [
            f"{sparsity:.0%}",
            percent(rows["accuracy"]),
            f"{rows['parameters'].mean():,.0f}",
            f"{rows['macs_ratio'].mean():.1f}x",
            f"{rows['file_bytes'].mean() / 1e3:,.0f} kB",
            f"{rows['gzip_bytes'].mean() / 1e3:,.0f} kB",
            *(speed(rows[f"speed_up_{size}"]) for size in sizes),
            f"{theirs[sparsity]:.1f}x",
        ]
        lines.append("| " + " | ".join(values) + " |")
    masked = table[table["stage"] == "masked"]
    still = ", ".join(f"{masked[f'speed_up_{s}'].median():.2f}x at batch {s:,}" for s in sizes)
    lines += [
        "",
        "Speed-up over the dense network, both as compiled graphs, interleaved; mean ± standard "
        "deviation over the seeds of the ratio of medians. Published: codeitankit, MNIST, ten "
        "thousand images in one batch, retrained 1000 iterations. The masked network that is not "
        f"shrunk: {still} (median over the sparsities). Largest relative difference between the "
        f"outputs of masked and shrunk networks: {table['difference'].max():.0e}.",
        "",
    ]
    return "\n".join(lines) + "\n"


def speed(ratios):
    spread = f" ± {ratios.std():.1f}" if len(ratios) > 1 else ""
    return f"{ratios.mean():.1f}x{spread}"


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


if __name__ == "__main__":
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    with written_whole(readme) as path:
        path.write_text(before + BEGIN + results() + rest[rest.index(END) :])
