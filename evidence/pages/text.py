"""What all pages are made of: tables of data/results, cells, Markdown, marked sections."""

import re

import pandas as pd

from evidence.pages.notebooks import asked
from pruninglib import percent
from pruninglib.experiments.paths import FIGURES, RESULTS

NAMES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
WAITING = "To be measured: `make studies`.\n"
DRAWN = ("frontier", "mnist_5_seeds", "mnist")  # where a figure is looked for, in this order
MARK = re.compile(r"<!-- (\w+): written by evidence\.pages -->\n.*?<!-- end of \1 -->\n", re.DOTALL)


def read(name, folders=NAMES):
    """Return a table of some folders of data/results as one, labelled; an error if none has it.

    Args:
        name: of the table.
        folders: {folder: what its rows get as `dataset`}.
    """
    paths = {label: RESULTS / folder / f"{name}.csv" for folder, label in folders.items()}
    parts = [pd.read_csv(p).assign(dataset=label) for label, p in paths.items() if p.exists()]
    if not parts:
        raise FileNotFoundError(name)
    return labelled(pd.concat(parts, ignore_index=True))


def labelled(table):
    """Return rows with their dataset's name and, as a column `removed`, their sparsity; sorted."""
    rows = table.replace({"dataset": NAMES})
    if "sparsity" not in rows:
        return rows.sort_values("dataset", ascending=False, kind="stable")
    rows = rows.assign(removed=rows["sparsity"].map("{:.0%}".format))
    return rows.sort_values(["dataset", "sparsity"], ascending=[False, True])  # MNIST comes first


def pivot(rows, index, columns, value="accuracy", cell=percent):
    """Return a table of cells; rows and columns stand as they come, each under a single label.

    Args:
        rows: DataFrame.
        index: names of columns whose values, with Markdown's bars between, tell the rows apart.
        columns: names of columns whose values, with commas, tell the columns apart.
        value: name of the column that is shown.
        cell: makes a text of all its values in one cell.
    """
    row, column = (
        rows[names].astype(str).agg(between.join, axis=1)
        for names, between in ((index, " | "), (columns, ", "))
    )
    cells = rows.pivot_table(value, row.rename(" | ".join(index)), column, aggfunc=cell)
    return cells.loc[row.unique(), column.unique()]


def markdown(frame):
    """Return a table, its index first, as Markdown."""
    heads = [*frame.index.name.replace("_", " ").split(" | "), *frame.columns]
    lines = [[label, *cells] for label, *cells in frame.fillna("").itertuples()]
    texts = ["| " + " | ".join(line) + " |" for line in (heads, *lines)]
    return "\n".join([texts[0], "|---" * len(heads) + "|", *texts[1:]]) + "\n"


def seeds(rows, keys):
    """Return how many seeds stand behind a cell, from the fewest to the most."""
    counts = sorted(set(rows.groupby(keys)["seed"].nunique()) - {0})  # published rows have none
    if counts[-1] == 1:
        return "one seed"
    return f"{' to '.join(map(str, counts[:1] + counts[1:][-1:]))} seeds, mean ± standard deviation"


def table(rows, index, columns, cell=percent, also=""):
    """Return a table of accuracies and the number of seeds, as Markdown."""
    of = seeds(rows, [*index, *columns])
    return f"{markdown(pivot(rows, index, columns, cell=cell))}\n{of.capitalize()}{also}.\n"


def figure(name, up="../"):
    """Return the figure of a notebook or study as Markdown; nothing where it is not there yet."""
    found = [folder for folder in DRAWN if (FIGURES / folder / f"{name}.png").exists()]
    return f"![{name.replace('_', ' ')}]({up}figures/{found[0]}/{name}.png)\n" if found else ""


def section(name, measured):
    """Return the function that writes a section: question, what was measured, figure."""

    def write():
        try:
            return f"{asked(name)}\n{measured()}\n{figure(name)}"
        except FileNotFoundError:
            return f"{asked(name)}\n{WAITING}"

    return write


def updated(text, sections):
    """Return a page with its marked sections written anew.

    Args:
        text: the page.
        sections: {name: function that returns the section}. Another name in the page, or one that
            the page lacks, is an error.
    """
    marked = MARK.findall(text)
    if sorted(marked) != sorted(sections):
        raise ValueError(f"The page marks {sorted(marked)}, written are {sorted(sections)}.")

    def again(found):
        name = found[1]
        begin, end = f"<!-- {name}: written by evidence.pages -->\n", f"<!-- end of {name} -->\n"
        return begin + sections[name]().rstrip("\n") + "\n" + end

    return MARK.sub(again, text)
