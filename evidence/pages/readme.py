"""The sections of README.md: findings, headline, notebooks, studies, claims."""

import json

import pandas as pd

from evidence.claims import page
from evidence.claims import rules as judging
from evidence.claims import tables as claim_tables
from evidence.pages import text
from evidence.pages.notebooks import FOUR, STUDIES, address, badge, place, question, takes
from evidence.pages.results import MNIST, controlled, fastest
from evidence.pages.text import WAITING, figure, markdown, pivot, read, seeds
from pruninglib.experiments.paths import PUBLISHED

SHOWN = {"weights": ("90%", "95%", "99%"), "units, greedy": ("80%", "90%", "95%")}
KINDS = ["pruned", "repaired", "retrained", "repaired, retrained", "from scratch"]
PRICE = "0.9 to 3.5 times"  # the section on repair in benchmarks/README.md
INSTRUCTIVE = ("X1", "L4", "L6", "C2", "C4")


def controls():
    """Return what each treatment gives on MNIST, "method | sparsity" by treatment, and seeds."""
    rows = controlled().query("dataset == 'MNIST'")
    cells = pivot(rows, ["method", "removed"], ["treatment"])
    return cells[KINDS], f"MNIST, test set, {seeds(rows, ['method', 'removed', 'treatment'])}"


def findings():
    """Return what to remember, in three sentences, as Markdown."""
    try:
        cells, about = controls()
        said = [mending(cells.loc["weights | 95%"]), choosing(cells)]
    except FileNotFoundError:
        about = "MNIST"
        said = [f"What brings accuracy back, and what choosing units adds? {WAITING.strip()}"]
    lines = [
        f"Accuracy on {about}{trained()}",
        "",
        *(f"* {sentence}" for sentence in [*said, speeding()]),
    ]
    return "\n".join(lines)


def trained():
    """Return how long the networks of the findings were trained, as a sentence."""
    asked = json.loads((text.RESULTS / "mnist" / "controls.json").read_text())["parameters"]
    return (
        f". Networks were trained for {asked['epochs']} epochs, and retrained for "
        f"{asked['weight_iterations']:,} iterations where weights went, "
        f"{asked['iterations']:,} where units did; the notebooks train for less, and show less."
    )


def mending(cells):
    """Return what does it for weights, as a sentence."""
    pruned, repaired, retrained, both, scratch = cells
    return (
        f"**Most weights can go, if the rest is mended.** Without 95% of them {pruned}; repaired "
        f"by least squares, without labels, {repaired} (retraining gets there in {PRICE} the time, "
        f"with labels); retrained {retrained}; both {both}. New weights with the same mask, "
        f"trained from scratch, {scratch}."
    )


def choosing(cells):
    """Return what does it for units, as a sentence."""
    greedy = cells.loc["units, greedy | 90%"]
    return (
        "**Whole units (neurons) can go, too.** Without 90% of them, retrained, "
        f"{cells.loc['units by norm | 90%', 'retrained']} where the units of the smallest norm "
        f"went, {greedy['retrained']} where those to keep were chosen one after another "
        f"(greedily), {greedy['repaired, retrained']} where these were repaired before. A network "
        f"of that size trained from scratch: {greedy['from scratch']}."
    )


def speeding():
    """Return what makes a network faster, as a sentence."""
    times = read("runtimes_times", MNIST)
    masked = times[times["stage"] == "masked"]["speed_up"].median()
    shrunk, sparse = (
        pivot(fastest(times, ratio), ["stage", "removed"], ["batch"], "cell", "first").loc[row]
        for ratio, row in (("speed_up", "shrunk | 90%"), ("speed_up_fastest", "sparse | 90%"))
    )
    return (
        f"**Only what is cut out saves time.** Zeros that are multiplied: {masked:.2f}x as fast. "
        f"Without 90% of the units, shrunk: {shrunk['batch 1']} for single images, "
        f"{shrunk['batch 10,000']} in batches of 10,000, over the dense network in the same "
        "runtime. Without 90% of the weights, by products that skip the zeros: "
        f"{sparse['batch 1']} for single images, {sparse['batch 32']} in batches of 32, "
        f"{sparse['batch 10,000']} in batches of 10,000, over the dense network in the runtime "
        "that is fastest for it (~: the ratio scatters)."
    )


def headline():
    """Return the figure and the table to remember, as Markdown."""
    drawn = figure("3_unit_prune_recovery", up="")
    try:
        cells, about = controls()
    except FileNotFoundError:
        return drawn + WAITING
    rows = [f"{method} | {level}" for method, levels in SHOWN.items() for level in levels]
    return (
        f"{drawn}\n{markdown(cells.loc[rows])}\nFigure: notebook 3 with five seeds, bands "
        f"are one standard deviation. Table: study controls. {about}; the dense network has "
        f"{cells.loc['weights | 0%', 'pruned']}; weights went by magnitude. Units by norm, "
        "Fashion-MNIST and more: [results](docs/results.md#controls).\n"
    )


def notebooks(repository=None):
    """Return the four notebooks with their questions, as Markdown.

    Args:
        repository: its address, for badges; that of pyproject.toml if it is None.
    """
    repository = address() if repository is None else repository
    names = pd.Index([f"[{name.replace('_', ' ')}]({place(name)})" for name in FOUR])
    columns = {"question": map(question, FOUR), "takes": map(takes, FOUR)}
    columns |= {"in Colab": [badge(name, repository) for name in FOUR]}
    cells = pd.DataFrame(columns, names.rename("notebook"))
    return markdown(cells if all(cells["in Colab"]) else cells.drop(columns="in Colab"))


def studies():
    """Return a line for each study."""
    return "\n".join(
        f"* [{name.replace('_', ' ')}]({place(name)}): {question(name)} ({takes(name)}) "
        f"[results](docs/results.md#{name.replace('_', '-')})"
        for name in STUDIES
    )


def claims():
    """Return how many of the published claims hold, and the most instructive, as Markdown."""
    tables = claim_tables.read()
    found = judging.judge(tables)
    published = pd.read_csv(PUBLISHED / "claims.csv").set_index("id")
    cells = published.loc[list(INSTRUCTIVE), ["claim", "published"]]
    cells["verdict"] = [f"**{judging.verdict(found[claim])}**" for claim in INSTRUCTIVE]
    cells["other dataset"] = [judging.verdict(found[claim], own=False) for claim in INSTRUCTIVE]
    cells.index = pd.Index([f"[{c}](docs/claims.md#{c.lower()})" for c in INSTRUCTIVE], name="")
    return (
        "Five student projects pruned this network. "
        f"{page.counted(found)} The most instructive:\n\n{markdown(cells)}\n"
        "Verdict: on the dataset of the source, Fashion-MNIST for X1, MNIST for the others. Other "
        "dataset: the same rule on the one that the source did not measure. All of them, how "
        "they were judged and what was measured: [claims](docs/claims.md). `make results` measures "
        f"them again; its runs took {page.hours(tables['runs']):.1f} hours on 2 cores.\n"
    )


SECTIONS = {told.__name__: told for told in (findings, headline, notebooks, studies, claims)}
