"""What pages say of the notebooks, read from these; and the repository's address, if any."""

import json
import re
import tomllib

from pruninglib.experiments.paths import ROOT

NOTEBOOKS = "notebooks"
FOUR = (
    "1_prune_sweep",
    "2_weight_prune_recovery",
    "3_unit_prune_recovery",
    "4_shrunk_network_timing",
)
STUDIES = ("training", "mistakes", "criteria", "rounds", "controls", "retraining", "frontier")
STUDIES += ("few_units", "runtimes", "storage")
CELL = re.compile(r'(os\.environ\.setdefault\(\\"PRUNINGLIB_REPOSITORY\\", \\")[^"\\]*(\\"\))')
COLAB = "https://colab.research.google.com"


def place(name):
    """Return where a notebook lies, from the top of the repository."""
    return f"{NOTEBOOKS}/studies/{name}.ipynb" if name in STUDIES else f"{NOTEBOOKS}/{name}.ipynb"


def words(name):
    """Return the text of a notebook's first cells of Markdown."""
    cells = json.loads((ROOT / place(name)).read_text())["cells"]
    return "\n".join("".join(c["source"]) for c in cells[:4] if c["cell_type"] == "markdown")


def question(name):
    """Return the question that a notebook asks, the bold sentence below its title."""
    found = re.search(r"^\*\*(.+?)\*\*", words(name), re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split())


def takes(name):
    """Return how long a notebook says that it takes."""
    return re.search(r"Run All takes (?:about )?(.+?) on 2 cores", words(name))[1]


def asked(name):
    """Return a notebook's question and a link to it, for a page in docs/."""
    return f"**{question(name)}** [{name}](../{place(name)})\n"


def address(pyproject=ROOT / "pyproject.toml"):
    """Return the address of the public repository; nothing as long as it has none."""
    project = tomllib.loads(pyproject.read_text())["project"]
    return project.get("urls", {}).get("Repository", "")


def badge(name, repository):
    """Return a badge that opens a notebook in Colab, which knows repositories on GitHub alone."""
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?", repository)
    if not found:
        return ""
    opens = f"{COLAB}/github/{found[1]}/blob/main/{place(name)}"
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({opens})"


def with_address(text, repository):
    """Return a notebook, as text, whose cell for Colab has the repository's address."""
    return CELL.sub(lambda found: found[1] + repository + found[2], text)
