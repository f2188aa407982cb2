"""The rules that the files of a usable CT series keep; each function refuses a series that breaks one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from pydicom.uid import UID

from lidcflow.dicom.enhanced import CT_CLASSES
from lidcflow.dicom.records import VerdictReason
from lidcflow.dicom.syntaxes import PixelLayout, pixel_layout, why_refused
from lidcflow.dicom.values import LONGEST_UID, is_uid, names_instance
from lidcflow.errors import SeriesRefused
from lidcflow.headers.concerned import images_concerned, show_value
from lidcflow.headers.header import Header
from lidcflow.headers.modalities import CT, class_name

MATRIX_LIMITS = 16, 4096
RESCALE_LIMIT = 1e6
_AGAIN = "; export the series again"
_FORMAT = "Rows, Columns, BitsStored and PixelRepresentation"
Broken = tuple[str, str]
"""A rule with the offending value, and the remedy; the location goes between them."""
HOUNSFIELD = re.compile(r"H\.?U\.?|HOUND?SFIELD([ _]?UNITS?)?|\[?HNSF'?U\]?")
"""Names of Hounsfield units in archives, in capitals: the standard's HU, the name and a common slip, UCUM's code."""

UNSPECIFIED = "US"

QUOTABLE = re.compile(r"[A-Za-z][A-Za-z0-9_%/ .-]{0,15}")
"""Values of Rescale Type that a sentence repeats; a longer one may hold anything."""


def series_refusal(headers: Sequence[Header], reason: VerdictReason, sentence: str) -> SeriesRefused:
    """Make the refusal of a series, its UID in front."""
    return SeriesRefused(reason, f"series {headers[0].facts.series_instance_uid}: {sentence}")


def have_uids(headers: Sequence[Header]) -> None:
    """Refuse UIDs that are absent or could lead out of a folder; of what is no slice, only the study counts."""
    no_study = [header for header in headers if not is_uid(header.facts.study_instance_uid)]
    if no_study:
        raise _bad_uid(headers, "StudyInstanceUID", no_study[0].facts.study_instance_uid, no_study)
    no_name = [header for header in headers if _is_slice(header) and not names_instance(header.sop_instance_uid)]
    if no_name:
        raise _bad_uid(headers, "SOPInstanceUID", no_name[0].sop_instance_uid, no_name)


def _bad_uid(headers: Sequence[Header], name: str, value: str, broken: Sequence[Header]) -> SeriesRefused:
    return series_refusal(
        headers, VerdictReason.BAD_UID, bad_uid_sentence(name, value, f" {images_concerned(broken, headers)}")
    )


def _is_slice(header: Header) -> bool:
    return header.facts.sop_class_uid in CT_CLASSES and not header.facts.localizer


def bad_uid_sentence(name: str, value: str, where: str = "") -> str:
    """Word the refusal of a UID; its value is not repeated, for it may hold anything."""
    found = f"{len(value)} characters that are not one" if value else "none"
    must = f"{name} must be a UID of at most {LONGEST_UID} digits and dots"
    return f"{must}, got {found}{where}; export the series again"


def are_one_study_of_one_patient(headers: Sequence[Header]) -> None:
    """Refuse a SeriesInstanceUID that two studies or two patients share."""
    studies = Counter(header.facts.study_instance_uid for header in headers)
    patients = Counter(header.facts.patient_key for header in headers)
    if len(studies) > 1 or len(patients) > 1:
        main = studies.most_common(1)[0][0], patients.most_common(1)[0][0]
        others = [one for one in headers if (one.facts.study_instance_uid, one.facts.patient_key) != main]
        sentence = (
            f"StudyInstanceUID and PatientID must be the same on all files, got {len(studies)} studies and "
            f"{len(patients)} patients, others than most {images_concerned(others, headers)}; two series share a UID, "
            "separate them at the source"
        )
        raise series_refusal(headers, VerdictReason.MIXED_IDENTITY, sentence)


def are_ct(headers: Sequence[Header]) -> None:
    """Refuse a series without a header that states CT, or another modality."""
    if all(header.facts.modality != CT for header in headers):
        found = "none" if all(not header.facts.modality for header in headers) else "values that are no modality"
        sentence = f"Modality must be CT, got {found} {images_concerned(headers, headers)}; export the series again"
        raise series_refusal(headers, VerdictReason.UNREADABLE, sentence)
    if all(header.facts.sop_class_uid not in CT_CLASSES for header in headers):
        found = _named(headers[0].facts.sop_class_uid)
        where = images_concerned(headers, headers)
        sentence = f"SOPClassUID must be that of CT images, got {found} {where}; export the series again"
        raise series_refusal(headers, VerdictReason.UNREADABLE, sentence)


def no_ct_sentence(headers: Sequence[Header], kind: str) -> str:
    """Word why a series is passed over."""
    if all(header.facts.modality != CT for header in headers):
        return f"modality must be CT, got {kind} {images_concerned(headers, headers)}; the series is passed over"
    found = class_name(headers[0].facts.sop_class_uid)
    return f"instances must be CT images, got {found} {images_concerned(headers, headers)}; the series is passed over"


def _named(uid: str) -> str:
    """Return the standard's name of a UID, or the UID; nothing else is repeated."""
    if not is_uid(uid):
        return "a value that is no UID" if uid else "none"
    return f"{name} ({uid})" if (name := str(UID(uid).name)) != uid else uid


