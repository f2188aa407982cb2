"""Read the headers of a PACS's series: from their metadata, and from the instances where these do not suffice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

from pydicom.dataset import Dataset

from lidcflow.config import Access
from lidcflow.dicom.elements import ACQUISITION_TIME, INSTANCE_NUMBER, POSITION
from lidcflow.dicom.encoding import META_OFFSET
from lidcflow.dicom.facts import COMMON_TAGS, Facts, facts_of
from lidcflow.dicom.quiet import quiet
from lidcflow.dicom.records import VerdictReason
from lidcflow.dicom.syntaxes import PixelLayout, pixel_layout
from lidcflow.dicom.values import integer_of, is_uid, numbers_of, seconds_of
from lidcflow.errors import SeriesRefused, SourceError
from lidcflow.headers.fingerprint import new_salt, seal_of
from lidcflow.headers.header import Header, Outcome, header_of
from lidcflow.pacs.address import INSTANCES, parse_address
from lidcflow.pacs.client import NotFound, Pacs
from lidcflow.pacs.generations import generations
from lidcflow.pacs.query import INSTANCE, STUDY, Item, search, text_in, values_of
from lidcflow.pacs.retrieve import bounds_of, instances, metadata
from lidcflow.privacy import hash_patient_id
from lidcflow.source.files import PacsSeries


def _key(tag: int) -> str:
    """Return the name of a tag in the DICOM JSON model."""
    return f"{tag:08X}"


NEEDED = (
    "00080016",  # SOP Class
    "00080018",
    "00200032",  # Image Position (Patient)
    "00200037",  # Image Orientation (Patient)
    "00280010",
    "00280011",
    "00280030",  # Pixel Spacing
    "00280100",
    "00280101",
    "00280103",
    "00281052",  # Rescale Intercept
    "00281053",
)
"""Attributes that are read from the image itself where the metadata lacks one; always for multi-frame objects."""

PATIENT_ID = "00100020"
_COMMON_KEYS = [_key(tag) for tag in COMMON_TAGS]


class Keys(NamedTuple):
    """Keys for the patients of a series: the key of the patient hash, and the salt of its seals."""

    secret: bytes
    salt: bytes


class SeriesHeaders(NamedTuple):
    """Headers of a series of a PACS.

    Parameters
    ----------
    series : PacsSeries
        Which one.
    outcomes : list of Outcome
        One for each instance.
    lacking : str, optional
        A sentence when it is not whole.
    patient : str, optional
        Keyed hash of the patient whom the PACS names for the study; it is asked when no header came.
    """

    series: PacsSeries
    outcomes: list[Outcome]
    lacking: str | None
    patient: str | None = None


def read_pacs_headers(series: Sequence[PacsSeries], secret: bytes, access: Access) -> Iterator[SeriesHeaders]:
    """Yield what each series gives, several of them asked for at a time.

    Parameters
    ----------
    series : sequence of PacsSeries
        As listed; of one service or several.
    secret : bytes
        Key of the patient hash; the raw Patient ID does not leave this module.
    access : Access
        How services are reached.

    Raises
    ------
    PacsError
        If a service does not answer.
    """
    for service in dict.fromkeys(parse_address(one.url, access).service.url for one in series):
        own = [one for one in series if one.url.startswith(f"{service}/studies/")]
        reached = parse_address(service, access).service
        with Pacs(reached) as pacs, ThreadPoolExecutor(reached.config.connections) as pool, quiet():
            try:
                yield from pool.map(lambda one, pacs=pacs: _read(pacs, one, secret), own)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _read(pacs: Pacs, series: PacsSeries, secret: bytes) -> SeriesHeaders:
    keys = Keys(secret, new_salt())
    try:
        files = generations(pacs, series.series_instance_uid)  # before the images: what changes later is noticed later
        outcomes = _from_metadata(pacs, series, keys)
        if outcomes is None:
            outcomes = _from_instances(pacs, series, keys)
    except SeriesRefused as refused:
        return SeriesHeaders(series, [], refused.sentence.partition(": ")[2], _patient(pacs, series, secret))
    outcomes = [_in_version(outcome, files) for outcome in outcomes]
    if series.n_instances is not None and len(outcomes) < series.n_instances:
        found = f"the PACS must give its {series.n_instances} instances, got {len(outcomes)}; try later"
        return SeriesHeaders(series, outcomes, found)
    return SeriesHeaders(series, outcomes, None)


def _patient(pacs: Pacs, series: PacsSeries, secret: bytes) -> str | None:
    """Ask for the patient of a series without headers: a patient who was erased gets no answer."""
    wanted = {"StudyInstanceUID": series.study_instance_uid, "includefield": PATIENT_ID}
    try:
        items = [
            item
            for item in search(pacs, "/studies", wanted, STUDY)
            if text_in(item, STUDY) == series.study_instance_uid
        ]
    except (NotFound, SourceError):
        return None
    named = next(filter(None, (text_in(item, PATIENT_ID) for item in items)), None)
    return hash_patient_id(named, secret) if named else None


def _in_version(outcome: Outcome, files: Mapping[str, str]) -> Outcome:
    """Add the PACS's facts about an instance's file to its header."""
    if not isinstance(outcome, Header):
        return outcome
    version = files.get(outcome.sop_instance_uid, "")
    frames = tuple(replace(frame, version=version) for frame in outcome.frames)
    return replace(outcome, version=version, frames=frames)


def _sealed(header: Header, content: bytes, salt: bytes, known: dict[Any, Facts]) -> Header:
    """Add its seal to the header of an instance, to each of its frames its own."""
    again = header_of(content, header.path, salt, known)
    if not isinstance(again, Header):
        return header
    frames = zip(header.frames, again.frames, strict=True)
    sealed = tuple(replace(frame, mark=seal_of(salted.facts, salt)) for frame, salted in frames)
    return replace(header, mark=seal_of(again.facts, salt), frames=sealed)


def _from_instances(pacs: Pacs, series: PacsSeries, keys: Keys) -> list[Outcome]:
    """Read the headers of the instances as they arrive; their pixel data is discarded."""
    known: dict[Any, Facts] = {}
    salted: dict[Any, Facts] = {}
    found: dict[str, Outcome] = {}
    for number, content in enumerate(instances(pacs, series.url, bounds_of(pacs.service.config, series.n_instances))):
        outcome = header_of(content, series.url + INSTANCES, keys.secret, known)
        if isinstance(outcome, Header):
            outcome = _sealed(outcome, content, keys.salt, salted).at(series.url + INSTANCES + outcome.sop_instance_uid)
        found[outcome.path if isinstance(outcome, Header) else str(number)] = outcome
    return list(found.values())


def _from_metadata(pacs: Pacs, series: PacsSeries, keys: Keys) -> list[Outcome] | None:
    """Read headers from the metadata; None when there are none, they lack something, or are not the first image's."""
    try:
        items = metadata(pacs, series.url, series.n_instances)
    except SeriesRefused as refused:
        if refused.reason == VerdictReason.GONE:
            raise
        return None
    if not items or not all(map(_tells_enough, items)):
        return None
    first = _first_header(pacs, series, items[0], keys.secret)
    if first is None:
        return None
    known: dict[Any, Facts] = {}
    salted: dict[Any, Facts] = {}
    try:
        headers = [_header(item, series, first, keys.secret, known) for item in items]
        marks = [seal_of(_facts(item, "", keys.salt, salted), keys.salt) for item in items]
    except Exception:  # anything can stand in metadata, and make pydicom raise anything
        return None
    if not _agree(headers[0], first):
        return None
    return [replace(header, mark=mark) for header, mark in zip(headers, marks, strict=True)]


