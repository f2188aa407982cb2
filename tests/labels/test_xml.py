import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidcflow.config import LabelConfig, PreprocessConfig
from lidcflow.labels.collect import collect_nodules
from lidcflow.labels.lidc import lidc_scan, readings_of_series
from lidcflow.labels.slices import nodules_of_volume
from lidcflow.labels.xml import Message, read_message
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series
from tasks.labels import label_readable
from tests.labels.readings import SQUARE, message, nodule, roi, write


def told(collected):
    return [(problem.origin.part, str(problem.reason)) for problem in collected.problems]


def test_links_to_folders_are_followed_and_each_folder_is_read_once(tmp_path, collected, images):
    elsewhere = tmp_path.with_name("elsewhere")
    elsewhere.mkdir()
    write(elsewhere, "a.xml", message(nodule(roi(images[2], 45.0))))
    for name in ("first", "second"):
        (tmp_path / name).symlink_to(elsewhere)
    (tmp_path / "loop").symlink_to(tmp_path)

    found = collected()

    assert (len(found.nodules["1.2.3"]), found.problems) == (1, [])


def test_readers_of_the_same_place_are_one_nodule_and_others_are_not(tmp_path, collected, labels, images):
    far = [(x + 16, y) for x, y in SQUARE]
    first = nodule(roi(images[2], 45.0), roi(images[3], 42.5), malignancy=2)
    second = nodule(roi(images[2], 45.0), malignancy=5) + nodule(roi(images[7], 32.5, far), malignancy=1)
    write(tmp_path, "a.xml", message(first, second))

    assert sorted(len(nodule.readings) for nodule in collected().nodules["1.2.3"]) == [1, 2]
    assert labels() == "0022000100"


def test_a_hole_covers_nothing(tmp_path, labels, images):
    write(tmp_path, "a.xml", message(nodule(roi(images[2], 45.0), roi(images[3], 42.5, inclusion="FALSE"))))

    assert labels() == "0020000000"


def test_a_point_without_a_rating_is_below_3_mm_and_no_reading(tmp_path, collected, labels, images):
    write(tmp_path, "a.xml", message(nodule(roi(images[2], 45.0, [(4, 4)]), malignancy=None)))

    assert labels() == "0000000000"
    assert (collected().small, collected().problems) == (1, [])


def test_a_mark_that_is_no_nodule_is_none(tmp_path, labels, images):
    other = f"<nonNodule><imageZposition>45</imageZposition><imageSOP_UID>{images[2]}</imageSOP_UID></nonNodule>"
    write(tmp_path, "a.xml", message(other))

    assert labels() == "0000000000"


def test_a_message_without_a_session_does_not_say_that_anybody_read(tmp_path, labels):
    write(tmp_path, "a.xml", message())
    write(tmp_path, "b.csv", "series_instance_uid,class\n1.2.9,\n")

    assert labels() is None


def test_an_outline_without_a_rating_leaves_the_series_out(tmp_path, collected, labels, images):
    write(tmp_path, "a.xml", message(nodule(roi(images[2], 45.0), malignancy=None)))

    assert labels() is None
    assert told(collected()) == [("line 4", "no-rating")]


@pytest.mark.parametrize(("malignancy", "reason"), [("6", "rating-out-of-range"), ("high", "malformed")])
def test_a_rating_that_is_none_is_told_by_line(tmp_path, collected, images, malignancy, reason):
    write(tmp_path, "a.xml", message(nodule(roi(images[2], 45.0), malignancy=malignancy)))

    assert told(collected()) == [("line 4", reason)]


def test_an_image_of_another_series_a_wrong_z_and_an_outline_beyond_the_image_are_told(tmp_path, collected, images):
    wrong = [roi("9.9", 45.0), roi(images[2], 40.0), roi(images[2], 45.0, [(4, 40), (5, 41)])]
    write(tmp_path, "a.xml", message("".join(nodule(each) for each in wrong), nodule(roi(images[2], 45.0))))

    found = collected()

    assert [reason for _, reason in told(found)] == ["unknown-image", "z-differs", "outside-image"]
    assert "got 3 that are not" in found.left_out["1.2.3"]


def test_the_same_message_twice_counts_once_and_is_told(tmp_path, collected, labels, images):
    for name in ("a.xml", "b.xml"):
        write(tmp_path, name, message(nodule(roi(images[2], 45.0))))

    assert labels() == "0020000000"
    assert [str(problem.reason) for problem in collected().problems] == ["duplicate"]
    assert "got the same in XML file 1" in collected().problems[0].sentence


