"""Batches of real processes: what happens when they fail, die or meet, and that nothing is lost."""

import contextlib
import json
import os
import pty
import resource
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
from pruninglib.batch.results import changing

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
    raise SystemExit"""
LAST = """write_result(RUNS / "tiny.result.json", parameters, found=[{"value": 2.0 * seed}])
(Path(folder) / f"{seed}.ended").write_text("")"""


@pytest.fixture
def place(tmp_path):
    """A folder with the notebook tiny.ipynb, and room for what it says and for the batch."""
    first = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    rest = [nbformat.v4.new_code_cell(source) for source in (CODE, LAST)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=[first, *rest], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "tiny.ipynb")
    (tmp_path / "said").mkdir()
    return tmp_path


def grid(place, **parameters):
    lists = {"folder": [str(place / "said")], **parameters}
    content = {"notebooks": ["tiny.ipynb"], "parameters": lists}
    (place / "grid.yaml").write_text(yaml.safe_dump(content))
    return place / "grid.yaml"


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
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def wait_for(what, seconds=60):
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


def test_runs_that_fail_are_named_and_the_others_go_on(place):
    grid(place, seed=[0, 1, 2, 3])
    blocks = [
        {"notebooks": ["tiny.ipynb"], "parameters": {"folder": [str(place / "said")], **more}}
        for more in (
            {"seed": [0]},
            {"seed": [1], "fault": ["error"]},
            {"seed": [2], "fault": ["killed"]},
            {"seed": [3], "fault": ["no result"]},
        )
    ]
    (place / "grid.yaml").write_text(yaml.safe_dump(blocks))
    code, output = run(place, "--jobs", "2")
    assert code == 1
    assert "1 of 4 runs done" in output
    assert "ZeroDivisionError: division by zero" in output and "Kernel died" in output
    assert "wrote 0 results; a cell of it must call" in output
    assert found(place) == {0: 0.0}
    failed = sorted((place / "out").glob("*.failed.ipynb"))
    assert len(failed) == 3 and all(str(path) in output for path in failed)
    assert all("This run failed" in nbformat.read(p, 4).cells[0].source for p in failed)

    code, output = run(place)  # two of the faults happen once
    assert code == 1 and "3 of 4 runs done, 1 of them before" in output
    assert found(place) == {0: 0.0, 1: 2.0, 2: 4.0}
    assert len(list((place / "out").glob("*.failed.ipynb"))) == 1


def test_nothing_is_run_twice(place):
    grid(place, seed=[0, 1])
    assert run(place, "--jobs", "2")[0] == 0
    before = {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*.json")}
    code, output = run(place)
    assert code == 0 and "2 of 2 runs done, 2 of them before" in output
    assert before == {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*.json")}
    nothing_is_left_behind(place)


def test_a_terminal_is_told_how_far_it_is(place):
    grid(place, seed=[0, 1], seconds=[1.5])
    terminal, end = pty.openpty()
    process = start(place, stderr=end)
    os.close(end)
    said = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while more := os.read(terminal, 1000):
            said += more
    output, _ = process.communicate(timeout=60)
    os.close(terminal)
    lines = [line.strip() for line in said.decode().split("\r")]
    assert "0 of 2 done, 1 running, 0 failed" in lines
    assert "1 of 2 done, 1 running, 0 failed, 0 min left" in lines
    assert output.startswith("2 of 2 runs done"), "quiet where nobody looks"


def nothing_is_left_behind(place):
    kinds = {path.name for path in (place / "out").iterdir() if not path.is_dir()}
    assert kinds <= {".lock"}
    names = {path.name for path in (place / "out").glob("*/*")}
    assert names == {"result.json", "notebook.ipynb"}


def test_a_killed_papermill_takes_its_kernel_along(place):
    grid(place, seed=[0, 1], seconds=[2.0])
    process = start(place)
    wait_for(lambda: kernels(place))
    papermills(process)[0].kill()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1 and "killed by SIGKILL" in output
    assert not (place / "said" / "0.ended").exists()
    assert found(place) == {1: 2.0}
    assert run(place)[0] == 0
    assert found(place) == {0: 0.0, 1: 2.0}
    nothing_is_left_behind(place)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_batch_that_is_killed_or_stopped_takes_all_along_and_can_go_on(number, place):
    grid(place, seed=[0, 1], seconds=[60.0])
    process = start(place, "--jobs", "2", start_new_session=True)
    wait_for(lambda: len(kernels(place)) == 2)
    began = time.monotonic()
    os.killpg(process.pid, number)  # as a terminal's Ctrl-C does
    output, _ = process.communicate(timeout=60)
    wait_for(lambda: not kernels(place), 15)
    assert time.monotonic() - began < 15
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert ("Stopped. The same command goes on" in output) == (number == signal.SIGINT)
    assert not list((place / "said").glob("*.ended"))
    assert not list((place / "out").glob("*.failed.ipynb"))
    assert found(place) == {}
    assert run(place, "--jobs", "2")[0] == 0
    assert found(place) == {0: 0.0, 1: 2.0}
    nothing_is_left_behind(place)


def test_a_run_over_its_time_limit_is_killed(place):
    grid(place, seed=[0, 1], seconds=[60.0])
    (place / "said" / "1.began").write_text("0")  # this one does not sleep
    code, output = run(place, "--timeout", "0.5", "--jobs", "2")
    assert code == 1 and "over its time limit of 0.5 minutes" in output
    assert found(place) == {1: 2.0}
    wait_for(lambda: not kernels(place), 15)


def test_a_full_disk_loses_nothing(place):
    grid(place, seed=[0, 1], fault=["large"])
    (place / "said" / "1.began").write_text("0")  # this one writes nothing large

    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    code, output = run(place, "--jobs", "2", preexec_fn=little_room)
    assert code == 1 and "File too large" in output
    assert found(place) == {1: 2.0}
    assert run(place, "--jobs", "2")[0] == 0
    assert found(place) == {0: 0.0, 1: 2.0}
    nothing_is_left_behind(place)


def test_results_that_cannot_be_stored_are_told_and_made_again(place, monkeypatch, capsys):
    grid(place, seed=[0])

    def save(folder, key, files):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(batch, "save", save)
        assert batch.main([str(place / "grid.yaml"), "--output", str(place / "out")]) == 1
    said = capsys.readouterr().out
    assert "could not be stored: [Errno 28] No space left on device" in said
    (failed,) = (place / "out").glob("*.failed.ipynb")
    assert f"see {failed}" in said and "could not be stored" in failed.read_text()
    assert run(place)[0] == 0
    assert found(place) == {0: 0.0}


def test_a_result_that_was_deleted_is_made_again(place):
    grid(place, seed=[0])
    assert run(place)[0] == 0
    (path,) = (place / "out").glob("*/result.json")
    path.unlink()
    code, output = run(place)
    assert code == 0 and "1 of 1 runs done, 0 of them before" in output
    assert found(place) == {0: 0.0}


def test_files_of_one_name_are_no_result(place):
    notebook = nbformat.read(place / "tiny.ipynb", 4)
    more = "for name in 'ab':\n    (RUNS / name).mkdir()\n"
    notebook.cells[-1].source += "\n" + more + "    (RUNS / name / 'x.csv').write_text(name)"
    nbformat.write(notebook, place / "tiny.ipynb")
    grid(place, seed=[0])
    code, output = run(place)
    assert code == 1 and "wrote several files of one name, in a/x.csv, b/x.csv" in output


def test_a_file_is_no_folder_for_results(place, capsys):
    grid(place, seed=[0])
    (place / "out").write_text("a file")
    assert batch.main([str(place / "grid.yaml"), "--output", str(place / "out")]) == 2
    assert "out is a file" in capsys.readouterr().err
    assert (place / "out").read_text() == "a file"


def dask(*arguments):
    """Start a process of Dask."""
    command = [sys.executable, "-m", *arguments, "--no-dashboard"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def scheduler(tmp_path):
    """The address of a Dask scheduler with one worker process, in folders of their own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    port = address.rpartition(":")[2]
    place = ["--local-directory", str(tmp_path / "dask")]
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


