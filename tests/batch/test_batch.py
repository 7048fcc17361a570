"""Batches of real processes: what happens when they fail, die or meet, and that nothing is lost."""

import contextlib
import json
import os
import pty
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

import nbformat
import pandas as pd
import psutil
import pytest
import yaml

from pruninglib.batch import __main__ as batch
from pruninglib.batch import running
from pruninglib.batch.results import changing
from pruninglib.batch.store import locked

PARAMETERS = """seed: int = 0  # a number
seconds: float = 0.0  # to sleep
fault: str = ""  # what goes wrong, the first time
folder: str = ""  # where the notebook says that it runs, or ran
"""
CODE = """import ctypes
import os
from pathlib import Path

from pruninglib.experiments.paths import RUNS
from pruninglib.batch.results import parameters_in, write_result

parameters = parameters_in(globals())
began = Path(folder) / f"{seed}.began"
first = not began.exists()
writing = began.with_suffix(".writing")  # so that a reader finds all of it or nothing
writing.write_text(str(os.getpid()))
writing.replace(began)
# holds the interpreter, as native code may: ipykernel's own watch over its parent cannot run
ctypes.PyDLL(None).usleep(int(1e6 * seconds) if first else 0)
if first and fault == "error":
    1 / 0
if first and fault == "killed":
    os.kill(os.getpid(), 9)
if first and fault == "large":
    (RUNS / "large.csv").write_bytes(bytes(2_000_000))
if fault == "no result":
    raise SystemExit
if fault == "one name":
    for name in "ab":
        (RUNS / name).mkdir()
        (RUNS / name / "x.csv").write_text(name)"""
LAST = """row = {"value": 2.0 * seed, "cores": os.environ.get("TF_NUM_INTRAOP_THREADS", "all")}
write_result(RUNS / "tiny.result.json", parameters, found=[row])
(Path(folder) / f"{seed}.ended").write_text("")"""
LONG = 600.0  # seconds that a kernel sleeps which is to be killed: as good as for ever
processes = pytest.mark.processes


def tiny(place):
    """Put the notebook tiny.ipynb into a folder, and room for what it says; return the folder."""
    first = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    rest = [nbformat.v4.new_code_cell(source) for source in (CODE, LAST)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=[first, *rest], metadata={"kernelspec": kernel})
    nbformat.write(notebook, place / "tiny.ipynb")
    (place / "said").mkdir()
    return place


@pytest.fixture
def place(tmp_path):
    return tiny(tmp_path)


def grid(place, *blocks):
    """Write grid.yaml: the notebook with each block of parameters, lists or single values."""
    content = []
    for block in blocks:
        alone, block = block.get("alone", False), {"folder": str(place / "said")} | block
        lists = {name: v if isinstance(v, list) else [v] for name, v in block.items()}
        lists.pop("alone", None)
        content.append({"notebooks": ["tiny.ipynb"], "parameters": lists, "alone": alone})
    (place / "grid.yaml").write_text(yaml.safe_dump(content))


def began_before(place, seed):
    """Have a run neither sleep nor fail, as if it had done so already."""
    (place / "said" / f"{seed}.began").write_text("0")


def start(place, *options, **how):
    command = [sys.executable, "-m", "pruninglib.batch", str(place / "grid.yaml")]
    command += ["--output", str(place / "out"), *options]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "preexec_fn": hear_ctrl_c} | how
    return subprocess.Popen(command, text=True, **how)


