"""Which cases of a test run where, and how many examples of a property."""

import os

import pytest
from hypothesis import settings


def more(*values):
    """Parameters that make check leaves out, beside others of the same test."""
    return [pytest.param(value, marks=pytest.mark.more) for value in values]


def tried(examples, **more):
    """Settings of a property that takes long: all examples in make test-all, else a fifth."""
    if not os.environ.get("PRUNINGLIB_ALL_EXAMPLES"):
        examples //= 5
    return settings(max_examples=examples, deadline=None, derandomize=True, **more)
