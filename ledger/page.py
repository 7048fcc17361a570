"""CLAIMS.md: every published claim, what we measured, and whether it holds."""

from collections import Counter
from math import inf, isnan
from re import fullmatch

import pandas as pd

from ledger.judging import DATASETS, verdict
from ledger.mistakes import mistakes
from ledger.tables import FOLDER
from ledger.verdicts import FAILS, HOLDS, IN_PART, MISSING, UNKNOWN
from pruninglib.paths import PUBLISHED, ROOT

IN_PERCENT = ("sweep", "weights", "units")
AT_MOST = 2  # parts that a sentence names
PLURAL = {HOLDS: "hold", IN_PART: "hold in part", FAILS: "do not hold"}

SOURCES = (
    "Sources are student projects on GitHub; of seed 001 there is no repository. Other dataset: "
    "the same rule on the one of MNIST and Fashion-MNIST that the source did not measure; blank "
    "where it measured both, and for times and bytes.\n"
)
HEAD, FIGURES = (ROOT / "ledger" / "head.md").read_text().split("<!-- figures -->\n")


def page(tables, found):
    """Return CLAIMS.md as text, from the tables and what `judge` found."""
    claims = pd.read_csv(PUBLISHED / "claims.csv").set_index("id")
    seeds = tables["runs"]["asked"].str.extract(r'"seeds": \[([\d, ]+)\]')[0].str.count(",").max()
    parts = [HEAD.format(count=len(claims), seeds=int(seeds) + 1), summary(found, claims)]
    parts += [FIGURES, mistakes(tables)]
    parts += ["## Claim by claim\n", *(_section(claims.loc[c], c, found[c]) for c in found)]
    return "\n".join([*parts, _runs(tables["runs"])])


def summary(found, claims):
    """Return the counts of verdicts and a table with a line for each claim."""
    counts = Counter(verdict(judged) for judged in found.values())
    said = ", ".join(
        f"{counts[v]} {v if counts[v] == 1 else PLURAL.get(v, v)}" for v in counts_in_order(counts)
    )
    lines = [f"Of {len(found)} claims: {said}.", ""]
    lines += ["| | claim | source | published | verdict | other dataset |", "|---" * 6 + "|"]
    for claim, judged in found.items():
        row = claims.loc[claim]
        cells = [f"[{claim}](CLAIMS.md#{claim.lower()})", row["claim"], linked(row["source"])]
        lines.append(
            _line([*cells, row["published"], f"**{verdict(judged)}**", verdict(judged, own=False)])
        )
    return "\n".join([*lines, "", SOURCES])


def linked(source):
    """Return the name of a GitHub repository as a link to it, and any other source as it is."""
    return (
        f"[{source}](https://github.com/{source})"
        if fullmatch(r"[\w-]+/[\w-]+", source)
        else source
    )


def counts_in_order(counts):
    """Return the verdicts that occur, from the best to the worst."""
    return [v for v in (HOLDS, IN_PART, FAILS, UNKNOWN, MISSING) if counts[v]]


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
        cells = [_cell(of_part.get(dataset)) for dataset in DATASETS]
        lines.append(_line([first.what, _limits(first), *cells, _files(first.table)]))
    return "\n".join(lines) + "\n"


def why(found):
    """Return the reason of a verdict: what held, what did not, what cannot be said."""
    own = [judged for judged in found if judged.own]
    sentences = []
    if len(own) > 1:
        counts = Counter(judged.verdict for judged in own)
        told = ", ".join(f"{counts[v]} {v}" for v in (HOLDS, FAILS, UNKNOWN, MISSING) if counts[v])
        sentences.append(f"Of {len(own)} parts: {told}.")
    for mark, begin in ((HOLDS, "Holds"), (FAILS, "Does not"), (UNKNOWN, "Cannot be said")):
        parts = [judged for judged in own if judged.verdict == mark]
        named = [f"{j.part.what}{_where(j, found)}: {_value(j)}" for j in parts[:AT_MOST]]
        if more := len(parts) - AT_MOST:
            named += [f"and {more} more"] * (more > 0)
        if parts:
            sentences.append(f"{begin}: {'; '.join(named)}.")
    return " ".join(sentences)


def _where(judged, found):
    """Return the dataset as text, if the source speaks of more than one."""
    own = {other.dataset for other in found if other.own}
    return f" ({DATASETS[judged.dataset]})" if len(own) > 1 else ""


def _value(judged):
    """Return a measured value with its interval as text."""
    if judged.measured is None:
        return ""
    value, low, high = (_number(x, judged.part.table) for x in judged.measured)
    return f"{value} [{low}, {high}]{_unit(judged.part)}"


def _cell(judged):
    return f"{_value(judged)} {judged.verdict}" if judged else ""


def _files(names):
    """Return the tables of a part as links to their files, as far as they are there."""
    paths = [FOLDER / f"{name}.csv" for name in names.split(", ")]
    links = [f"[{path.stem}]({path.relative_to(ROOT).as_posix()})" for path in paths]
    found = zip(paths, links, strict=True)
    return ", ".join(link if path.exists() else path.stem for path, link in found)


def _limits(part):
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


def _number(x, table):
    return f"{round(100 * x, 1) + 0:.1f}" if table in IN_PERCENT else f"{x:.3g}"  # no -0.0


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
