"""The picture of the atlas read back from its artists."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from landscape.catalogue.table import atlas
from landscape.degeneracy.judgement import Doubt, Verdict
from landscape.model.problem import Problem
from landscape.plot.atlas import draw_atlas
from landscape.plot.dark import darken
from landscape.plot.theme import new_figure
from tests.plot.test_spectrum_plot import assert_legible

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def test_every_point_but_zero_is_drawn_with_its_index_and_the_minima_are_named() -> None:
    entries = atlas(PAPER).entries
    figure, (axes,) = new_figure(width=4.6, height=3.6)
    draw_atlas(axes, entries, "atlas")
    figure.canvas.draw()
    marks = [part for part in axes.collections if isinstance(part, PathCollection)]
    drawn = sorted(float(y) for part in marks for _, y in np.asarray(part.get_offsets()))
    assert drawn == sorted(entry.loss for entry in entries if entry.rank)
    (saddles,) = (part for part in marks if part.get_array() is not None)
    assert sorted(np.asarray(saddles.get_array()).tolist()) == sorted(entry.index for entry in entries if entry.index)
    words = {text.get_text() for text in axes.texts}
    assert {"pairs", "DNC", "groups 6, 2, 2", "groups 8, 2", "triangular code T(5)", "10-gon"} <= words
    assert_legible(figure)
    assert "zero point at 2.303 not shown" in words
    assert axes.get_yscale() == "linear"


@pytest.mark.parametrize("width", [3.3, 6.8])
def test_a_name_stands_on_no_marker_and_a_line_leads_from_where_it_is_not_beside_its_own(width: float) -> None:
    figure, (axes,) = new_figure(width=width, height=3.0)
    draw_atlas(axes, atlas(PAPER).entries)
    assert_legible(figure)
    dots = figure.dpi / 72
    marks = {}
    for part in axes.collections:
        for offset, size in _sized(part) if isinstance(part, PathCollection) else ():
            (x, y), reach = axes.transData.transform(offset), dots * size**0.5 / 2
            marks[tuple(offset)] = Bbox.from_extents(x - reach, y - reach, x + reach, y + reach)
    notes = [text for text in axes.texts if isinstance(text, Annotation)]
    led = {tuple(note.xy) for note in notes if not note.get_text()}
    for note in notes:
        if note.get_text():
            box, own = Text.get_window_extent(note), marks[tuple(note.xy)]
            assert not any(box.padded(-1).overlaps(mark) for mark in marks.values()), note.get_text()
            assert (min(abs(box.y0 - own.y1), abs(box.y1 - own.y0)) > 4 * dots) == (tuple(note.xy) in led)


def test_markers_of_one_rank_do_not_hide_each_other_and_grow_with_the_copies() -> None:
    entries = [entry for entry in atlas(PAPER).entries if entry.rank in (2, 8)]  # rank 2 lies far above, so the others are close
    figure, (axes,) = new_figure(width=4.6, height=3.6)
    draw_atlas(axes, entries)
    figure.canvas.draw()
    offsets = [tuple(map(float, offset)) for part in axes.collections for offset in np.asarray(part.get_offsets())]
    assert len({round(x, 3) for x, _ in offsets}) == len(entries)
    areas = {float(y): area for part in axes.collections if isinstance(part, PathCollection) for (_, y), area in _sized(part)}
    sizes = [areas[entry.loss] for entry in sorted(entries, key=lambda entry: entry.copies or 0)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def _sized(part: PathCollection) -> list[tuple[np.ndarray, float]]:
    offsets, sizes = np.asarray(part.get_offsets()), np.asarray(part.get_sizes())
    return [(offset, float(sizes[i % len(sizes)])) for i, offset in enumerate(offsets)]


def test_undecided_points_are_hollow_and_a_zero_point_alone_is_drawn() -> None:
    entries = atlas(PAPER).entries
    _, (axes,) = new_figure()
    facts = replace(entries[0].facts, verdict=Verdict.doubtful(Doubt.TOO_FAINT, "because"))
    draw_atlas(axes, [replace(entries[0], facts=facts)])
    assert axes.collections[0].get_facecolors().size == 0  # type: ignore[attr-defined]
    _, (axes,) = new_figure()
    draw_atlas(axes, [entry for entry in entries if entry.rank == 0])
    assert len(axes.collections) == 1


def test_on_a_dark_ground_a_saddle_of_high_index_has_a_light_edge() -> None:
    figure, (axes,) = new_figure(width=4.6, height=3.6)
    draw_atlas(axes, atlas(PAPER).entries)
    (saddles,) = (part for part in axes.collections if isinstance(part, PathCollection) and part.get_array() is not None)
    figure.canvas.draw()
    before = np.asarray(saddles.get_facecolor())
    darken(figure)
    figure.canvas.draw()
    ground = np.asarray(figure.get_facecolor())[:3].max()
    assert before[:, :3].max(axis=1).min() < 0.5, "some values are dark"
    assert np.array_equal(saddles.get_facecolor(), before), "colours stand for values"
    assert np.asarray(saddles.get_edgecolor())[:, :3].min() > ground + 0.5
