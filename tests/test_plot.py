"""The pictures of lectures 01 and 02: they show what they are given, and the large table is drawn fast."""

import time

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from course_utils import lesson, plot
from course_utils.lectures.names import LETTERS, build_dataset, load_names


@pytest.fixture(autouse=True)
def as_in_a_notebook(monkeypatch):
    """The course's style, and a `show` that draws."""
    monkeypatch.setattr(plt, "show", lambda: plt.gcf().canvas.draw())
    with plt.style.context(lesson.STYLE):
        yield
    plt.close("all")


def words_of(ax) -> tuple[str, str, str]:
    return ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")


# --- the labelled table ----------------------------------------------------------------------------------------------


def test_the_bigram_picture_takes_less_than_half_a_second():
    X, Y = build_dataset(load_names(), 1)
    counts = torch.bincount(27 * X[:, 0] + Y, minlength=27 * 27).view(27, 27)
    seconds = []
    for _ in range(4):
        start = time.process_time()  # of this process alone, whatever else the machine does
        plot.labelled_table(counts, LETTERS.chars, "bigrams")
        seconds.append(time.process_time() - start)
        plt.close("all")
    best = min(seconds[1:])  # the first one loads the fonts
    assert best < 0.5, f"{best:.2f} s"


def ink(table, labels="ab", **options) -> dict[tuple[int, int], int]:
    """How many outline points of the writing fall into each cell (row, column)."""
    plot.labelled_table(table, labels, "a title", **options)
    points = np.concatenate([patch.get_path().vertices for patch in plt.gca().patches])
    cells, counts = np.unique(points.round().astype(int), axis=0, return_counts=True)
    return {(int(row), int(column)): int(n) for (column, row), n in zip(cells, counts, strict=True)}


def test_every_cell_says_which_one_it_is_and_how_much():
    written = ink(torch.tensor([[5, 0], [0, 11111]]))
    assert set(written) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert ink(torch.tensor([[5, 0], [0, 1]]))[1, 1] < written[1, 1], "a longer number, and no more ink"
    written = ink(torch.tensor([[5, 11111], [1, 5]]))
    assert written[0, 1] > written[1, 0], "row and column are exchanged"
    ax = plt.gca()
    assert words_of(ax) == ("next character", "character", "a title")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]


def test_rows_are_what_comes_first_and_the_numbers_keep_their_place():
    shade = torch.tensor([[0.0, 9.0], [1.0, 4.0]])
    plot.labelled_table(shade, "ab", "")
    torch.testing.assert_close(torch.tensor(plt.gca().images[0].get_array()), (shade.double() / 9).sqrt())


def test_writing_is_light_on_dark_cells_and_dark_on_light_ones():
    plot.labelled_table(torch.tensor([[100, 1], [2, 90]]), "ab", "")
    lightness = {}
    for patch in plt.gca().patches:
        middle = patch.get_path().vertices.round().astype(int)
        for column, row in np.unique(middle, axis=0):
            lightness[int(row), int(column)] = sum(patch.get_facecolor()[:3]) / 3
    assert min(lightness[0, 0], lightness[1, 1]) > 0.9 and max(lightness[0, 1], lightness[1, 0]) < 0.3


def test_numbers_may_be_fractions_and_labels_several_characters():
    table = torch.tensor([[0.125, 0.875], [0.5, 0.5]])
    whole = sum(ink(table).values())
    assert sum(ink(table, number_format="{:.3f}").values()) > whole
    assert sum(ink(table, labels=["a1", "b2"]).values()) > whole


# --- grid and boundaries ---------------------------------------------------------------------------------------------


def test_a_grid_covers_the_points_row_by_row():
    X = [[0.0, 10.0], [2.0, 16.0], [1.0, 11.0]]
    places = plot.grid(X, resolution=5, margin=1)
    assert len(places) == 25 and places[0] == [-1.0, 9.0] and places[4] == [3.0, 9.0] and places[-1] == [3.0, 17.0]
    assert places[1] == [0.0, 9.0] and places[5] == [-1.0, 11.0]
    assert all(type(number) is float for place in places for number in place)  # `Value` takes plain numbers


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_a_boundary_is_where_the_score_is_zero(kind):
    X, y = [[0.0, 0.0], [4.0, 4.0], [4.0, 0.0]], [-1, 1, 1]
    places = plot.grid(X)
    plot.boundaries({"at 1": kind([x - 1 for x, _ in places]), "nowhere": kind([1.0] * len(places))}, places, X, y)
    at_1, nowhere = plt.gcf().axes[:2]
    lines = [[c for c in ax.collections if list(getattr(c, "levels", [])) == [0]] for ax in (at_1, nowhere)]
    assert [len(found) for found in lines] == [1, 0]
    line = np.concatenate([path.vertices for path in lines[0][0].get_paths()])
    np.testing.assert_allclose(line[:, 0], 1, atol=1e-6)  # torch's scores are float32
    points = {c.get_label(): np.asarray(c.get_offsets()).tolist() for c in at_1.collections if c.get_label()[0] != "_"}
    assert points == {"negative": [[0.0, 0.0]], "positive": [[4.0, 4.0], [4.0, 0.0]]}
    assert (at_1.get_xlabel(), at_1.get_ylabel()) == ("x1", "x2")


def test_scores_for_other_places_are_refused():
    X, y = [[0.0, 0.0], [1.0, 1.0]], [-1, 1]
    with pytest.raises(ValueError, match="5"):
        plot.boundaries({"net": [0.0] * 5}, plot.grid(X), X, y)


# --- heat maps -------------------------------------------------------------------------------------------------------


def test_heat_maps_show_their_matrices_each_on_its_own_scale_or_on_one():
    small, large = torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([[10.0, 20.0], [30.0, 40.0]])
    plot.heatmaps({"small": small, "large": large.requires_grad_()}, labels="ab", title="both")
    pictures = [ax.images[0] for ax in plt.gcf().axes if ax.images]
    assert [picture.axes.get_title(loc="left") for picture in pictures] == ["small", "large"]
    assert [picture.get_clim() for picture in pictures] == [(0, 3), (10, 40)]
    np.testing.assert_array_equal(pictures[1].get_array(), large.detach())
    assert [tick.get_text() for tick in pictures[0].axes.get_yticklabels()] == ["a", "b"]
    assert plt.gcf().get_suptitle() == "both"
    plot.heatmaps({"small": small, "large": large}, share_scale=True)
    assert {ax.images[0].get_clim() for ax in plt.gcf().axes if ax.images} == {(0, 40)}


def test_one_matrix_of_another_shape_needs_no_labels():
    plot.heatmaps({"wide": np.ones((2, 5))})
    assert words_of(plt.gcf().axes[0]) == ("column", "row", "wide")
