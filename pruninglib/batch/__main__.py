"""Run a grid of notebooks, on this machine or a cluster, and keep every finished run.

    python -m pruninglib.batch GRID.yaml --output FOLDER   run what is not there yet
    python -m pruninglib.batch collect FOLDER              all rows, in FOLDER/results.csv
    python -m pruninglib.batch report FOLDER               figures and tables, FOLDER/report.html

A finished run is a folder FOLDER/KEY with result.json, notebook.ipynb, tables and figures; a failed
one leaves FOLDER/KEY.failed.ipynb. After any interruption, run the same command again to go on.
"""

import argparse
import sys
import time
from contextlib import closing
from pathlib import Path

from pruninglib.batch.grid import read_grid
from pruninglib.batch.running import outcomes, with_error
from pruninglib.batch.store import failed_notebook, finished, locked, save, save_failed


def main(arguments=None):
    """Run the command line; return its exit code: 1 if a run failed, 2 if nothing could start."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] in (["collect"], ["report"]):
            return _read(*arguments)
        options = _options(arguments)
        runs = read_grid(options.grid)
        return _list(runs, options) if options.dry_run else _run(runs, options)
    except (ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130


def _options(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m pruninglib.batch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("grid", metavar="GRID.yaml", type=Path, help="what to run")
    parser.add_argument("--output", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--jobs", metavar="N", type=_positive(int), default=1, help="at a time")
    parser.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="of a Dask cluster")
    parser.add_argument("--timeout", metavar="MINUTES", type=_positive(float), help="for each run")
    parser.add_argument("--dry-run", action="store_true", help="list the runs, start nothing")
    return parser.parse_args(arguments)


def _positive(kind):
    def convert(text):
        if (value := kind(text)) <= 0:
            raise ValueError
        return value

    convert.__name__ = f"positive {kind.__name__}"
    return convert


def _list(runs, options):
    for run in runs:
        state = "finished" if finished(options.output, run.key) else "to run"
        print(f"{run.key}  {state}  {run.changed}")
    return 0


def _run(runs, options):
    output, failed, start = options.output, {}, time.monotonic()
    with locked(output) as scratch:
        to_do = [run for run in runs if not finished(output, run.key)]
        before, done = len(runs) - len(to_do), 0

        def tick(running):
            parts = [f"{before + done} of {len(runs)} done"]
            parts += [f"{running} running"] if running else []  # unknown on a cluster
            parts += [f"{len(failed)} failed"]
            if over := done + len(failed):
                minutes = (time.monotonic() - start) / 60 * (len(to_do) - over) / over
                parts += [f"{minutes:.0f} min left"]
            _show(", ".join(parts))

        how = (options.jobs, options.scheduler, options.timeout)
        with closing(outcomes(to_do, scratch, *how, tick)) as ended:
            for run, outcome in ended:
                if error := _store(output, run, outcome):
                    failed[run.key] = error
                else:
                    done += 1
    _show("")
    print(f"{before + done} of {len(runs)} runs done, {before} of them before: {output}")
    for key, error in failed.items():
        path = failed_notebook(output, key)
        print(f"Failed: {key}: {error}" + (f"\n  see {path}" if path.exists() else ""))
    return 1 if failed else 0


def _store(output, run, outcome):
    """Store the files of a run; return why it failed, or an empty string."""
    if outcome.error:
        save_failed(output, run.key, outcome.files["notebook.ipynb"])
        return outcome.error
    try:
        save(output, run.key, outcome.files)
    except OSError as error:
        said = f"its results could not be stored: {error}. Mend that and run the command again"
        save_failed(output, run.key, with_error(outcome.files["notebook.ipynb"], said))
        return said
    return ""


def _show(text):
    """Rewrite the progress line, if on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text:<79}", end="" if text else "\r", file=sys.stderr, flush=True)


def _read(what, *folders):
    if len(folders) != 1 or folders[0].startswith("-"):
        raise ValueError(f"Expected: python -m pruninglib.batch {what} FOLDER")
    if what == "collect":  # each needs pandas, which takes a while to import
        from pruninglib.batch.results import collect as read
    else:
        from pruninglib.batch.report import report as read
    print(read(Path(folders[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
