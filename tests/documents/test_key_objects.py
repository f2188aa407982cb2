"""The key objects of a recommendation."""

import pydicom

from lidcflow.documents.write import KEY_OBJECTS
from tests.documents.contents import FILES, items, meaning, referred, text_of


def test_key_objects_lead_to_the_peaks_the_best_first(documented, source):
    folder, said = documented(source)

    keys = pydicom.dcmread(folder / KEY_OBJECTS)

    uids = [uid for uid, _ in referred(keys)]
    peaks = [image.sop_instance_uid for found in said.ranges for image in found.peak_source_images]
    assert uids == list(dict.fromkeys(peaks))
    assert (keys.Modality, keys.ConceptNameCodeSequence[0].CodeValue) == ("KO", "113000")


def test_with_nothing_above_the_threshold_the_five_highest_slices_are_shown(documented, source):
    folder, said = documented(source, "nothing-above-threshold")

    keys, report = (pydicom.dcmread(folder / name) for name in FILES)

    shown = [image.sop_instance_uid for one in said.highest_slices for image in one.source_images]
    assert [uid for uid, _ in referred(keys)] == list(dict.fromkeys(shown))
    names = [item.TextValue for item in items(report, "TEXT") if meaning(item) == "Tracking Identifier"]
    assert names == ["series", "slice 7", "slice 4", "slice 3", "slice 5", "slice 2"]
    assert "Nothing above the threshold of 50% for P(nodule)" in text_of(keys, "Key Object Description")
    assert all(meaning(item) != "Finding" for item in items(report, "CODE"))