def test_a_cluster_runs_again_what_a_killed_worker_had(place, scheduler):
    address, nanny = scheduler
    grid(place, seed=[0, 1, 2], seconds=[2.0])
    process = start(place, "--scheduler", address)
    wait_for(lambda: kernels(place))
    running = kernels(place)
    (worker,) = (
        child
        for child in psutil.Process(nanny.pid).children()
        if any("lifeline" in " ".join(c.cmdline()) for c in child.children())
    )
    worker.kill()
    wait_for(lambda: not set(running) & set(kernels(place)), 15)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert found(place) == {0: 0.0, 1: 2.0, 2: 4.0}
    nothing_is_left_behind(place)


def test_on_a_cluster_too_those_that_want_to_be_alone_are(place, scheduler):
    path = grid(place, seed=[0, 1], seconds=[1.0])
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"alone": True}))
    code, output = run(place, "--scheduler", scheduler[0])
    assert code == 0, output
    times = [
        [(place / "said" / f"{seed}.{what}").stat().st_mtime for what in ("began", "ended")]
        for seed in (0, 1)
    ]
    (_, ended), (began, _) = sorted(times)
    assert ended <= began


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_batch_that_ends_takes_what_runs_on_a_cluster_along(number, place, scheduler):
    address, _ = scheduler
    grid(place, seed=[0, 1], seconds=[60.0])
    process = start(place, "--scheduler", address)
    wait_for(lambda: len(kernels(place)) == 2)
    process.send_signal(number)
    process.communicate(timeout=60)
    wait_for(lambda: not kernels(place), 30)
    assert run(place, "--scheduler", address)[0] == 0
    assert found(place) == {0: 0.0, 1: 2.0}


