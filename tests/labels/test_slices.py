import locale
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidcflow.config import LabelConfig
from lidcflow.errors import LabelError
from lidcflow.labels.lidc import lidc_scans, nodules_of
from lidcflow.labels.readings import MarkedSlice, Nodule, Origin, Reading
from lidcflow.labels.slices import (
    LEAST_OVERLAP_MM,
    LabelRow,
    NoduleSlices,
    all_label_rows,
    label_string,
    nodule_slices,
    nodules_of_volume,
    slab_labels,
    write_label_table,
)
from lidcflow.nodules.chest_height import FILE
from lidcflow.nodules.chest_height_table import chest_height_table, table_text

EDGES_MM = np.array([40.0, 30.0, 20.0, 10.0, 0.0])
"""Four slabs of 10 mm."""

ONE_POINT = np.array([[100, 100]])


def reading(*z_mm: float, malignancy: int = 4, inclusion: bool = True) -> Reading:
    marks = tuple(MarkedSlice(z, None, inclusion, ONE_POINT) for z in z_mm)
    return Reading("1.2.3", float(malignancy), Origin("csv", "made"), marks)


def nodule(*z_mm: float, malignancy: int = 4) -> Nodule:
    return Nodule((reading(*z_mm, malignancy=malignancy),))


def labels(*nodules: Nodule, h_mm: float = 1.0, **config: object) -> str:
    return label_string(slab_labels(EDGES_MM, nodules, h_mm, LabelConfig(**config)))


def test_a_slice_without_a_nodule_is_class_0():
    assert labels() == "0000"


def test_a_slice_has_the_class_of_the_nodule_in_it_top_first():
    assert labels(nodule(35.0, malignancy=2), nodule(5.0, malignancy=3)) == "1002"


def test_the_worst_nodule_decides_in_any_order():
    benign, malignant = nodule(25.0, 15.0, malignancy=1), nodule(25.0, malignancy=5)

    assert labels(benign, malignant) == labels(malignant, benign) == "0210"


def test_a_contour_covers_half_a_spacing_to_each_side():
    assert labels(nodule(20.5), h_mm=1.0) == "0220"


def test_a_contour_that_ends_where_a_slab_begins_does_not_lie_in_it():
    assert labels(nodule(21.0), h_mm=1.0) == "0200"
    assert labels(nodule(21.0), h_mm=1.0 + 0.9e-6) == "0200"
    assert labels(nodule(21.0), h_mm=1.0 + 1e-5) == "0220"


def test_an_overlap_of_a_millionth_of_a_millimetre_is_rounding():
    thin, thicker = np.array([LEAST_OVERLAP_MM, 0.0]), np.array([2 * LEAST_OVERLAP_MM, 0.0])

    assert nodule_slices(thin, [nodule(0.0)], 1.0, LabelConfig()) == []
    assert nodule_slices(thicker, [nodule(0.0)], 1.0, LabelConfig()) == [NoduleSlices(frozenset({0}), 2)]


def test_slices_between_two_contours_of_a_nodule_are_not_covered():
    assert labels(nodule(35.0, 5.0)) == "2002"


def test_a_contour_that_cuts_a_hole_covers_nothing():
    hollow = Nodule((reading(35.0), reading(15.0, inclusion=False)))

    assert labels(hollow) == "2000"


def test_mean_malignancy_of_3_is_malignant():
    assert labels(Nodule((reading(35.0, malignancy=2), reading(35.0, malignancy=4)))) == "2000"
    assert labels(Nodule((reading(35.0, malignancy=2), reading(35.0, malignancy=3)))) == "1000"


def test_malignant_at_moves_the_limit():
    assert labels(nodule(35.0, malignancy=3), malignant_at=3.5) == "1000"


def test_min_readers_leaves_out_what_fewer_have_marked():
    marked_twice = Nodule((reading(35.0), reading(35.0)))

    assert labels(marked_twice, nodule(5.0), min_readers=2) == "2000"