def hear_ctrl_c():
    """For what a shell starts in the background is deaf to it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(place, *options, **how):
    """Return the exit code and the output of a batch."""
    process = start(place, *options, **how)
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


def wait_for(what, seconds=300):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def found(place):
    """Return {seed: value} of the finished runs, each of which is there once and whole."""
    results = [json.loads(path.read_text()) for path in (place / "out").glob("*/result.json")]
    values = {result["parameters"]["seed"]: result["rows"][0]["value"] for result in results}
    assert len(values) == len(results)
    return values


def kernels(place):
    """Return the processes of the kernels that said they began, as far as they still run."""
    numbers = [int(path.read_text()) for path in (place / "said").glob("*.began")]
    return [number for number in numbers if psutil.pid_exists(number)]


def papermills(process):
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "pruninglib.batch.lifeline" in child.cmdline()
    ]


def nothing_is_left_behind(place):
    kinds = {path.name for path in (place / "out").iterdir() if not path.is_dir()}
    assert kinds <= {".lock"}
    names = {path.name for path in (place / "out").glob("*/*")}
    assert names == {"result.json", "notebook.ipynb", "tiny_found.csv"}


# ---- one batch of two runs, the second of which wants to be alone


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(place, output, lines of the terminal) of a batch that begins with a killed one's remains."""
    place = tiny(tmp_path_factory.mktemp("done"))
    grid(place, {"seed": 0}, {"seed": 1, "seconds": 0.01, "alone": True})
    half = place / "out" / ".unfinished" / "tiny-0"
    half.mkdir(parents=True)
    (half / "result.json").write_text('{"param')
    terminal, end = pty.openpty()
    process = start(place, "--jobs", "2", stderr=end)
    os.close(end)
    said = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while more := os.read(terminal, 1000):
            said += more
    output, _ = process.communicate(timeout=300)
    os.close(terminal)
    assert process.returncode == 0, output
    return place, output, [line.strip() for line in said.decode().split("\r")]


@processes
def test_what_a_killed_command_left_is_no_result(done):
    assert found(done[0]) == {0: 0.0, 1: 2.0}
    nothing_is_left_behind(done[0])


@processes
def test_a_terminal_is_told_how_far_it_is(done):
    _, output, lines = done
    assert "0 of 2 done, 1 running, 0 failed" in lines
    assert any(re.fullmatch(r"1 of 2 done, 1 running, 0 failed, \d+ min left", x) for x in lines)
    assert output.startswith("2 of 2 runs done"), "quiet where nobody looks"