def test_of_two_messages_on_a_series_the_one_with_more_sessions_counts(tmp_path, collected, labels, images):
    write(tmp_path, "a.xml", message(nodule(roi(images[2], 45.0))))
    write(tmp_path, "b.xml", message(nodule(roi(images[5], 37.5)), ""))

    assert labels() == "0000020000"
    assert "got another one in XML file 2" in collected().problems[0].sentence


def test_a_malformed_file_is_told_by_line_and_the_others_are_read(tmp_path, collected, labels, images):
    write(tmp_path, "a.xml", message(nodule(roi(images[2], 45.0)))[:-40])
    write(tmp_path, "b.xml", message(nodule(roi(images[5], 37.5))))

    assert labels() == "0000020000"
    assert told(collected()) == [("line 9", "malformed")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (message(root="IdriReadMessage"), "other-message"),
        (message(root="html"), "malformed"),
        (message(uid="Lovelace"), "malformed"),
        (message("<unblindedReadNodule/>"), "malformed"),
        (message("<unblindedReadNodule><roi/></unblindedReadNodule>"), "malformed"),
        (message(nodule(roi("1.2.9", 45.0, [("a", 1)]))), "malformed"),
        (message(nodule(roi("x", 45.0))), "malformed"),
        ("<a>" * 40 + "</a>" * 40, "malformed"),
        ('<?xml version="1.0" encoding="no-such"?><a/>', "malformed"),
        ("", "malformed"),
    ],
)
def test_other_xml_is_told_and_skipped(text, reason):
    read = read_message(text.encode(), "XML file 1")

    (problem,) = (read.book if isinstance(read, Message) else read).problems
    assert str(problem.reason) == reason
    assert "Lovelace" not in problem.sentence


@pytest.mark.parametrize(
    "declared",
    ['<!DOCTYPE a [<!ENTITY b "&#x61;">]>', '<!DOCTYPE a SYSTEM "file:///etc/hostname">', "<!DOCTYPE a>"],
)
def test_a_document_type_is_refused_and_with_it_every_entity(declared):
    (problem,) = read_message(f'<?xml version="1.0"?>\n{declared}<a>&b;</a>'.encode(), "XML file 1").problems

    assert problem.origin.part == "line 2"
    assert "document type" in problem.sentence


@given(st.binary(max_size=300))
def test_any_bytes_give_a_problem_and_no_error(data: bytes):
    read = read_message(b"<" + data, "XML file 1")

    assert isinstance(read, Message) or read.problems


@pytest.fixture(scope="module")
def real_record(real_data, tmp_path_factory):
    store = VolumeStore(tmp_path_factory.mktemp("real") / "store", PreprocessConfig(size=16))
    (series,) = index_folder(real_data / "LIDC-IDRI", secret=PUBLIC_KEY).usable
    store.write(series, reduce_series(series, store.config))
    return store.record(series.series_instance_uid)


@pytest.mark.real
def test_the_xml_of_the_real_series_holds_the_readings_of_the_database(real_data, real_record):
    file = next((real_data / "LIDC-IDRI").rglob("*.xml"))

    read = read_message(file.read_bytes(), "XML file 1")

    rows = readings_of_series(lidc_scan(real_record.series_instance_uid))
    ours = sorted(map(content, read.book.readings))
    assert ours == sorted((row.ratings.malignancy, [mark_of(contour) for contour in row.contours]) for row in rows)
    assert (read.sessions, len(ours), read.book.problems) == (4, 4, [])


def content(reading):
    return reading.malignancy, [mark_of(mark) for mark in reading.marks]


def mark_of(contour):
    return contour.z_mm, contour.inclusion, contour.points.tolist()


@pytest.mark.real
@pytest.mark.parametrize("min_readers", [1, 4])
def test_the_xml_of_the_real_series_gives_the_nodules_and_the_65_labels_of_the_database(
    real_data, real_record, min_readers
):
    uid = real_record.series_instance_uid
    source = str(real_data / "LIDC-IDRI")

    ours, theirs = (
        label_readable([real_record], LabelConfig(source=of, min_readers=min_readers)).labels[uid]
        for of in (source, "lidc")
    )

    nodules = collect_nodules([real_record], [source]).nodules[uid]
    expected = nodules_of_volume(uid, real_record.edges_mm)
    assert [len(nodule.readings) for nodule in nodules] == [len(nodule.readings) for nodule in expected] == [4]
    assert [nodule.malignancy for nodule in nodules] == [nodule.malignancy for nodule in expected]
    np.testing.assert_array_equal(ours, theirs)
    assert ours.any()