def are_readable(headers: Sequence[Header]) -> None:
    """Refuse pixels that this version can't decode."""
    for rule, reason in (
        (_foreign_syntax, VerdictReason.UNSUPPORTED_SYNTAX),
        (_unlike_ct, VerdictReason.UNSUPPORTED_PIXELS),
        (_unlike_syntax, VerdictReason.UNSUPPORTED_PIXELS),
    ):
        broken = [header for header in headers if rule(header)]
        if broken:
            must, way_out = rule(broken[0]) or ("", "")
            raise series_refusal(headers, reason, f"{must} {images_concerned(broken, headers)}{way_out}")


def _foreign_syntax(header: Header) -> Broken | None:
    """Return the reason and the remedy for a transfer syntax that no decoder supports."""
    syntax = header.facts.transfer_syntax_uid
    if pixel_layout(syntax) is not None:
        return None
    return f"TransferSyntaxUID must be one that can be read, got {_named(syntax)}", f": {why_refused(syntax)}"


def _unlike_ct(header: Header) -> Broken | None:
    """Return how the pixel attributes violate those of CT (PS3.3 C.8.2.1), and the remedy."""
    facts, pixels = header.facts, header.facts.pixels
    low, high = MATRIX_LIMITS
    if pixels is None:
        return f"{_FORMAT} must be present, got some without value", _AGAIN
    if not (low <= pixels.rows <= high and low <= pixels.columns <= high):
        return f"Rows and Columns must be {low} to {high}, got {pixels.rows} x {pixels.columns}", _AGAIN
    if facts.samples != 1 or facts.bits_allocated != 16:
        found = f"SamplesPerPixel {show_value(facts.samples)} and BitsAllocated {show_value(facts.bits_allocated)}"
        return f"pixels must be single values of 16 bits, got {found}", _AGAIN
    if not 8 <= pixels.bits_stored <= 16 or facts.high_bit not in (None, pixels.bits_stored - 1):
        found = f"BitsStored {pixels.bits_stored} and HighBit {show_value(facts.high_bit)}"
        return f"BitsStored must be 8 to 16, and HighBit one less, got {found}", _AGAIN
    return None


def _unlike_syntax(header: Header) -> Broken | None:
    """Return how the pixel data contradict their transfer syntax, and the remedy."""
    facts, pixels = header.facts, header.facts.pixels
    if pixels is None or header.pixel_offset is None:
        return None
    layout, n_bytes = pixel_layout(facts.transfer_syntax_uid), header.pixel_bytes
    must = "TransferSyntaxUID must be that of the pixel data, got"
    if layout is PixelLayout.ENCAPSULATED:
        if n_bytes is None:
            return None
        due, stated = f"{pixels.rows} x {pixels.columns} x 2 = {pixels.n_bytes}", _named(header.stated_syntax)
        return f"{must} {stated}, and {n_bytes} bytes that are not encapsulated, pixels have {due}", _AGAIN
    if n_bytes is None:
        return f"{must} {_named(header.stated_syntax)}, and items as of a compressed image", _AGAIN
    longest = 2 if layout is PixelLayout.DEFLATED else pixels.n_bytes
    if excess_bytes(header) >= longest:
        due = f"{pixels.rows} x {pixels.columns} pixels of 2 bytes"
        return f"pixel data must be as long as the pixels, got {n_bytes} bytes for {due}", _AGAIN
    return None


