"""Native code's log lines are hidden, and only while the block runs."""

import os

import pytest

from pruninglib.backend import native_stderr_silenced


@pytest.fixture(autouse=True)
def not_verbose(monkeypatch):
    monkeypatch.delenv("PRUNINGLIB_VERBOSE", raising=False)


def test_hides_the_block_and_nothing_after_it(capfd):
    with native_stderr_silenced():
        os.write(2, b"noise")
    os.write(2, b"signal")
    assert capfd.readouterr().err == "signal"


def test_standard_error_comes_back_after_an_exception(capfd):
    with pytest.raises(ZeroDivisionError), native_stderr_silenced():
        _ = 1 / 0
    os.write(2, b"signal")
    assert capfd.readouterr().err == "signal"


def test_standard_output_stays(capfd):
    with native_stderr_silenced():
        os.write(1, b"result")
    assert capfd.readouterr().out == "result"


def test_verbose_shows_all(capfd, monkeypatch):
    monkeypatch.setenv("PRUNINGLIB_VERBOSE", "1")
    with native_stderr_silenced():
        os.write(2, b"noise")
    assert capfd.readouterr().err == "noise"


def test_no_file_descriptor_is_leaked():
    def lowest_free():
        os.close(descriptor := os.dup(0))
        return descriptor

    before = lowest_free()
    with native_stderr_silenced():
        assert lowest_free() > before
    assert lowest_free() == before


def test_of_two_blocks_at_once_the_last_one_ends_it(capfd):
    first, second = native_stderr_silenced(), native_stderr_silenced()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    os.write(2, b"noise")
    second.__exit__(None, None, None)
    os.write(2, b"signal")
    assert capfd.readouterr().err == "signal"
