from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidcflow.labels.csv import read_csv


def book(*rows, header="series_instance_uid,z_top_mm,z_bottom_mm,reader,nodule,malignancy"):
    return read_csv("\n".join([header, *rows]) + "\n", "own.csv")


def told(of):
    return [(problem.origin.part, str(problem.reason), problem.sentence) for problem in of.problems]


def test_a_range_covers_the_slices_it_overlaps_and_no_other(tmp_path, labels):
    (tmp_path / "own.csv").write_text(
        "series_instance_uid,z_top_mm,z_bottom_mm,malignancy\n1.2.3,46.25,43.75,4\n1.2.3,32,30,1\n"
    )

    assert labels() == "0020000110"


def test_an_image_and_a_position_cover_half_a_spacing_to_each_side(tmp_path, labels, images):
    (tmp_path / "own.csv").write_text(
        f"series_instance_uid,sop_instance_uid,z_mm,class\n1.2.3,{images[4]},,benign\n1.2.3,,50,malignant\n"
    )

    assert labels() == "2000100000"


def test_readers_of_one_nodule_are_averaged(tmp_path, labels):
    (tmp_path / "own.csv").write_text(
        "series_instance_uid,z_mm,reader,nodule,malignancy\n1.2.3,45,A,1,2\n1.2.3,45,B,1,5\n1.2.3,45,C,2,1\n"
    )

    assert labels() == "0020000000"
    assert labels(malignant_at=4) == "0010000000"
    assert labels(min_readers=3) == "0000000000"


def test_rows_of_a_reader_and_a_nodule_are_one_reading():
    header = "series_instance_uid,z_mm,reader,nodule,malignancy"

    found = book("1.2.3,45,A,1,4", "1.2.3,42.5,A,1,4", "1.2.3,45,B,1,2", header=header)

    assert [len(reading.marks) for reading in found.readings] == [2, 1]


def test_a_row_of_a_series_alone_says_that_nothing_was_found(tmp_path, labels):
    (tmp_path / "own.csv").write_text("series_instance_uid,z_mm,reader,nodule,malignancy\n1.2.3,,A,,\n")

    assert labels() == "0000000000"


def test_a_series_that_nobody_read_has_no_labels(tmp_path, labels, collected):
    (tmp_path / "own.csv").write_text("series_instance_uid,class\n1.2.4,\n")

    assert labels() is None
    assert "must have been read" in collected().left_out["1.2.3"]


@pytest.mark.parametrize(
    ("row", "reason", "says"),
    [
        ("1.2.3,45,40,A,1,nine", "malformed", "column malignancy: must be a number"),
        ("1.2.3,45,40,A,1,nan", "malformed", "column malignancy: must be a number"),
        ("1.2.3,45,40,A,1,6", "rating-out-of-range", "column malignancy: must be 1 to 5, got 6"),
        ("1.2.3,45,40,A,1,", "no-rating", "column malignancy or class must be filled"),
        ("1.2.3,40,45,A,1,3", "malformed", "column z_top_mm: must lie above z_bottom_mm"),
        ("1.2.3,45,,A,1,3", "malformed", "column z_bottom_mm: must be a number"),
        ("1.2.3,,,A,1,3", "malformed", "got neither"),
        ("Lovelace,45,40,A,1,3", "malformed", "column series_instance_uid: must be a UID"),
        ("1.2.3,45,40,A,1,3,4", "malformed", "no more cells than the header"),
    ],
)
def test_a_wrong_cell_is_told_by_line_and_column_and_not_repeated(row, reason, says):
    found = book("1.2.9,45,40,A,1,3", row)

    ((part, why, sentence),) = told(found)
    assert (part, why) == ("line 3", reason)
    assert says in sentence
    assert "Lovelace" not in sentence
    assert [reading.series_instance_uid for reading in found.readings] == ["1.2.9"]


