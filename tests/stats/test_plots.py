"""Figures are drawn from whatever a training leaves, however little."""

import numpy as np

from lidcflow.stats.plots import Tile, confusion_plot, curves, montage, reliability_plot


def texts(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_curves_show_training_and_validation_by_epoch():
    figure = curves({"loss": [1.0, 0.5], "val_loss": [1.1, 0.7], "accuracy": [0.5, 0.6]}, "sector 1")

    loss, accuracy = figure.axes
    assert [list(line.get_xdata()) for line in loss.lines] == [[1, 2], [1, 2]]
    assert len(accuracy.lines) == 1


def test_a_confusion_matrix_shows_counts_and_shares_of_the_true_class():
    figure = confusion_plot(np.array([[9, 1, 0], [1, 1, 0], [0, 0, 0]]), "sector 1")

    assert texts(figure)[:4] == ["9\n90%", "1\n10%", "0\n0%", "1\n50%"]


def test_reliability_compares_what_was_said_with_what_was_there():
    p_nodule, labels = np.repeat([0.1, 0.5], 40), np.array([0] * 40 + [1, 0] * 20)

    figure = reliability_plot(p_nodule, labels, "sector 1")

    points = figure.axes[0].lines[1].get_xydata().tolist()
    np.testing.assert_allclose(points[0], [0.1, 0.0])
    np.testing.assert_allclose(points[-1], [0.5, 0.5])


def test_a_montage_names_rows_that_are_empty():
    tile = Tile(np.zeros((4, 4), dtype=np.int16), "slice 3")

    figure = montage({"found": [tile, tile], "missed": []}, "sector 1")

    assert texts(figure) == ["found", "slice 3", "slice 3", "missed: none"]
    assert len(figure.axes[0].images) == 2


def test_a_montage_has_each_slice_in_its_row_and_column_inside_the_figure():
    tile = Tile(np.zeros((4, 4), dtype=np.int16), "slice 3")

    figure = montage({"found": [tile, tile], "missed": [tile]}, "sector 1")

    (first, second, below), (width, height) = [image.get_extent() for image in figure.axes[0].images], figure.bbox.size
    assert second[0] > first[1]
    assert (second[2:], below[:2]) == (first[2:], first[:2])
    assert below[3] > first[2]
    assert second[1] < width / figure.dpi
    assert below[2] < height / figure.dpi


def test_texts_beside_axes_lie_inside_the_figure():
    figure = confusion_plot(np.array([[9, 1, 0], [1, 1, 0], [0, 0, 0]]), "sector 1")

    drawn = figure.get_tightbbox()

    assert drawn.x0 >= 0
    assert drawn.y0 >= 0
    assert (drawn.x1, drawn.y1) <= tuple(figure.get_size_inches())


def test_every_figure_says_research_use_only():
    figure = curves({"loss": [1.0]}, "sector 1")

    assert figure.get_supxlabel() == "research use only"