def _tells_enough(item: Item) -> bool:
    return all(values_of(item, key) for key in NEEDED) and is_uid(text_in(item, INSTANCE))


def _first_header(pacs: Pacs, series: PacsSeries, item: Item, secret: bytes) -> Header | None:
    """Fetch one image: metadata lack its transfer syntax."""
    for content in instances(pacs, series.url + INSTANCES + text_in(item, INSTANCE)):
        outcome = header_of(content, series.url, secret, {})
        single = isinstance(outcome, Header) and outcome.pixel_offset is not None and not outcome.frames
        return outcome if single and isinstance(outcome, Header) else None
    return None


def _header(item: Item, series: PacsSeries, first: Header, secret: bytes, known: dict[Any, Facts]) -> Header:
    """Make a header as if the image were a file of the first one's transfer syntax, its pixels right at the start."""
    facts = _facts(item, first.facts.transfer_syntax_uid, secret, known)
    n_bytes = facts.pixels.n_bytes if facts.pixels else 0
    uid = text_in(item, INSTANCE)
    return Header(
        path=series.url + INSTANCES + uid,
        sop_instance_uid=uid,
        instance_number=next(map(integer_of, values_of(item, _key(INSTANCE_NUMBER))), None),
        position_mm=numbers_of(values_of(item, _key(POSITION)), 3),
        pixel_offset=META_OFFSET,
        pixel_bytes=None if pixel_layout(facts.transfer_syntax_uid) is PixelLayout.ENCAPSULATED else n_bytes,
        file_bytes=META_OFFSET + n_bytes,
        facts=facts,
        acquisition_time_s=next(map(seconds_of, values_of(item, _key(ACQUISITION_TIME))), None),
        other_syntax_uid=first.other_syntax_uid,
    )


def _facts(item: Item, syntax: str, secret: bytes, known: dict[Any, Facts]) -> Facts:
    common = {key: item[key] for key in _COMMON_KEYS if key in item}
    marks = tuple(map(repr, common.items()))
    if marks not in known:
        known[marks] = facts_of(Dataset.from_json(common), syntax, secret)
    return known[marks]


def _agree(told: Header, there: Header) -> bool:
    """Return whether metadata say the same as the image that they are of."""
    mine, own = (
        (header.sop_instance_uid, header.instance_number, header.position_mm, header.facts) for header in (told, there)
    )
    return mine == own
