"""Measure a table a row at a time, so that it can be stopped and resumed."""

import pandas as pd

from pruninglib.atomic import written_whole


def resumed(file, settings, measure):
    """Add to a CSV file the rows that it lacks; return the table.

    Args:
        settings: dicts, one for each row: the columns that say what was tried.
        measure: function of such a dict that returns the other columns.
    """
    table = pd.read_csv(file) if file.exists() else pd.DataFrame()
    for setting in settings:
        if len(table) and (table[list(setting)] == pd.Series(setting)).all(axis=1).any():
            continue
        row = setting | measure(setting)
        table = pd.concat([table, pd.DataFrame([row])])
        with written_whole(file) as path:
            table.to_csv(path, index=False)
        print(row, flush=True)
    return table
