"""Write the names of curves beside them, where there is room."""

import numpy as np
from matplotlib import patheffects

HALO = [patheffects.withStroke(linewidth=2.5, foreground="white")]
SIZE = 9  # points


def label_lines(ax):
    """Write each labelled line's name beside it, in its colour, and return the axes.

    Of the places on all sides of a line that one is taken whose text keeps furthest from the other
    lines; on the names that were written before it writes only if there is no other place.
    """
    ax.figure.draw_without_rendering()  # puts the axes where they will be
    lines = [line for line in ax.get_lines() if np.isfinite(line.get_xydata()).all(axis=1).any()]
    curves = [_pixels(ax, line) for line in lines]
    frame = ax.get_window_extent()
    corners = np.array([[frame.x0, frame.y0], [frame.x1, frame.y1]])
    taken = np.zeros((0, 2))
    for number, line in enumerate(lines):
        name = line.get_label()
        if name.startswith("_"):
            continue
        rows = name.split("\n")
        size = np.array([0.62 * max(map(len, rows)) + 0.4, 1.2 * len(rows)])
        size *= SIZE * ax.figure.dpi / 72
        others = np.concatenate([*curves[:number], *curves[number + 1 :], np.zeros((0, 2))])
        centre = _roomiest(curves[number], size, others, taken, corners)
        x, y = ax.transData.inverted().transform(centre)
        style = {"fontsize": SIZE, "ha": "center", "va": "center", "path_effects": HALO}
        ax.text(x, y, name, color=line.get_color(), **style)
        taken = np.concatenate([taken, _inside(centre, size)])
    return ax


def _pixels(ax, line):
    """Return points along a line, close together, in pixels."""
    points = ax.transData.transform(np.column_stack([line.get_xdata(), line.get_ydata()]))
    points = points[np.isfinite(points).all(axis=1)]
    steps = np.arange(len(points))
    fine = np.linspace(0, max(0, len(points) - 1), 40 * max(1, len(points) - 1) + 1)
    return np.column_stack([np.interp(fine, steps, axis) for axis in points.T])


def _roomiest(curve, size, others, taken, corners):
    """Return the centre for a text of that size, next to a curve."""
    sides = np.array([(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)])
    centres = (curve[::4, None] + sides * (size / 2 + 3)).reshape(-1, 2)
    within = (centres - size / 2 >= corners[0]) & (centres + size / 2 <= corners[1])
    fits = centres[within.all(axis=1)]
    centres = fits if len(fits) else centres
    room = np.minimum(_distances(centres, size, others), 3 * size[1])
    own = np.minimum(_distances(centres, size, curve), 3)
    free = np.minimum(_distances(centres, size, taken), 1)
    return centres[np.argmax(room + own + 1000 * free)]


def _distances(centres, size, points):
    """Return how far each text box keeps from the nearest of the points."""
    if not len(points):
        return np.full(len(centres), np.inf)
    gaps = np.abs(centres[:, None] - points[None]) - size / 2
    return np.hypot(*np.maximum(gaps, 0).transpose(2, 0, 1)).min(axis=1)


def _inside(centre, size):
    """Return points that fill a text box."""
    grid = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 9), np.linspace(-0.5, 0.5, 3)), axis=-1)
    return centre + grid.reshape(-1, 2) * size
