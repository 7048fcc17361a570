"""A batch in tiles gives what the batch gives, each worker keeping to its own thread."""

import os
import threading

import numpy as np
import pytest

from pruninglib.execution import executable
from pruninglib.execution.executable import in_tiles

INPUTS = np.arange(200, dtype=np.float32).reshape(100, 2)


def workers(count, seen):
    def make(i):
        def run(inputs):
            seen.append((i, threading.get_ident(), len(inputs)))
            return inputs * 2

        return run

    return [make(i) for i in range(count)]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 10, 11, 99, 100])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_outputs_come_in_the_order_of_the_inputs(size, count, monkeypatch):
    monkeypatch.setattr(executable, "WORTH_SHARING", 0)
    seen = []
    run = in_tiles(workers(count, seen), 10, 1.0)
    np.testing.assert_array_equal(run(INPUTS[:size]), INPUTS[:size] * 2)
    assert max(length for *_, length in seen) <= 10
    assert sum(length for *_, length in seen) == size


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_threads_keep_to_cores_only_if_there_is_one_for_each(monkeypatch):
    monkeypatch.setattr(executable, "WORTH_SHARING", 0)
    whole = set(executable.cores())

    def where(inputs):
        found = os.sched_getaffinity(0)
        return np.full(len(inputs), next(iter(found)) if len(found) == 1 else -1)

    found = in_tiles([where] * len(whole), 1000, 1)(INPUTS)
    assert set(found) == whole if len(whole) > 1 else True
    assert set(in_tiles([where] * (len(whole) + 1), 1000, 1)(INPUTS)) == {-1}
    assert os.sched_getaffinity(0) == whole


def test_each_worker_has_a_thread_of_its_own_and_an_equal_share(monkeypatch):
    monkeypatch.setattr(executable, "WORTH_SHARING", 0)
    seen = []
    run = in_tiles(workers(3, seen), 1000, 1)
    for _ in range(5):
        run(INPUTS)
    assert len({(worker, thread) for worker, thread, _ in seen}) == 3
    assert {length for *_, length in seen} == {33, 34}


def test_little_work_stays_in_the_calling_thread():
    seen = []
    run = in_tiles(workers(2, seen), 1000, seconds=executable.WORTH_SHARING / 50)
    run(INPUTS[:49])
    assert seen == [(0, threading.get_ident(), 49)]
    run(INPUTS[:50])
    assert {worker for worker, *_ in seen[1:]} == {0, 1}


def test_an_error_of_a_worker_reaches_the_caller():
    def fails(inputs):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_tiles([fails, fails], 10, 1e9)(INPUTS)


@pytest.mark.parametrize(("size", "shares"), [(59, [59]), (60, [30, 30])])
def test_no_worker_gets_fewer_than_are_worth_its_while(size, shares, monkeypatch):
    monkeypatch.setattr(executable, "WORTH_SHARING", 0)
    seen = []
    in_tiles(workers(2, seen), 1000, 1, least=30)(INPUTS[:size])
    assert [length for *_, length in seen] == shares
