"""CLAIMS.md: every published claim, what we measured, and whether it holds."""

from collections import Counter
from math import isnan
from re import fullmatch

import pandas as pd

from ledger.judging import DATASETS, verdict
from ledger.mistakes import mistakes
from ledger.tables import FOLDER
from ledger.words import cell, limits, told, why
from pruninglib.experiments.paths import PUBLISHED, ROOT

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
    lines = [f"Of {len(found)} claims: {told(counts)}.", ""]
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
    links = [f"[{path.stem}]({path.relative_to(ROOT).as_posix()})" for path in paths]
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
