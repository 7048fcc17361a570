"""Files are written whole or not at all."""

import os

import pytest

from pruninglib.atomic import written_whole


def test_written_whole_appears_at_the_end_only(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with written_whole(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent and temporary.suffix == ".csv"
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["table.csv"]


def test_failure_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), written_whole(path) as temporary:
        temporary.write_text("ha")
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_failure_before_anything_is_written_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), written_whole(tmp_path / "table.csv"):
        _ = 1 / 0
    assert os.listdir(tmp_path) == []
