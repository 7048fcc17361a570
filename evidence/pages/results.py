"""The tables of docs/results.md, in the order of the page, and that of docs/guide.md."""

import json
from functools import partial

import pandas as pd

from evidence.claims import tables as claim_tables
from evidence.pages import text
from evidence.pages.notebooks import FOUR, STUDIES
from evidence.pages.text import NAMES, labelled, markdown, pivot, read, section, seeds, table
from pruninglib import percent, plateau, treatments
from pruninglib.experiments.paths import PUBLISHED
from pruninglib.experiments.tables import NOUNS

MNIST = {"mnist": "MNIST"}
FIVE = {f"{folder}_5_seeds": label for folder, label in NAMES.items()}
SHOWN = ["0%", "50%", "80%", "90%", "95%", "99%"]  # of more that were measured
ONCE = "at once, repaired"
EACH = ["dataset", "removed"]
precisely = partial(percent, digits=2)


# ---- notebooks


def recovered(name):
    """Return a notebook's rows and what to say of them: as it is committed if no seeds follow."""
    try:
        rows, also = read(f"{name}_accuracy", FIVE), ""
    except FileNotFoundError:
        rows, also = read(f"{name}_accuracy", MNIST), ", 5 epochs: the notebook as it is committed"
    return rows.replace({"method": NOUNS}), also


def within(rows):
    """Return up to which sparsity the accuracy is within one point, in place of accuracies."""
    kept = plateau(rows)
    return kept.assign(accuracy=kept["sparsity"], removed="within 1 point up to")


def sweep():
    """Return what pruning alone does."""
    rows, also = recovered("1_prune_sweep")
    rows = pd.concat([rows[rows["removed"].isin(SHOWN)], within(rows)])
    return table(rows, ["removed"], ["dataset", "method"], also=also)


def weights():
    """Return what comes back of networks whose weights were pruned."""
    rows, also = recovered("2_weight_prune_recovery")
    free = rows[rows["treatment"] == "retrained, mask free"]
    free = free.assign(accuracy=free["measured_sparsity"], treatment="zeros left, mask free")
    return table(pd.concat([rows, free]), EACH, ["treatment"], precisely, also)


def units():
    """Return what comes back of networks whose units were removed."""
    rows, also = recovered("3_unit_prune_recovery")
    rows = rows[rows["method"] != NOUNS["weight"]]
    return table(rows, EACH, ["method", "treatment"], precisely, also)


def fastest(times, ratio):
    """Return the rows of the largest ratios, each in a cell with its runtime; ~: it scatters."""
    rows = times.dropna(subset=ratio)
    rows = rows.loc[rows.groupby(["stage", "sparsity", "batch_size"])[ratio].idxmax()]
    cells = rows["steady_ratios"].map({True: "", False: "~"}) + rows[ratio].map("{:.3g}x ".format)
    batches = rows["batch_size"].map("batch {:,}".format)
    return rows.assign(cell=cells + rows["runtime"], batch=batches)


def speeds(times, accuracies):
    """Return how fast networks are, whose accuracies have the columns stage and removed."""
    keys = ["stage", "removed"]
    found = accuracies.groupby(keys)["accuracy"].agg(percent).reset_index()
    same = fastest(times[times["stage"] == "shrunk"], "speed_up").assign(over="same runtime")
    best = fastest(times, "speed_up_fastest").assign(over="fastest runtime")
    rows = pd.concat([same, best]).merge(found, on=keys)
    fewer = (times["macs"].max() / rows["macs"]).map("{:.1f}x".format)
    rows["fewer MACs"] = fewer.where(rows["stage"] == "shrunk", "")
    cells = pivot(rows, [*keys, "accuracy", "fewer MACs", "over"], ["batch"], "cell", "first")
    return f"{markdown(cells)}\nAccuracy: {seeds(accuracies, keys)}.\n"


def timing():
    """Return how fast the networks of notebook 4 are."""
    times, sizes = (read(f"4_shrunk_network_timing_{name}", MNIST) for name in ("times", "sizes"))
    return speeds(times, sizes.assign(seed=0))


# ---- studies


def claimed(name):
    """Return a table of data/results/claims."""
    return labelled(claim_tables.read()[name])


