"""Nodules of a volume: their slices, size and readers."""

from types import SimpleNamespace

import numpy as np
import pytest

from lidcflow.config import LabelConfig
from lidcflow.errors import LabelError
from lidcflow.evaluate.truth import findings_of
from lidcflow.labels.readings import MarkedSlice, Nodule, Origin, Reading

RECORD = SimpleNamespace(
    series_instance_uid="1.2.3",
    edges_mm=np.array([40.0, 30.0, 20.0, 10.0, 0.0]),
    slice_spacing_mm=2.0,
    row_spacing_mm=0.5,
    column_spacing_mm=1.0,
    rows=100,
    columns=100,
)
OUTLINE = np.array([[0, 0], [6, 4], [0, 4]])
"""3 mm down and 4 mm across: 5 mm from end to end."""


def outlined(points, **marked):
    return Reading("1.2.3", 4.0, Origin("xml", "file"), marks=(MarkedSlice(z_mm=25.0, points=points, **marked),))


def test_a_nodule_has_the_mean_of_its_readers_longest_diameters():
    twice = Nodule((outlined(OUTLINE), outlined(2 * OUTLINE)))

    (found,) = findings_of(RECORD, [twice], LabelConfig(), expected=np.array([0, 2, 0, 0]))

    assert (found.slices, found.label, found.size_mm, found.readers) == ({1}, 2, pytest.approx(7.5), 2)


def test_an_outline_on_a_coarser_grid_is_as_large_on_the_patient():
    (found,) = findings_of(
        RECORD, [Nodule((outlined(OUTLINE, matrix=(50, 50)),))], LabelConfig(), expected=np.array([0, 2, 0, 0])
    )

    assert found.size_mm == pytest.approx(10.0)


def test_a_nodule_without_outlines_has_its_extent_along_z():
    stretch = Reading("1.2.3", 1.0, Origin("csv", "file"), z_range_mm=(12.0, 19.0))

    (found,) = findings_of(RECORD, [Nodule((stretch,))], LabelConfig(), expected=np.array([0, 0, 1, 0]))

    assert (found.label, found.size_mm) == (1, 7.0)


def test_a_nodule_that_does_not_count_is_no_finding():
    lonely = Nodule((outlined(OUTLINE),))

    assert findings_of(RECORD, [lonely], LabelConfig(min_readers=2), expected=np.zeros(4)) == []


def test_readings_that_changed_since_the_snapshot_are_refused():
    with pytest.raises(LabelError, match=r"series 1\.2\.3: readings must be those that the snapshot was labelled with"):
        findings_of(RECORD, [], LabelConfig(), expected=np.array([0, 2, 0, 0]))