def test_drop_ties_leaves_out_only_what_lies_on_the_limit():
    assert labels(nodule(35.0, malignancy=3), nodule(5.0, malignancy=4), drop_ties=True) == "0002"


def test_nodule_slices_tell_nodules_apart_and_leave_out_those_beyond_the_volume():
    nodules = [nodule(25.0, 15.0), nodule(99.0), nodule(15.0, malignancy=1)]

    found = nodule_slices(EDGES_MM, nodules, 1.0, LabelConfig())

    assert found == [NoduleSlices(frozenset({1, 2}), 2), NoduleSlices(frozenset({2}), 1)]


@given(
    z_mm=st.lists(st.floats(0, 300), min_size=1, max_size=5),
    h_mm=st.floats(0.2, 5),
    slices=st.integers(1, 100),
)
@settings(deadline=None)
def test_every_nodule_in_the_scan_lies_in_a_slice(z_mm: list[float], h_mm: float, slices: int):
    edges_mm = np.linspace(300 + h_mm, 0 - h_mm, slices + 1)

    found = nodule_slices(edges_mm, [nodule(*z_mm)], h_mm, LabelConfig())

    middle_mm = max(z_mm)
    upper = np.searchsorted(-edges_mm, -middle_mm, side="right") - 1
    assert upper in found[0].slices


@pytest.fixture(scope="module")
def lidc_labels() -> tuple[list[LabelRow], list[tuple[int, int]]]:
    """Return the labels of all of LIDC-IDRI, and the progress that was reported: they take 15 seconds."""
    progress: list[tuple[int, int]] = []
    rows = list(all_label_rows(LabelConfig(), on_progress=lambda done, total: progress.append((done, total))))
    return rows, progress


def test_labels_of_lidc_have_the_published_totals(lidc_labels: tuple[list[LabelRow], list[tuple[int, int]]]):
    rows, progress = lidc_labels

    digits = Counter("".join(row.labels for row in rows))
    assert (digits["0"], digits["1"], digits["2"]) == (59_934, 2_596, 3_640)
    assert [row.series_instance_uid for row in rows] == [scan.series_instance_uid for scan in lidc_scans()]
    assert {len(row.labels) for row in rows} == {65}
    assert (progress[0], progress[-1], len(progress)) == ((1, 1018), (1018, 1018), 1018)


def test_the_chest_heights_that_ship_are_counted_from_these_labels(
    lidc_labels: tuple[list[LabelRow], list[tuple[int, int]]],
):
    text = table_text(chest_height_table(lidc_labels[0]))

    assert text == files("lidcflow.nodules").joinpath(FILE).read_text(encoding="utf-8")


