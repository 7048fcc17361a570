"""Figures of one test have no style of another's."""

import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def own_style():
    with plt.rc_context():
        plt.rcdefaults()
        yield