def test_class_and_rating_at_once_and_an_unknown_class_are_told():
    found = book("1.2.3,45,3,benign", "1.2.3,40,,cancer", header="series_instance_uid,z_mm,malignancy,class")

    assert [(part, why) for part, why, _ in told(found)] == [("line 2", "malformed"), ("line 3", "rating-out-of-range")]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("SeriesInstanceUID,malignancy", "must name the column series_instance_uid"),
        ("series_instance_uid,malignancey", "write malignancy"),
        ("series_instance_uid,labels", "must name the column malignancy or class"),
        ("series_instance_uid,z_mm,z_mm,class", "got z_mm twice"),
        ("", "must name the column"),
    ],
)
def test_a_wrong_header_is_told_and_no_row_is_used(header, says):
    found = book("1.2.3,4", header=header)

    ((part, _, sentence),) = told(found)
    assert part == "line 1"
    assert says in sentence
    assert not found.read


def test_columns_of_other_names_are_passed_over_and_case_and_blanks_do_not_matter():
    header = "study_instance_uid; Series_Instance_UID ; Z_mm ; Malignancy ; patient_id"

    found = book("1.2; 1.2.3 ; 45; 4 ; Lovelace", header=header)

    assert [(reading.malignancy, reading.marks[0].z_mm) for reading in found.readings] == [(4.0, 45.0)]


def test_a_row_that_repeats_another_counts_once(tmp_path, labels, collected):
    (tmp_path / "own.csv").write_text("series_instance_uid,z_mm,malignancy\n1.2.3,45,4\n1.2.3,45,4\n")

    assert labels() == "0020000000"
    assert [str(problem.reason) for problem in collected().problems] == ["duplicate"]


def test_two_ratings_of_one_reader_for_one_nodule_leave_the_series_out(tmp_path, labels, collected):
    (tmp_path / "own.csv").write_text(
        "series_instance_uid,z_mm,reader,nodule,malignancy\n1.2.3,45,A,1,4\n1.2.3,40,A,1,2\n"
    )

    assert labels() is None
    assert "got 2 here and 4 in line 2" in collected().left_out["1.2.3"]


def test_two_ranges_of_one_reader_for_one_nodule_are_told():
    found = book("1.2.3,45,40,A,1,4", "1.2.3,35,30,A,1,4")

    assert "one range" in told(found)[0][2]
    assert not found.readings


def test_a_file_that_breaks_off_is_not_used_at_all():
    found = book("1.2.3,45,40,A,1,4", '1.2.4,45,40,A,1,"4')

    ((part, why, _),) = told(found)
    assert (part, why) == ("line 3", "malformed")
    assert not found.readings
    assert not found.read


def test_bytes_that_are_not_utf_8_are_told_by_line(tmp_path, collected):
    file = tmp_path / "own.csv"
    file.write_bytes(b"series_instance_uid,malignancy,reader\n1.2.3,4,M\xfcller\n")

    (problem, _) = collected(file).problems
    assert (str(problem.origin), str(problem.reason)) == ("own.csv, line 2", "malformed")


def test_a_file_that_is_named_keeps_its_name_and_one_of_a_folder_has_a_number(tmp_path, collected):
    (tmp_path / "Lovelace.csv").write_text("series_instance_uid,z_mm,class\n1.2.3,45,\n")

    named, found = collected(tmp_path / "Lovelace.csv"), collected(tmp_path)

    assert str(named.problems[0].origin) == "Lovelace.csv, line 2"
    assert str(found.problems[0].origin).startswith("CSV file 1 (SHA-256 ")


@given(st.text(max_size=200))
def test_any_text_gives_a_book_and_no_error(text):
    found = read_csv("series_instance_uid,z_mm,malignancy\n" + text, "own.csv")

    assert all(1 <= reading.malignancy <= 5 for reading in found.readings)


@given(top=st.floats(-1e4, 1e4), height=st.floats(0.01, 1e3), rating=st.integers(1, 5))
def test_what_is_written_is_read(top: float, height: float, rating: int):
    (reading,) = book(f"1.2.3,{top!r},{top - height!r},A,1,{rating}").readings

    assert reading.z_range_mm == (top - height, top)
    assert reading.malignancy == rating


def test_a_byte_order_mark_does_not_hide_the_header(tmp_path: Path, labels):
    (tmp_path / "own.csv").write_text("\ufeffseries_instance_uid,class\n1.2.3,\n", encoding="utf-8")

    assert labels() == "0000000000"