def training():
    """Return how prunable networks are after little and long training."""
    index = ["dataset", "epochs", "learning_rate"]
    shapes = claimed("shapes")
    swept = claimed("sweep").sort_values(index, ascending=[False, True, True])
    dense = swept.query("sparsity == 0 and method == 'weight'").assign(what="dense accuracy")
    kept = within(swept[swept["method"].isin(["weight", "unit"])])
    kept["what"] = kept["method"] + "s within 1 point"
    shapes["what"] = "kurtosis of " + shapes["layer"]
    tops = pivot(shapes, index, ["what"], "kurtosis", lambda values: f"{values.mean():.1f}")
    cells = pivot(pd.concat([dense, kept]), index, ["what"]).join(tops)
    return f"{markdown(cells)}\n{seeds(swept, index).capitalize()}.\n"


def mistakes():
    """Return what a ReLU behind the logits does."""
    right = claimed("sweep").query("epochs == 5 and method == 'unit'").assign(how="right")
    wrong = claimed("mistakes").query("epochs == 5 and mistake == 'ReLU on the logits'")
    right = right[right["removed"].isin(wrong["removed"])]
    rows = labelled(pd.concat([right, wrong.assign(how="ReLU")]))
    return table(rows, ["removed"], ["dataset", "how"])


def criteria():
    """Return how much each criterion keeps, before and after repair."""
    rows, shown = [], "removed == @level and stage != 'merged'"
    for what, level in (("weights", "95%"), ("units", "90%")):
        of_what = read(f"criteria_{what}").query(shown)
        rows.append(of_what.assign(removed=f"{level} of the {what}"))
    return table(pd.concat(rows), ["removed", "method"], ["dataset", "stage"])


def merging():
    """Return units removed without retraining, beside what is published for it."""
    rows = read("criteria_units", {"neuron_merging": "Fashion-MNIST"})
    rows = rows.query("method == 'norm' or method == 'greedy' and stage != 'merged'")
    rows = rows.sort_values("method", ascending=False, kind="stable")
    theirs = pd.read_csv(PUBLISHED / "frontier.csv").query("method == 'neuron merging'")
    theirs = theirs.assign(sparsity=1 - theirs["kept_share"], accuracy=1 - theirs["test_error"])
    rows = pd.concat([rows, labelled(theirs.assign(stage="published"))])
    return table(rows, ["removed"], ["method", "stage"], precisely)


def rounds():
    """Return what choosing in rounds gives, beside all at once."""
    rows = read("rounds_accuracy")
    if ONCE not in set(rows["way"]):  # measured before this was part of the study
        once = read("criteria_weights").query("method == 'magnitude' and stage == 'repaired'")
        rows = labelled(pd.concat([rows, once.assign(way=ONCE)]))
    return table(rows, EACH, ["way"], precisely)


def controlled():
    """Return the rows of controls; units from scratch, chosen by no method, stand with each."""
    rows = pd.concat([read("controls_weights"), read("controls_units")])
    scratch = rows["method"] == "from scratch"
    again = [rows[scratch].assign(method=method) for method in ("unit", "greedy unit")]
    return pd.concat([rows[~scratch], *again]).replace({"method": NOUNS})


def controls():
    """Return each treatment alone, beside others."""
    return table(controlled(), ["dataset", "method", "removed"], ["treatment"])


def retraining():
    """Return how far retraining as published brings networks back."""
    parts = [claimed(name) for name in ("weights", "units")]
    rows = pd.concat(part.assign(treatment=treatments(part)) for part in parts)
    return table(rows[rows["removed"].isin(SHOWN)], EACH, ["method", "treatment"])


def schedules():
    """Return which schedule, rate and teacher were tried on validation images, at one sparsity."""
    rows = labelled(pd.read_csv(text.RESULTS / "choose_retraining.csv")).query("removed == '97%'")
    rows["schedule"] = rows["schedule"].where(rows["distillation"] == 0, "distilled")
    index = ["dataset", "method", "start"]
    rows = rows.sort_values(index, ascending=[False, False, True])
    best = rows.loc[rows.groupby([*index, "schedule"], sort=False)["accuracy"].idxmax()]
    rates = best["learning_rate"].map(" ({:g})".format)
    best["cell"] = best["accuracy"].map("{:.1%}".format) + rates
    return markdown(pivot(best, index, ["schedule"], "cell", "first"))


def frontier():
    """Return errors of gradually pruned networks beside the best published ones."""
    ways = {"frontier": "error, unchanged images", "frontier_shifted": "error, shifted images too"}
    rows = read("frontier_errors", ways)
    rows = rows.sort_values("weights", ascending=False)
    theirs = pd.read_csv(PUBLISHED / "frontier.csv").query(
        "network == '784-300-100-10' and kind == 'weight'"
    )
    said = "{test_error:.2%} ({method}, {source}: {reported})".format
    published = {row["weights"]: said(**row) for _, row in theirs.iterrows()}
    share = (1 - rows["sparsity"]).map("{:.2%}".format)
    rows = rows.assign(error=1 - rows["accuracy"], share=share)
    cells = pivot(rows, ["weights", "share"], ["dataset"], "error", precisely)[list(ways.values())]
    cells["published"] = [published.get(count, "") for count in rows["weights"].unique()]
    return f"{markdown(cells)}\n{seeds(rows, ['dataset', 'weights']).capitalize()}.\n"


