"""Figures have one look, and words for those who do not see them."""

import base64
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from pruninglib.plotting import style
from pruninglib.plotting.style import set_axes


@pytest.fixture
def ax():
    with plt.style.context(style.STYLE):
        figure, ax = plt.subplots(figsize=(6, 4))
        yield ax
        figure.canvas.draw()
        plt.close(figure)


def test_a_figure_is_shown_with_its_words_and_written_with_them(ax, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *data, **how: shown.append((*data, how)))
    style.show(ax.figure, "A curve falls.", tmp_path / "new" / "curve.png")
    (data, how), (below, _) = shown
    assert below["text/plain"] == "A curve falls." and "A curve falls." in below["text/html"]
    assert how["metadata"]["image/png"]["alt"] == "A curve falls." and how["raw"]
    content = (tmp_path / "new" / "curve.png").read_bytes()
    assert base64.b64decode(data["image/png"]) == content
    assert data["text/plain"] == "A curve falls."
    assert Image.open(BytesIO(content)).text == {"Description": "A curve falls."}
    assert not plt.get_fignums()


def test_a_figure_is_the_same_each_time(tmp_path):
    def once():
        fig, ax = plt.subplots()
        ax.plot([1, 2])
        return style.png(fig, "words")

    assert once() == once()


def test_means_are_those_of_the_nearest_sparsity_and_of_each_name():
    rows = [(0.5, "a b", "c", 0.9), (0.85, "a b", "c", 0.4), (0.85, "a b", "d", 0.2)]
    table = pd.DataFrame(rows, columns=["sparsity", "one", "two", "accuracy"])
    said = style.means(table, ["one", "two"])
    assert said == "at a sparsity of 85% a b c 40.0%, a b d 20.0%"


def test_figures_have_one_style_and_as_many_panels_as_asked_for():
    fig, axes = style.figure(3, 2, 5, sharex=True)
    assert axes.shape == (2, 3) and fig.get_size_inches().tolist() == [style.WIDTH, 5]
    fig, ax = style.figure()
    assert not ax.spines["top"].get_visible()
    ax.plot([1], [1], label="one")
    assert not ax.legend().get_frame_on(), "what is drawn later has the style, too"
    plt.close("all")


def test_equal_factors_of_what_is_missing_are_equally_far_apart(ax):
    set_axes(ax, "sparsity", "accuracy")
    x, _ = ax.transScale.transform([(s, 0.5) for s in (0.0, 0.9, 0.99, 0.999)]).T
    assert_allclose(np.diff(x), 1)
    assert_allclose(ax.transScale.inverted().transform([(1.0, 2.0)]), [[0.9, 0.99]])
    ax.plot([0, 0.5, 0.99, 1.0], [0.1, 0.9, 0.98, 1.0])
    ax.figure.canvas.draw()
    assert "95%" in [tick.get_text() for tick in ax.get_xticklabels()]


def test_the_same_quantity_has_the_same_axis_whichever_way_it_stands(ax):
    set_axes(ax, "accuracy", "parameters")
    assert ax.get_xscale() == "function" and ax.get_yscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("accuracy", "weights left")
    set_axes(ax, "anything", "else")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("anything", "else")
