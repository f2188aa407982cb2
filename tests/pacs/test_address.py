import pytest

from lidcflow.config import Access
from lidcflow.config.service import PacsConfig
from lidcflow.errors import SourceError
from lidcflow.pacs.address import parse_address, series_url

ACCESS = Access(pacs={"main": PacsConfig(url="https://pacs.example.org/dicom-web/")})


@pytest.mark.parametrize(
    ("source", "study", "series"),
    [
        ("pacs:main", None, None),
        ("pacs:main/1.2", "1.2", None),
        ("pacs:main/1.2/3.4", "1.2", "3.4"),
        ("https://pacs.example.org/dicom-web", None, None),
        ("https://pacs.example.org/dicom-web/studies/1.2/", "1.2", None),
        ("https://pacs.example.org/dicom-web/studies/1.2/series/3.4", "1.2", "3.4"),
    ],
)
def test_a_name_and_an_address_lead_to_the_same_service(source, study, series):
    place = parse_address(source, ACCESS)

    assert (place.service.name, place.study, place.series) == ("main", study, series)
    assert place.service.url == "https://pacs.example.org/dicom-web"


def test_a_service_that_the_configuration_does_not_know_has_no_name_and_so_no_secrets():
    assert parse_address("https://elsewhere.example.org/dicom-web", ACCESS).service.name == ""


@pytest.mark.parametrize(
    "source",
    [
        "pacs:other",
        "pacs:main/1.2/3.4/5.6",
        "pacs:main/..",
        "pacs:main/Doe^Jane",
        "https://pacs.example.org/dicom-web/studies/..%2f..",
        "https://jane:secret@pacs.example.org/dicom-web",
        "https://pacs.example.org/dicom-web?PatientName=Doe",
        "https://",
    ],
)
def test_a_wrong_address_is_refused_and_not_repeated(source):
    with pytest.raises(SourceError) as refused:
        parse_address(source, ACCESS)

    assert not any(word in str(refused.value) for word in ("Doe", "jane", "secret", "%2f"))


def test_a_uid_that_could_lead_elsewhere_is_not_part_of_an_address():
    with pytest.raises(SourceError, match="SeriesInstanceUID must be a UID"):
        series_url(parse_address("pacs:main", ACCESS).service, "1.2", "../../admin")