def large():
    """Return how accurate the large network is, pruned gradually."""
    return table(read("frontier_errors"), ["dataset"], ["removed"], precisely)


def few_units():
    """Return how far networks with a few units get."""
    rows, spread = read("few_units_accuracy"), read("few_units_spread")
    count = rows["iterations"].map(", {:,.0f} iterations".format).where(rows["iterations"] > 0, "")
    spread = spread.assign(sparsity=0.99, network=spread["units"] + ", " + spread["stage"])
    rows = labelled(pd.concat([rows.assign(network=rows["stage"] + count), spread]))
    return table(rows, ["dataset", "network"], ["removed"])


def dead():
    """Return the share of each layer's units that no image activates."""
    rows = read("few_units_dead")
    return table(rows.assign(accuracy=rows["dead"] / rows["units"]), ["dataset"], ["layer"])


def runtimes():
    """Return how fast shrunk and sparse networks are in each runtime's best."""
    times, found = (read(f"runtimes_{name}", MNIST) for name in ("times", "accuracy"))
    times, found = (rows[rows["removed"].isin(SHOWN[1:])] for rows in (times, found))
    found = found[found["stage"] == "retrained"]
    stages = found["method"].map({"unit": "shrunk", "weight": "sparse"})
    return speeds(times, found.assign(stage=stages))


def storage():
    """Return how many bytes pruned networks take in files."""
    rows = read("storage_bytes", MNIST)
    rows = rows[rows["removed"].isin(SHOWN)].query("sparsity > 0 or method == 'weight'")
    rows = rows.sort_values("method", ascending=False, kind="stable")
    rows.index = pd.Index(rows["method"] + " | " + rows["removed"], name="pruned | removed")
    forms = [".keras", ".tflite", ".npz", ".npz, float16", ".npz, 16 values"]
    cells = (rows[forms] / 1e3).map("{:,.0f} kB".format)
    cells["its accuracy"] = rows["accuracy_16_values"].map("{:.2%}".format)
    return markdown(cells)


def running_times():
    """Return how long the runs took whose records stand beside the tables."""
    lines = ["On 2 cores, by folder of data/results:", ""]
    for path in sorted(text.RESULTS.glob("*/*.json")):
        seconds = json.loads(path.read_text())["seconds"]
        lines.append(f"* {path.parent.name}: {path.stem} {seconds / 60:.0f} minutes.")
    return "\n".join(lines)


def story():
    """Return accuracies of the shrunk residual networks, and what those of the last seed cost."""
    rows = read("residual_network", {"fashion_mnist": "Fashion-MNIST"})
    last = rows[rows["stage"].isin(["dense", "trained on"]) & (rows["seed"] == rows["seed"].max())]
    last = last.set_index("removed")
    costs = {
        "parameters": last["parameters"].map("{:,.0f}".format),
        "MACs": (last["macs"] / 1e6).map("{:.2f} million".format),
        ".keras": (last["file_bytes"] / 1e3).map("{:.0f} kB".format),
        "LiteRT": (last["litert_bytes"] / 1e3).map("{:.0f} kB".format),
    }
    for size in (1, 64, 1024):
        ms, q1, q3 = (last[f"ms_{size}{end}"].map("{:.2f}".format) for end in ("", "_q1", "_q3"))
        costs[f"ms, batch {size:,}"] = ms + " (" + q1 + " to " + q3 + ")"
    cells = pivot(rows, ["removed"], ["stage"]).join(pd.DataFrame(costs))
    return f"{markdown(cells)}\nTest set, {seeds(rows, ['removed', 'stage'])}.\n"


ASKING = (sweep, weights, units, timing, training, mistakes, criteria, rounds, controls)
ASKING += (retraining, frontier, few_units, runtimes, storage)  # as the notebooks are listed
SECTIONS = {
    measured.__name__: section(name, measured)
    for name, measured in zip((*FOUR, *STUDIES), ASKING, strict=True)
}
SECTIONS |= {more.__name__: more for more in (merging, schedules, large, dead)}
SECTIONS["running_times"] = running_times
GUIDE = {"story": story}