@pytest.fixture
def three_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put three scans of four slices in the place of LIDC-IDRI, each with one nodule."""
    nodules = {"1.1": [nodule(24.0)], "1.2": [nodule(34.5, malignancy=1)], "1.3": [nodule(5.0)]}
    z_mm = np.array([35.0, 25.0, 15.0, 5.0])
    scans = [
        SimpleNamespace(patient_id=f"P{uid}", series_instance_uid=uid, slice_z_mm=z_mm, slice_spacing_mm=10.0)
        for uid in nodules
    ]
    monkeypatch.setattr("lidcflow.labels.slices.lidc_scans", lambda: scans)
    monkeypatch.setattr("lidcflow.labels.slices.nodules_of_scan", lambda scan: nodules[scan.series_instance_uid])


def test_slabs_and_contours_reach_half_a_spacing_beyond_the_slices_of_a_scan(three_scans: None):
    progress: list[tuple[int, int]] = []

    rows = list(all_label_rows(LabelConfig(), 4, lambda done, total: progress.append((done, total))))

    # Four slabs from 40 to 0 mm; the contours cover 19 to 29 mm, 29.5 to 39.5 mm, and 0 to 10 mm.
    assert [row[:2] for row in rows] == [("P1.1", "1.1"), ("P1.2", "1.2"), ("P1.3", "1.3")]
    assert [row.labels for row in rows] == ["0220", "1100", "0002"]
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_a_series_has_65_labels_by_default_and_the_settings_decide(three_scans: None):
    config = LabelConfig(malignant_at=1.0)

    assert [sorted(set(row.labels)) for row in all_label_rows(config)] == [["0", "2"]] * 3
    assert {len(row.labels) for row in all_label_rows(config)} == {65}


@pytest.mark.parametrize(("top_mm", "bottom_mm"), [(0.0, -5.0), (5.0, 0.0)])
def test_a_volume_may_reach_5_mm_beyond_its_scan_and_no_further(top_mm: float, bottom_mm: float):
    scan = lidc_scans()[0]
    inside = np.linspace(scan.slice_z_mm[0] - 20, scan.slice_z_mm[-1] + 20, 64)
    top, bottom = scan.slice_z_mm[0] + top_mm, scan.slice_z_mm[-1] + bottom_mm
    further = [top + 0.5 * (top_mm > 0), *inside, bottom - 0.5 * (bottom_mm < 0)]

    assert nodules_of_volume(scan.series_instance_uid, np.array([top, *inside, bottom]))
    with pytest.raises(LabelError, match="must lie within the annotated scan"):
        nodules_of_volume(scan.series_instance_uid, np.array(further))


def test_nodules_of_a_volume_are_those_of_its_scan():
    scan = lidc_scans()[0]

    found = nodules_of_volume(scan.series_instance_uid, np.linspace(-8.75, -341.25, 66))

    assert [len(nodule.readings) for nodule in found] == [len(nodule.readings) for nodule in nodules_of(scan)]


def test_a_volume_of_another_archive_has_no_labels():
    with pytest.raises(LabelError, match=r"series 1\.2\.3: must be one of LIDC-IDRI"):
        nodules_of_volume("1.2.3", EDGES_MM)


def test_a_volume_that_lies_elsewhere_does_not_fit_its_readings():
    scan = lidc_scans()[0]

    with pytest.raises(LabelError, match=r"z = -340\.0 to -10\.0 mm, got 10\.0 to 340\.0 mm"):
        nodules_of_volume(scan.series_instance_uid, np.linspace(340.0, 10.0, 66))


def test_the_table_has_a_line_for_each_series(tmp_path: Path):
    file = tmp_path / "made" / "here" / "labels.csv"

    write_label_table([LabelRow("LIDC-IDRI-0001", "1.2.3", "0021")], file)

    assert file.read_bytes() == b"patient_id,series_instance_uid,labels\nLIDC-IDRI-0001,1.2.3,0021\n"


@pytest.fixture
def ascii_locale() -> Iterator[None]:
    """Run in the C locale, where files are ASCII unless they are opened with an encoding."""
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    yield
    locale.setlocale(locale.LC_CTYPE, before)


def test_a_table_is_utf_8_in_any_locale(tmp_path: Path, ascii_locale: None):
    write_label_table([("5 µm",)], tmp_path / "marks.csv", columns=("size",))

    assert (tmp_path / "marks.csv").read_bytes() == b"size\n5 \xc2\xb5m\n"


def test_a_table_that_breaks_off_leaves_the_old_one(tmp_path: Path):
    def breaking_off() -> Iterator[LabelRow]:
        yield LabelRow("LIDC-IDRI-0001", "1.2.3", "0021")
        raise RuntimeError("interrupted")

    file = tmp_path / "labels.csv"
    file.write_text("old")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_label_table(breaking_off(), file)

    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_table_that_can_not_be_written_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(LabelError, match="must be a file that can be written"):
        write_label_table([], tmp_path / "file" / "labels.csv")
    with pytest.raises(LabelError, match="must be a file that can be written"):
        write_label_table([], tmp_path)
