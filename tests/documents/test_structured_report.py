"""The structured report of a recommendation."""

import pydicom
from highdicom.sr import srread

from lidcflow.documents.write import STRUCTURED_REPORT
from tests.documents.contents import text_of


def test_the_report_holds_the_probabilities_of_each_range_and_of_its_slices(documented, source):
    folder, _ = documented(source)

    groups = srread(folder / STRUCTURED_REPORT).content.get_image_measurement_groups()

    measured = {
        group.tracking_identifier: [(one.name.value, float(one.value), one.unit.value) for one in found]
        for group in groups
        if (found := group.get_measurements())
    }
    assert list(measured) == ["range 1", "slice 3", "slice 4", "slice 5", "range 2", "slice 7"]
    for name, p in zip(measured, (0.9, 0.6, 0.9, 0.5, 0.7, 0.7), strict=True):
        assert measured[name] == [("P-NODULE", 100 * p, "%"), ("P-MALIGNANT", 25 * p, "%")]
    assert len({group.tracking_uid for group in groups}) == len(groups)
    assert {group.finding_type.meaning for group in groups if group.finding_type} == {"Nodule"}


def test_the_report_says_which_release_read_the_series(documented, source):
    folder, said = documented(source)

    report = pydicom.dcmread(folder / STRUCTURED_REPORT)

    version = f"{said.generated_by.version}, release lidcflow version 3"
    assert (text_of(report, "Algorithm Name"), text_of(report, "Algorithm Version")) == ("lidcflow", version)
    assert text_of(report, "Device Observer Name") == "lidcflow"
    assert list(report.SoftwareVersions) == [said.generated_by.version, "release lidcflow version 3"]
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
