"""The command `python -m ledger [FOLDER]`."""

import sys
from pathlib import Path

from ledger.figures import draw
from ledger.judging import judge
from ledger.page import page
from ledger.tables import read, take_over
from pruninglib.experiments.paths import ROOT, written_whole


def main(folders):
    """Take over the results of batches, then write CLAIMS.md and its figures."""
    for folder in folders:
        take_over(Path(folder))
    tables = read()
    draw(tables)
    text = page(tables, judge(tables))
    with written_whole(ROOT / "CLAIMS.md") as path:
        path.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
