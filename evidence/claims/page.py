"""docs/claims.md: every published claim, what we measured, and whether it holds."""

from collections import Counter
from math import inf, isnan
from re import fullmatch

import pandas as pd

from evidence.claims.measures import MEASURED, accuracy, pruned, recovered, rows
from evidence.claims.rules import DATASETS, verdict
from evidence.claims.tables import FOLDER
from evidence.claims.verdicts import (
    FAILS,
    HOLDS,
    IN_PART,
    MISSING,
    UNKNOWN,
    Measured,
    of_part,
    over_seeds,
)
from pruninglib.experiments.paths import PUBLISHED, ROOT

SOURCES = (
    "Sources are student projects on GitHub; of seed 001 there is no repository. Other dataset: "
    "the same rule on the one of MNIST and Fashion-MNIST that the source did not measure; blank "
    "where it measured both, and for times and bytes.\n"
)
HEAD, FIGURES = (ROOT / "evidence" / "claims" / "head.md").read_text().split("<!-- figures -->\n")
IN_PERCENT = ("sweep", "weights", "units")
AT_MOST = 2  # parts that a sentence names
PLURAL = {HOLDS: "hold", IN_PART: "hold in part", FAILS: "do not hold"}


def page(tables, found):
    """Return docs/claims.md as text, from the tables and what `judge` found."""
    claims = pd.read_csv(PUBLISHED / "claims.csv").set_index("id")
    seeds = tables["runs"]["asked"].str.extract(r'"seeds": \[([\d, ]+)\]')[0].str.count(",").max()
    parts = [HEAD.format(count=len(claims), seeds=int(seeds) + 1), summary(found, claims)]
    parts += [FIGURES, mistakes(tables)]
    parts += ["## Claim by claim\n", *(_section(claims.loc[c], c, found[c]) for c in found)]
    return "\n".join([*parts, _runs(tables["runs"])])


def summary(found, claims):
    """Return the counts of verdicts and a table with a line for each claim."""
    lines = [counted(found), ""]
    lines += ["| | claim | source | published | verdict | other dataset |", "|---" * 6 + "|"]
    for claim, judged in found.items():
        row = claims.loc[claim]
        cells = [f"[{claim}](claims.md#{claim.lower()})", row["claim"], linked(row["source"])]
        lines.append(
            _line([*cells, row["published"], f"**{verdict(judged)}**", verdict(judged, own=False)])
        )
    return "\n".join([*lines, "", SOURCES])


def counted(found):
    """Return how many claims hold, in part, not, or cannot be said."""
    counts = Counter(verdict(judged) for judged in found.values())
    return f"Of {len(found)} claims: {told(counts)}."


def linked(source):
    """Return the name of a GitHub repository as a link to it, and any other source as it is."""
    return (
        f"[{source}](https://github.com/{source})"
        if fullmatch(r"[\w-]+/[\w-]+", source)
        else source
    )


def _section(row, claim, found):
    lines = [
        f"### {claim}",
        "",
        f"{linked(row['source'])}: *{row['claim']}* (published: {row['published']})",
    ]
    lines += ["", f"**{verdict(found).capitalize()}.** {why(found)}"]
    lines += ["", "| what | holds if | " + " | ".join(DATASETS.values()) + " | table |"]
    lines += ["|---" * 5 + "|"]
    for part in dict.fromkeys(judged.part.what for judged in found):
        of_part = {judged.dataset: judged for judged in found if judged.part.what == part}
        first = next(iter(of_part.values())).part
        cells = [cell(of_part.get(dataset)) for dataset in DATASETS]
        lines.append(_line([first.what, limits(first), *cells, _files(first.table)]))
    return "\n".join(lines) + "\n"


def _files(names):
    """Return the tables of a part as links to their files, as far as they are there."""
    paths = [FOLDER / f"{name}.csv" for name in names.split(", ")]
    links = [f"[{path.stem}](../{path.relative_to(ROOT).as_posix()})" for path in paths]
    found = zip(paths, links, strict=True)
    return ", ".join(link if path.exists() else path.stem for path, link in found)


