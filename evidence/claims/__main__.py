"""The command `python -m evidence.claims [FOLDER]`."""

import sys
from pathlib import Path

from evidence.claims.figures import draw
from evidence.claims.page import page
from evidence.claims.rules import judge
from evidence.claims.tables import read, take_over
from pruninglib.atomic import written_whole
from pruninglib.experiments.paths import ROOT


def main(folders):
    """Take over the results of batches, then write docs/claims.md and its figures."""
    for folder in folders:
        take_over(Path(folder))
    tables = read()
    draw(tables)
    text = page(tables, judge(tables))
    with written_whole(ROOT / "docs" / "claims.md") as path:
        path.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
