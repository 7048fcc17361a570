"""The line says what, how far and how long, once a second, and nothing where nobody reads."""

import io
import os
import re
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

import pruninglib as pl
from pruninglib import progress_line
from pruninglib.progress_line import progress, working
from pruninglib.recovery import training


class Clock:
    """Time that passes when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress_line, "perf_counter", clock)
    return clock


@pytest.fixture
def said(monkeypatch):
    """What was shown, [(text, whether it was the last)]."""
    lines = []
    monkeypatch.setattr(progress_line, "place", lambda: lambda *line: lines.append(line))
    return lines


def test_steps_come_out_as_they_went_in_and_the_line_says_how_far(clock, said):
    found = []
    for step in progress(iter("abc"), "network", 3):
        found.append(step)
        clock.now += 2
    assert found == ["a", "b", "c"]
    assert said == [
        ("network 2 of 3, 4 s left", False),
        ("network 3 of 3, 2 s left", False),
        ("network 3 of 3, 0 s left", False),
        ("network 3 of 3, done after 6 s", True),
    ]


def test_it_is_rewritten_once_a_second_at_most(clock, said):
    for _ in progress(range(1000), "step"):
        clock.now += 0.0101
    assert len(said) == 11 and clock.now == pytest.approx(10.1)


def test_nothing_is_said_of_what_takes_less_than_a_second(clock, said):
    for _ in progress(range(10), "step"):
        clock.now += 0.09
    assert said == []


def test_work_within_work_stands_in_the_same_line_and_counts_for_the_time_left(clock, said):
    for _ in progress(["a", "b"], "network"):
        for _ in progress(range(4), "iteration"):
            clock.now += 5
    texts = [text for text, _ in said]
    assert texts[0] == "network 1 of 2, iteration 2 of 4, 35 s left"
    assert texts[4] == "network 2 of 2, iteration 2 of 4, 15 s left"
    assert texts[-1] == "network 2 of 2, done after 40 s"
    assert sum(last for _, last in said) == 1


def test_a_single_step_is_not_counted(clock, said):
    for _ in progress(["a"], "criterion"):
        for _ in progress(range(2), "sparsity"):
            clock.now += 2
    assert said[0][0] == "sparsity 2 of 2, 2 s left"
    assert said[-1][0] == "criterion, done after 4 s"


def test_once_a_step_is_done_the_time_left_does_not_jump_with_what_is_within(clock, said):
    for _ in progress(range(3), "network"):
        for seconds, word in ((1, "sparsity"), (30, "retraining")):
            for _ in progress(range(4), word):
                clock.now += seconds
    left = [text.rpartition(", ")[2] for text, last in said if "network 1" not in text and not last]
    # 124 s for each network; 4 + 4 x 30 s within the second
    seconds = [int(text.split()[0]) for text in left if " s " in text]
    assert left[:2] == ["4 min left", "4 min left"] and seconds == sorted(seconds, reverse=True)


def test_what_another_cell_left_unfinished_is_not_told(clock, said, monkeypatch):
    monkeypatch.setattr(progress_line, "cell", lambda: 1)
    unfinished = progress(range(5), "first")
    next(unfinished)
    monkeypatch.setattr(progress_line, "cell", lambda: 2)
    for _ in progress(range(2), "second"):
        clock.now += 2
    assert said[0][0] == "second 2 of 2, 2 s left"


def test_an_error_or_a_break_ends_the_line_and_the_next_work_begins_another(clock, said):
    with pytest.raises(RuntimeError, match="mine"), working("step", 4) as tell:
        clock.now += 2
        tell(1)
        raise RuntimeError("mine")
    assert said[-1] == ("step 1 of 4, stopped after 2 s", True)
    for _ in progress(range(5), "other"):
        break
    for _ in progress(range(2), "third"):
        clock.now += 2
    assert said[-1][0] == "third 2 of 2, done after 4 s"


def test_work_that_is_left_behind_does_not_stay_in_the_line(clock, said):
    abandoned = progress(range(5), "inner")
    for _ in progress(range(2), "outer"):
        next(abandoned)
        clock.now += 2
    assert said[-1][0] == "outer 2 of 2, done after 4 s"
    abandoned.close()
    for _ in progress(range(2), "next"):
        clock.now += 2
    assert said[-1][0] == "next 2 of 2, done after 4 s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5900, "98 min"), (6000, "1.7 h")],
)
def test_durations_are_told_in_the_unit_that_suits(seconds, text):
    assert progress_line._duration(seconds) == text


def test_a_terminal_is_told_unless_quiet_is_asked_for(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("PRUNINGLIB_QUIET", raising=False)
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(progress_line, "get_terminal_size", lambda: os.terminal_size((20, 5)))
    show = progress_line.place()
    show("network 1 of 3, 20 s left", False)
    show("done", True)
    assert sys.stdout.getvalue() == f"\rnetwork 1 of 3, 20 \r{'done':<19}\n"
    monkeypatch.setenv("PRUNINGLIB_QUIET", "1")
    assert progress_line.place() is None


SLEEPING = """import time
from pruninglib.progress_line import progress
for _ in progress(range(6), "nap"):
    time.sleep(0.4)"""


def executed(monkeypatch, quiet):
    monkeypatch.setenv("PRUNINGLIB_QUIET", quiet)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SLEEPING)])
    NotebookClient(notebook, kernel_name="python3").execute()
    return notebook.cells[0].outputs


@pytest.mark.processes
def test_a_saved_notebook_has_one_line_the_last(monkeypatch):
    (output,) = executed(monkeypatch, quiet="")
    assert output.output_type == "display_data"
    assert re.fullmatch(r"nap 6 of 6, done after \d s", output.data["text/plain"])


@pytest.mark.processes
def test_a_quiet_notebook_has_none(monkeypatch):
    assert executed(monkeypatch, quiet="1") == []


LONG = {
    "sweep": lambda model, data: list(pl.prune_sweep(model, data, CRITERIA, [0.0, 0.5])),
    "recovery": lambda model, data: list(
        pl.recovery_sweep(model, data, CRITERIA, [0.0, 0.5], iterations=(3,))
    ),
    "repair": lambda model, data: pl.repair(
        pl.prune(model, pl.make_masks(model, pl.magnitude, 0.5)), model, data.x_train
    ),
    "retraining": lambda model, data: pl.retrain(
        pl.prune(model, pl.make_masks(model, pl.magnitude, 0.5)), model, *data[1:3], iterations=3
    ),
    "timing": lambda model, data: list(
        pl.time_models({"keras": model}, data.x_test, [1, 2], repeats=2, limit=2, least_seconds=0)
    ),
}
CRITERIA = {"weight": pl.magnitude, "unit": pl.unit_norm}


@pytest.mark.parametrize(
    "work, tells",
    [
        ("sweep", {"criterion", "sparsity"}),
        pytest.param("recovery", {"criterion", "sparsity", "iteration"}, marks=pytest.mark.more),
        ("repair", {"layer"}),
        ("retraining", {"iteration"}),
        ("timing", {"batch size", "turn"}),
    ],
)
def test_long_work_tells_how_far_it_is(work, tells, monkeypatch, said, trained, tiny):
    monkeypatch.setattr(progress_line, "EVERY", 0.0)
    monkeypatch.setattr(training, "place", progress_line.place)
    LONG[work](trained, tiny)
    texts = [text for text, _ in said]
    words = {word for text in texts for word in re.findall(r"([a-z ]+?) \d+ of \d+", text)}
    assert tells <= {word.strip() for word in words}
    assert re.search(r" of \d+, done after \d+ s$", texts[-1])


@pytest.mark.processes
def test_a_script_on_a_pipe_prints_nothing():
    done = subprocess.run([sys.executable, "-c", SLEEPING], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