def test_a_scheduler_that_does_not_answer_is_named(place, monkeypatch):
    grid(place, seed=[0])
    code, output = run(place, "--scheduler", "tcp://127.0.0.1:9")
    assert code == 2 and "No Dask scheduler answers at tcp://127.0.0.1:9" in output


def test_of_two_commands_on_one_folder_the_second_is_refused(place):
    grid(place, seed=[0], seconds=[4.0])
    first = start(place)
    wait_for(lambda: kernels(place))
    code, output = run(place)
    assert code == 2 and "Another batch command works on" in output
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert found(place) == {0: 0.0}


def test_what_a_killed_command_left_is_no_result(place):
    grid(place, seed=[0])
    half = place / "out" / ".unfinished" / "tiny-0"
    half.mkdir(parents=True)
    (half / "result.json").write_text('{"param')
    assert run(place)[0] == 0
    assert found(place) == {0: 0.0}
    nothing_is_left_behind(place)


def test_a_dry_run_starts_nothing(place, capsys):
    grid(place, seed=[0, 1])
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


def test_collected_rows_say_what_they_belong_to(place):
    grid(place, seed=[0, 1], seconds=[0.0, 0.01])
    assert run(place, "--jobs", "2")[0] == 0
    assert batch.main(["collect", str(place / "out")]) == 0
    table = pd.read_csv(place / "out" / "results.csv")
    assert (
        len(table) == 4 and set(table["table"]) == {"found"} and set(table["notebook"]) == {"tiny"}
    )
    assert list(table["value"]) == list(2.0 * table["parameter.seed"])
    assert set(table["parameter.seconds"]) == {0.0, 0.01}
    assert "parameter.fault" not in table


def test_what_only_some_notebooks_have_does_not_differ():
    parameters = [{"seed": 0, "rate": 0.1}, {"seed": 1}, {"seed": 1, "rate": 0.1}]
    found = {str(i): {"parameters": each} for i, each in enumerate(parameters)}
    assert changing(found) == {"seed"}


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    assert batch.main(["collect", str(tmp_path)]) == 2
    assert "has no finished runs" in capsys.readouterr().err


@pytest.mark.parametrize("alone", [False, True])
def test_cores_are_divided_among_the_runs_but_those_alone_have_all(place, alone):
    code = 'rows = [{"threads": os.environ.get("TF_NUM_INTRAOP_THREADS", "all")}]\n'
    code += 'write_result(RUNS / "tiny.result.json", parameters, found=rows)'
    notebook = nbformat.read(place / "tiny.ipynb", 4)
    notebook.cells[-1].source = code
    nbformat.write(notebook, place / "tiny.ipynb")
    path = grid(place, seed=[0])
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"alone": alone}))
    assert run(place, "--jobs", "2")[0] == 0
    (path,) = (place / "out").glob("*/result.json")
    divided = str(max(1, os.cpu_count() // 2))
    expected = os.environ.get("TF_NUM_INTRAOP_THREADS", "all") if alone else divided
    assert json.loads(path.read_text())["rows"][0]["threads"] == expected