@processes
def test_cores_are_divided_among_the_runs_but_those_alone_have_all(done):
    results = [json.loads(path.read_text()) for path in (done[0] / "out").glob("*/result.json")]
    cores = {result["parameters"]["seed"]: result["rows"][0]["cores"] for result in results}
    divided = str(max(1, os.cpu_count() // 2))
    assert cores == {0: divided, 1: os.environ.get("TF_NUM_INTRAOP_THREADS", "all")}


@processes
def test_nothing_is_run_twice(done):
    place, _, _ = done
    before = {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*.json")}
    code, output = run(place)
    assert code == 0 and "2 of 2 runs done, 2 of them before" in output
    assert before == {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*.json")}
    nothing_is_left_behind(place)


@processes
def test_a_result_that_was_deleted_is_made_again(done, tmp_path):
    place = shutil.copytree(done[0], tmp_path / "copy")
    next((place / "out").glob("*/result.json")).unlink()
    code, output = run(place)
    assert code == 0 and "2 of 2 runs done, 1 of them before" in output
    assert found(place) == {0: 0.0, 1: 2.0}


@processes
def test_collected_rows_say_what_they_belong_to(done, tmp_path):
    out = shutil.copytree(done[0] / "out", tmp_path / "out")
    assert batch.main(["collect", str(out)]) == 0
    table = pd.read_csv(out / "results.csv")
    assert len(table) == 2
    assert set(table["table"]) == {"found"} and set(table["notebook"]) == {"tiny"}
    assert list(table["value"]) == list(2.0 * table["parameter.seed"])
    assert set(table["parameter.seconds"]) == {0.0, 0.01}
    assert "parameter.fault" not in table


# ---- what fails, is killed or stopped


@processes
def test_runs_that_fail_are_named_and_the_others_go_on(place):
    """Over 10 s: five kernels, and four more."""
    faults = ("", "error", "killed", "no result", "one name")
    grid(place, *({"seed": seed, "fault": fault} for seed, fault in enumerate(faults)))
    code, output = run(place, "--jobs", "2")
    assert code == 1
    assert "1 of 5 runs done" in output
    assert "ZeroDivisionError: division by zero" in output and "Kernel died" in output
    assert "wrote 0 results; a cell of it must call" in output
    assert "wrote several files of one name, in a/x.csv, b/x.csv" in output
    assert found(place) == {0: 0.0}
    failed = sorted((place / "out").glob("*.failed.ipynb"))
    assert len(failed) == 4 and all(str(path) in output for path in failed)
    assert all("This run failed" in nbformat.read(p, 4).cells[0].source for p in failed)

    code, output = run(place, "--jobs", "2")  # two of the faults happen once
    assert code == 1 and "3 of 5 runs done, 1 of them before" in output
    assert found(place) == {0: 0.0, 1: 2.0, 2: 4.0}
    assert len(list((place / "out").glob("*.failed.ipynb"))) == 2


@processes
def test_a_killed_papermill_takes_its_kernel_along(place):
    grid(place, {"seed": 0, "seconds": LONG}, {"seed": 1})
    process = start(place)
    wait_for(lambda: kernels(place))
    papermills(process)[0].kill()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1 and "killed by SIGKILL" in output
    assert not (place / "said" / "0.ended").exists()
    assert found(place) == {1: 2.0}
    assert run(place)[0] == 0
    assert found(place) == {0: 0.0, 1: 2.0}
    nothing_is_left_behind(place)


@processes
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_batch_that_is_killed_or_stopped_takes_all_along_and_can_go_on(number, place):
    grid(place, {"seed": [0, 1], "seconds": LONG})
    process = start(place, "--jobs", "2", start_new_session=True)
    wait_for(lambda: len(kernels(place)) == 2)
    os.killpg(process.pid, number)  # as a terminal's Ctrl-C does
    output, _ = process.communicate(timeout=300)
    wait_for(lambda: not kernels(place))
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert ("Stopped. The same command goes on" in output) == (number == signal.SIGINT)
    assert not list((place / "said").glob("*.ended"))
    assert not list((place / "out").glob("*.failed.ipynb"))
    assert found(place) == {}
    assert run(place, "--jobs", "2")[0] == 0
    assert found(place) == {0: 0.0, 1: 2.0}
    nothing_is_left_behind(place)


class Ahead:
    """The module `time`, an hour later once something has happened."""

    def __init__(self, happened):
        self.happened = happened

    def monotonic(self):
        return time.monotonic() + 3600 * self.happened()


@processes
def test_a_run_over_its_time_limit_is_killed(place, monkeypatch, capsys):
    grid(place, {"seed": 0, "seconds": LONG}, {"seed": 1})
    began = place / "said" / "0.began"
    monkeypatch.setattr(running, "time", Ahead(began.exists))
    arguments = [str(place / "grid.yaml"), "--output", str(place / "out"), "--timeout", "29.5"]
    assert batch.main(arguments) == 1
    assert "over its time limit of 29.5 minutes" in capsys.readouterr().out
    assert found(place) == {1: 2.0}
    wait_for(lambda: not kernels(place))


@processes
@pytest.mark.slow
def test_a_full_disk_loses_nothing(place):
    grid(place, {"seed": [0, 1], "fault": "large"})
    began_before(place, 1)  # this one writes nothing large

    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    code, output = run(place, "--jobs", "2", preexec_fn=little_room)
    assert code == 1 and "File too large" in output
    assert found(place) == {1: 2.0}
    assert run(place, "--jobs", "2")[0] == 0
    assert found(place) == {0: 0.0, 1: 2.0}
    nothing_is_left_behind(place)


def test_results_that_cannot_be_stored_are_told_and_made_again(place, monkeypatch, capsys):
    grid(place, {"seed": 0})
    result = json.dumps({"parameters": {"seed": 0}, "rows": [{"value": 0.0}]}).encode()

    def outcomes(runs, *how):
        for each in runs:
            files = {"result.json": result, "notebook.ipynb": each.content, "tiny_found.csv": b""}
            yield each, running.Outcome(files, "")

    def save(folder, key, files):
        raise OSError(28, "No space left on device")

    arguments = [str(place / "grid.yaml"), "--output", str(place / "out")]
    monkeypatch.setattr(batch, "outcomes", outcomes)
    with monkeypatch.context() as patch:
        patch.setattr(batch, "save", save)
        assert batch.main(arguments) == 1
    said = capsys.readouterr().out
    assert "could not be stored: [Errno 28] No space left on device" in said
    (failed,) = (place / "out").glob("*.failed.ipynb")
    assert f"see {failed}" in said and "could not be stored" in failed.read_text()
    assert batch.main(arguments) == 0
    assert found(place) == {0: 0.0}
    nothing_is_left_behind(place)


def test_a_file_is_no_folder_for_results(place, capsys):
    grid(place, {"seed": 0})
    (place / "out").write_text("a file")
    assert batch.main([str(place / "grid.yaml"), "--output", str(place / "out")]) == 2
    assert "out is a file" in capsys.readouterr().err
    assert (place / "out").read_text() == "a file"


def test_of_two_commands_on_one_folder_the_second_is_refused(place):
    grid(place, {"seed": 0})
    with locked(place / "out"):
        code, output = run(place)
    assert code == 2 and "Another batch command works on" in output


# ---- a cluster


def dask(*arguments):
    """Start a process of Dask."""
    command = [sys.executable, "-m", *arguments, "--no-dashboard"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The address of a Dask scheduler with one worker process, in folders of their own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    port = address.rpartition(":")[2]
    place = ["--local-directory", str(tmp_path_factory.mktemp("dask"))]
    processes = [
        dask("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port),
        dask("distributed.cli.dask_worker", address, "--nthreads", "2", *place),
    ]
    yield address, processes[1]
    for process in reversed(processes):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()


@processes
def test_a_cluster_runs_again_what_a_killed_worker_had(place, scheduler):
    """Over 10 s: two workers and five kernels."""
    address, nanny = scheduler
    grid(place, {"seed": [0, 1], "seconds": LONG}, {"seed": 2})
    process = start(place, "--scheduler", address)
    # the two that sleep: the third, which does not, may have run before them
    wait_for(lambda: all((place / "said" / f"{seed}.began").exists() for seed in (0, 1)))
    running = kernels(place)
    (worker,) = (
        child
        for child in psutil.Process(nanny.pid).children()
        if any("lifeline" in " ".join(c.cmdline()) for c in child.children())
    )
    worker.kill()
    wait_for(lambda: not set(running) & set(kernels(place)))
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert found(place) == {0: 0.0, 1: 2.0, 2: 4.0}
    nothing_is_left_behind(place)


@processes
@pytest.mark.slow
def test_on_a_cluster_too_those_that_want_to_be_alone_are(place, scheduler):
    grid(place, {"seed": [0, 1], "seconds": 1.0, "alone": True})
    code, output = run(place, "--scheduler", scheduler[0])
    assert code == 0, output
    times = [
        [(place / "said" / f"{seed}.{what}").stat().st_mtime for what in ("began", "ended")]
        for seed in (0, 1)
    ]
    (_, ended), (began, _) = sorted(times)
    assert ended <= began


@processes
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_batch_that_ends_takes_what_runs_on_a_cluster_along(number, place, scheduler):
    """Over 10 s: the scheduler needs seconds to see that nobody waits, then four kernels."""
    address, _ = scheduler
    grid(place, {"seed": [0, 1], "seconds": LONG})
    process = start(place, "--scheduler", address)
    wait_for(lambda: len(kernels(place)) == 2)
    process.send_signal(number)
    process.communicate(timeout=300)
    wait_for(lambda: not kernels(place))
    assert run(place, "--scheduler", address)[0] == 0
    assert found(place) == {0: 0.0, 1: 2.0}


@processes
@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_named(place):
    """Over 10 s: for so long it is waited for."""
    grid(place, {"seed": 0})
    code, output = run(place, "--scheduler", "tcp://127.0.0.1:9")
    assert code == 2 and "No Dask scheduler answers at tcp://127.0.0.1:9" in output


# ---- what starts nothing


def test_a_dry_run_starts_nothing(place, capsys):
    grid(place, {"seed": [0, 1]})
    assert batch.main([str(place / "grid.yaml"), "--output", str(place / "out"), "--dry-run"]) == 0
    assert capsys.readouterr().out.count("to run") == 2
    assert not (place / "out").exists()


def test_help_comes_at_once_and_without_tensorflow():
    code = (
        "import sys; import pruninglib, pruninglib.batch; "
        "assert not {'tensorflow', 'keras', 'pandas', 'papermill'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    command = [sys.executable, "-m", "pruninglib.batch", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--scheduler" in done.stdout and "collect FOLDER" in done.stdout


@pytest.mark.parametrize(
    "wrong", [["collect"], ["collect", "a", "b"], ["no.yaml", "--output", "x"]]
)
def test_commands_that_cannot_be_are_refused(wrong, capsys):
    assert batch.main(wrong) == 2
    assert capsys.readouterr().err.startswith("Error: ")


def test_what_only_some_notebooks_have_does_not_differ():
    parameters = [{"seed": 0, "rate": 0.1}, {"seed": 1}, {"seed": 1, "rate": 0.1}]
    found = {str(i): {"parameters": each} for i, each in enumerate(parameters)}
    assert changing(found) == {"seed"}


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    assert batch.main(["collect", str(tmp_path)]) == 2
    assert "has no finished runs" in capsys.readouterr().err
