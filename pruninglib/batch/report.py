"""Write a report on a batch: one HTML page that needs nothing from the network."""

import json
import re
from html import escape

import pandas as pd
from nbconvert.filters.markdown import markdown2html
from pandas.api.types import is_numeric_dtype

from pruninglib.atomic import written_whole
from pruninglib.batch.results import changing, results
from pruninglib.experiments.tables import percent

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 60em; margin: auto; padding: 1em }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-size: 85%; font-variant-numeric: tabular-nums }}
th, td {{ padding: .2em .6em; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #ddd }}
img {{ max-width: 100% }} figure {{ margin: 1em 0 }}
figcaption {{ font-size: 85% }}
summary {{ cursor: pointer; font-weight: bold }}
</style></head><body><h1>{title}</h1>
{body}
</body></html>
"""
TABULAR = {"accuracy": percent, "median_ms": lambda ms: f"{ms.median():.3g}"}  # how to aggregate
WORDS = {
    "accuracy": "Accuracy against sparsity, mean ± standard deviation over the seeds.",
    "median_ms": "Milliseconds for one batch against sparsity, medians.",
}
NUMBERS = ("iterations", "distillation", "learning_rate", "batch_size")  # that tell rows apart


def report(folder):
    """Write folder/report.html on the finished runs of a batch; return its path.

    For each notebook it has the question and a table over its runs: accuracy (mean ± standard
    deviation over the seeds) or milliseconds, against sparsity; then each run with its figures,
    inline, and its texts.
    """
    found = results(folder)
    notebooks = {key: json.loads((folder / key / "notebook.ipynb").read_text()) for key in found}
    differing = changing(found)
    parts = [_about(folder, found)]
    for name in sorted({key.rpartition("-")[0] for key in found}):
        keys = [key for key in found if key.rpartition("-")[0] == name]
        title, question = _question(notebooks[keys[0]])
        parts += [f"<h2>{escape(title)}</h2><p><strong>{escape(question)}</strong></p>"]
        parts += [_table({key: found[key] for key in keys}, differing)]
        for key in keys:
            own = {n: v for n, v in found[key]["parameters"].items() if n in differing}
            said = ": " + ", ".join(f"{n} {v}" for n, v in own.items()) if own else ""
            parts += [f"<details open><summary>{escape(key + said)}</summary>"]
            parts += [*_outputs(notebooks[key]), "</details>"]
    page = PAGE.format(title=escape(f"Batch {folder.resolve().name}"), body="\n".join(parts))
    with written_whole(folder / "report.html") as path:
        path.write_text(page)
    return folder / "report.html"


def _about(folder, found):
    dates = sorted(result["date"] for result in found.values())
    failed = sorted(path.name for path in folder.glob("*.failed.ipynb"))
    lines = [f"{len(found)} runs, finished {dates[0]} to {dates[-1]}."]
    lines += [f"Failed: {', '.join(failed)}."] if failed else []
    for name in ("device", "versions"):
        values = {json.dumps(result[name]).strip('{}"') for result in found.values()}
        lines.append(f"{name.capitalize()}: {' / '.join(sorted(values))}.".replace('"', ""))
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _question(notebook):
    """Return the title of a notebook and the question below it."""
    first = "".join(notebook["cells"][0]["source"])
    title, question = (
        re.search(pattern, first, re.MULTILINE) for pattern in (r"^# (.+)", r"^\*\*(.+)\*\*")
    )
    return title[1] if title else "Notebook", question[1] if question else ""


def _table(found, differing):
    """Return as HTML, over all runs, the first table that can be aggregated by sparsity."""
    rows = []
    for result in found.values():
        columns = {column for row in result["rows"] for column in row}
        own = {n: str(v) for n, v in result["parameters"].items() if n in differing - columns}
        rows += [{**own, **row} for row in result["rows"] if "sparsity" in row]
    first = next((row for row in rows if row.keys() & TABULAR), None)
    if not first:
        return ""
    part = pd.DataFrame(row for row in rows if row["table"] == first["table"])
    value = next(name for name in TABULAR if name in first)
    names = [
        name
        for name in part.columns
        if (name in NUMBERS or not is_numeric_dtype(part[name]))
        and name != "table"
        and len(part[name].unique()) > 1
    ]
    part[names] = part[names].astype(object).where(part[names].notna(), "")
    wide = part.pivot_table(value, names or ["table"], "sparsity", TABULAR[value], sort=False)
    html = wide.rename(columns=lambda sparsity: f"{100 * sparsity:g}%").to_html(na_rep="", border=0)
    return f'<p>{WORDS[value]}</p><div class="wide">{html}</div>'


def _outputs(notebook):
    """Yield the figures and the texts of an executed notebook as HTML."""
    heading = ""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            if titles := re.findall(r"^#+ (.+)", source, re.MULTILINE):
                heading = titles[-1]
            words = " ".join(line for line in source.splitlines() if not line.startswith("#"))
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                image = "".join(data["image/png"]).replace("\n", "")
                about = output.get("metadata", {}).get("image/png", {})
                alt = about.get("alt", f"{heading}. {words.strip()}")
                yield (
                    f'<figure><img alt="{escape(alt)}" '
                    f'src="data:image/png;base64,{image}">'
                    f"<figcaption><b>{escape(heading)}</b> {escape(about.get('alt', ''))}"
                    "</figcaption></figure>"
                )
            elif "text/markdown" in data:
                yield f"<h3>{escape(heading)}</h3>"
                yield markdown2html("".join(data["text/markdown"]))
