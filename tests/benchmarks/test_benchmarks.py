"""What the benchmarks share."""

import os
import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import turns
from machine import processor
from sections import README, write_head, write_section
from turns import Worker, take_turns

from evidence.choices.resumed import resumed

BENCHMARKS = Path(turns.__file__).parent


def test_a_table_goes_on_where_it_was_left(tmp_path):
    file, measured = tmp_path / "rows.csv", []
    settings = [{"ridge": 0.1, "seed": seed} for seed in (0, 1, 2)]

    def measure(setting):
        measured.append(setting["seed"])
        if measured == [0, 1, 2]:
            raise KeyboardInterrupt
        return {"error": setting["seed"] / 10}

    with pytest.raises(KeyboardInterrupt):
        resumed(file, settings, measure)
    assert list(pd.read_csv(file)["error"]) == [0, 0.1]
    table = resumed(file, settings, measure)
    assert measured == [0, 1, 2, 2]
    assert list(table["error"]) == [0, 0.1, 0.2]
    resumed(file, settings, measure)
    assert measured == [0, 1, 2, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_a_section_replaces_that_of_its_title_and_leaves_the_others(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# Benchmarks\n\n{processor()}\n\n## One\n\nold\n\n## Two\n\nstays\n")
    write_section("One", "\nnew\n", readme)
    write_section("Three", "last", readme)
    assert readme.read_text() == (
        f"# Benchmarks\n\n{processor()}\n\n## One\n\nnew\n\n## Two\n\nstays\n\n## Three\n\nlast\n"
    )


def test_a_section_of_another_machine_says_so(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# Benchmarks\n\nAnother processor.\n\n## One\n\nold\n")
    write_section("One", "new", readme)
    assert readme.read_text().endswith(f"new\n\nFrom another machine: {processor()}.\n")


def test_the_sections_that_are_published_are_in_this_form(tmp_path, monkeypatch):
    monkeypatch.setattr("sections.processor", lambda: "Machine")  # a word of the head
    readme = tmp_path / "README.md"
    readme.write_text(README.read_text())
    body = README.read_text().split("\n## Repair\n")[1].split("\n## ")[0]
    write_section("Repair", body, readme)
    assert readme.read_text() == README.read_text()


def test_a_head_leaves_the_sections(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# Old\n\n## One\n\nstays\n")
    write_head("# New\n\nWords.", readme)
    assert readme.read_text() == "# New\n\nWords.\n\n## One\n\nstays\n"


def test_variants_take_turns_after_a_warm_up(monkeypatch):
    monkeypatch.setattr(turns, "PAUSE", 0)
    called = []
    variants = {name: lambda name=name: called.append(name) or len(called) for name in "ab"}
    assert take_turns(variants, 2) == {"a": [3, 5], "b": [4, 6]}
    assert called == [*"ab", *"ab", *"ab"]


def test_a_worker_answers_from_a_process_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "peers").mkdir()
    script = tmp_path / "peers" / "own.py"
    script.write_text(
        f"import os, sys\nsys.path.insert(0, {str(BENCHMARKS)!r})\nfrom turns import serve\n"
        "print('noise')\nserve({'add': lambda a, b: a + b, 'process': os.getpid, "
        "'argument': lambda: sys.argv[1]})\n"
    )
    monkeypatch.setattr(turns, "HERE", tmp_path)
    worker = Worker("own.py", "", 7)
    assert worker("add", 1, 2) == 3 and worker("argument") == "7"
    assert worker("process") != os.getpid()
    worker.close()
    assert worker.process.returncode == 0


def test_a_worker_that_dies_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "dies.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(turns, "HERE", tmp_path)
    worker = Worker("dies.py")
    with pytest.raises((RuntimeError, BrokenPipeError)):
        worker("anything")
    worker.close()
    assert worker.process.returncode == 3


def test_a_call_is_repeated_until_it_fills_the_time():
    count = []
    assert 0 < turns.repeated(lambda: count.append(1), least=0.005) < 1e-4
    assert len(count) > 100


def test_a_clock_counts_the_seconds_of_the_steps_after_the_first_ones(monkeypatch):
    now = iter([10, 20, 31, 45])
    monkeypatch.setattr(turns, "perf_counter", lambda: next(now))
    clock = turns.clock(object)
    clock.on_train_begin()
    for batch in range(4):
        clock.on_train_batch_end(batch)
    assert clock.seconds(1) == 35 and clock.seconds(3) == 14


def test_cold_calls_are_timed_one_by_one(monkeypatch):
    times = iter([3, 9, 4])
    monkeypatch.setattr(turns, "seconds", lambda function: function() or next(times))
    called = []
    assert turns.cold(lambda: called.append(1), calls=3) == 4
    assert len(called) == 3