def excess_bytes(header: Header) -> int:
    """Return how much longer pixel data are than the pixels, beyond the one byte that makes a length even."""
    pixels = header.facts.pixels
    if pixels is None or header.pixel_bytes is None or pixel_layout(header.facts.transfer_syntax_uid) is None:
        return 0
    excess = header.pixel_bytes - pixels.n_bytes
    return excess if excess > 1 else 0


def are_whole(headers: Sequence[Header]) -> None:
    """Refuse files that end before their pixels do, as far as headers show: compressed ones do not."""
    broken = [header for header in headers if _pixel_bytes(header) < _due_bytes(header)]
    if broken:
        due, there = _due_bytes(broken[0]), max(_pixel_bytes(broken[0]), 0)
        found = f"got {there} bytes {images_concerned(broken, headers)}"
        raise series_refusal(
            headers, VerdictReason.TRUNCATED, f"pixel data must have {due} bytes, {found}; copy the file again"
        )


def _due_bytes(header: Header) -> int:
    if pixel_layout(header.facts.transfer_syntax_uid) is PixelLayout.ENCAPSULATED:
        return 1
    return header.facts.pixels.n_bytes if header.facts.pixels else 0


def _pixel_bytes(header: Header) -> int:
    """Return how many bytes of pixels there are; of a deflated file, how many its data set announces."""
    in_file = header.file_bytes - (header.pixel_offset or header.file_bytes)
    layout = pixel_layout(header.facts.transfer_syntax_uid)
    if layout is PixelLayout.ENCAPSULATED:
        return in_file
    return header.pixel_bytes or 0 if layout is PixelLayout.DEFLATED else min(header.pixel_bytes or 0, in_file)


def have_rescale(headers: Sequence[Header]) -> None:
    """Refuse pixels that can't be turned into Hounsfield units."""
    broken = [header for header in headers if not _is_rescale(header.facts.slope, header.facts.intercept)]
    if broken:
        slope, intercept = broken[0].facts.slope, broken[0].facts.intercept
        sentence = (
            f"RescaleSlope must be {1 / RESCALE_LIMIT:g} to {RESCALE_LIMIT:g} in size and RescaleIntercept at most "
            f"{RESCALE_LIMIT:g}, got RescaleSlope {show_value(slope)} and RescaleIntercept {show_value(intercept)} "
            f"{images_concerned(broken, headers)}; export the series again, both are needed for Hounsfield units"
        )
        raise series_refusal(headers, VerdictReason.NO_RESCALE, sentence)


def _is_rescale(slope: float | None, intercept: float | None) -> bool:
    if not slope or intercept is None:
        return False
    return max(abs(slope), 1 / abs(slope), abs(intercept)) <= RESCALE_LIMIT


def are_in_hounsfield_units(headers: Sequence[Header]) -> None:
    """Refuse pixels that rescale turns into another unit.

    Without a Rescale Type the unit is HU, for the attribute is required of CT in any other (PS3.3 C.8.2.1).
    `US`, unspecified, passes: GDCM writes it into every CT image that had none, and the pixels tell in the end.
    """
    others = [
        header
        for header in headers
        if not (_is_hounsfield(header.facts.rescale_type) or _is_unspecified(header.facts.rescale_type))
    ]
    if others:
        found = sorted({_quoted(header.facts.rescale_type or "") for header in others})
        sentence = (
            f"RescaleType must be HU or absent, got {'/'.join(found)} {images_concerned(others, headers)}; choose the "
            "series in Hounsfield units, or have the source correct the attribute if this one is"
        )
        raise series_refusal(headers, VerdictReason.NOT_HOUNSFIELD, sentence)


def have_unspecified_units(headers: Sequence[Header]) -> bool:
    """Return whether the unit of rescaled values is left open in any image."""
    return any(_is_unspecified(header.facts.rescale_type) for header in headers)


def _is_unspecified(rescale_type: str | None) -> bool:
    return (rescale_type or "").strip().upper() == UNSPECIFIED


def _is_hounsfield(rescale_type: str | None) -> bool:
    return rescale_type is None or HOUNSFIELD.fullmatch(rescale_type.strip().upper()) is not None


def _quoted(rescale_type: str) -> str:
    return rescale_type if QUOTABLE.fullmatch(rescale_type) else f"a value of {len(rescale_type)} characters"