def _line(cells):
    return "| " + " | ".join(cells) + " |"


def _runs(runs):
    lines = ["## The runs", ""]
    lines += ["| run | dataset | epochs | minutes | threads | date | device | code |"]
    lines += ["|---" * 8 + "|"]
    for _, row in runs.iterrows():
        threads = "all" if isnan(row["threads"]) else f"{row['threads']:.0f}"
        cells = [row["run"], row["dataset"], str(row["epochs"]), f"{row['seconds'] / 60:.0f}"]
        lines.append(_line([*cells, threads, row["date"][:10], row["device"], row["code"]]))
    said = (
        f"Runs of one thread two at a time, the others alone: {hours(runs):.1f} hours on 2 cores."
    )
    lines += ["", said]
    if len(set(runs["code"])) > 1:
        lines += ["The library was edited between the runs: `code` is a hash of its source."]
    return "\n".join(lines) + "\n"


def hours(runs):
    """Return how long the runs take together on 2 cores."""
    at_once = runs["threads"].map(lambda count: 1 if isnan(count) else 2 / count)
    return (runs["seconds"] / at_once).sum() / 3600


def why(found):
    """Return the reason of a verdict: what held, what did not, what cannot be said."""
    own = [judged for judged in found if judged.own]
    sentences = []
    if len(own) > 1:
        counts = Counter(judged.verdict for judged in own)
        sentences.append(f"Of {len(own)} parts: {told(counts)}.")
    for mark, begin in ((HOLDS, "Holds"), (FAILS, "Does not"), (UNKNOWN, "Cannot be said")):
        parts = [judged for judged in own if judged.verdict == mark]
        named = [f"{j.part.what}{_where(j, found)}: {_value(j)}" for j in parts[:AT_MOST]]
        if len(parts) > AT_MOST:
            named.append(f"and {len(parts) - AT_MOST} more")
        if parts:
            sentences.append(f"{begin}: {'; '.join(named)}.")
    return " ".join(sentences)


def told(counts):
    """Return how often each verdict occurs, from the best to the worst, as text."""
    verdicts = [v for v in (HOLDS, IN_PART, FAILS, UNKNOWN, MISSING) if counts[v]]
    return ", ".join(f"{counts[v]} {v if counts[v] == 1 else PLURAL.get(v, v)}" for v in verdicts)


def _where(judged, found):
    """Return the dataset as text, if the source speaks of more than one."""
    own = {other.dataset for other in found if other.own}
    return f" ({DATASETS[judged.dataset]})" if len(own) > 1 else ""


def cell(judged):
    """Return what was measured and the verdict on it; nothing of what was not."""
    return f"{_value(judged)} {judged.verdict}" if judged else ""


def _value(judged):
    """Return a measured value with its interval as text."""
    if judged.measured is None:
        return ""
    part, digits = judged.part, _digits(judged)
    value, low, high = (_number(x, part.table, digits) for x in judged.measured)
    return f"{value} [{low}, {high}]{_unit(part)}"


def _digits(judged):
    """Return how many decimals of percent a reader needs to come to the same verdict."""
    for digits in (1, 2, 3):
        rounded = Measured(*(round(x, 2 + digits) for x in judged.measured))
        if of_part(rounded, *judged.part.limits) == judged.verdict:
            return digits
    return digits


def limits(part):
    """Return when a part of a claim holds."""
    low, high = (_number(x, part.table) for x in part.limits)
    if part.limits[1] == inf:
        return "above 0" if 0 < part.limits[0] < 1e-6 else f"at least {low}{_unit(part)}"
    if part.limits[0] == -inf:
        return "below 0" if -1e-6 < part.limits[1] < 0 else f"at most {high}{_unit(part)}"
    return f"{low} to {high}{_unit(part)}"


def _unit(part):
    if part.table not in IN_PERCENT:
        return ""
    return " points" if "minus" in part.what else " %"


def _number(x, table, digits=1):
    if table not in IN_PERCENT:
        return f"{x:.3g}"
    return f"{round(100 * x, digits) + 0:.{digits}f}"  # no -0.0


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
