"""Documents as bytes."""

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from lidcflow.documents.encode import made_documents
from lidcflow.documents.write import STRUCTURED_REPORT, write_documents
from tests.documents.small_study import CREATED_NS, answer, header_of, series_in


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_the_encoding_of_the_source_does_not_matter(tmp_path, ct_series, syntax):
    identity = {"PatientName": "Lovelace^Ada", "SeriesNumber": 3, "PatientBirthDate": "18151210"}
    series = series_in(ct_series(tmp_path / "source", **identity))
    image = pydicom.dcmread(series.slices[0].path)
    del image.PixelData
    image.file_meta.TransferSyntaxUID = syntax
    encoding = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
    pydicom.dcmwrite(series.slices[0].path, image, **encoding, force_encoding=True)

    made = made_documents(answer(series, "not-evaluated"), header_of(series), created_ns=CREATED_NS)
    write_documents(made, tmp_path / "out", created_ns=CREATED_NS)

    report = pydicom.dcmread(tmp_path / "out" / STRUCTURED_REPORT)
    assert (report.PatientName, report.PatientBirthDate, report.SeriesNumber) == ("Lovelace^Ada", "18151210", 3002)
