"""The rules that the files of a usable CT series keep; each function refuses a series that breaks one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom.uid import UID

from lidcflow.ct.enhanced import ENHANCED_CT_IMAGES
from lidcflow.ct.headers import Header
from lidcflow.ct.records import Reason
from lidcflow.ct.syntaxes import Layout, layout_of, why_refused
from lidcflow.ct.values import is_uid
from lidcflow.errors import SeriesRefused

MATRIX_LIMITS = 16, 4096
RESCALE_LIMIT = 1e6
HOUNSFIELD = re.compile(r"H\.?U\.?|HOUND?SFIELD([ _]?UNITS?)?|\[?HNSF'?U\]?")
"""What archives write for Hounsfield units, in capitals: the standard's HU, the name and a common slip, UCUM's code."""

UNSPECIFIED = "US"

QUOTABLE = re.compile(r"[A-Za-z][A-Za-z0-9_%/ .-]{0,15}")
"""Values of Rescale Type that a sentence repeats; a longer one may hold anything."""

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def refusal(headers: Sequence[Header], reason: Reason, sentence: str) -> SeriesRefused:
    """Make the refusal of a series, its UID in front."""
    return SeriesRefused(reason, f"series {headers[0].facts.series_instance_uid}: {sentence}")


def have_uids(headers: Sequence[Header]) -> None:
    """Refuse UIDs that are absent or could lead out of a folder."""
    for header in headers:
        uids = {"StudyInstanceUID": header.facts.study_instance_uid, "SOPInstanceUID": header.sop_instance_uid}
        for name, uid in uids.items():
            if not is_uid(uid):
                raise refusal(headers, Reason.BAD_UID, bad_uid_sentence(name, uid))


def bad_uid_sentence(name: str, value: str) -> str:
    """Word the refusal of a UID; its value is not repeated, for it may hold anything."""
    found = f"{len(value)} characters that are not one" if value else "none"
    return f"{name} must be a UID of at most 64 digits and dots, got {found}; export the series again"


def are_one_study_of_one_patient(headers: Sequence[Header]) -> None:
    """Refuse a SeriesInstanceUID that two studies or two patients share."""
    studies = len({header.facts.study_instance_uid for header in headers})
    patients = len({header.facts.patient_key for header in headers})
    if studies > 1 or patients > 1:
        sentence = (
            f"files must belong to one study of one patient, got {studies} studies and {patients} patients; "
            "two series share a UID, separate them at the source"
        )
        raise refusal(headers, Reason.MIXED_IDENTITY, sentence)


def are_ct(headers: Sequence[Header]) -> None:
    """Refuse other modalities and objects that are not images."""
    modalities = sorted({header.facts.modality or "none" for header in headers})
    if "CT" not in modalities:
        sentence = f"modality must be CT, got {'/'.join(modalities)}; only CT is preprocessed"
        raise refusal(headers, Reason.NOT_CT, sentence)
    if not any(header.facts.sop_class_uid in {CT_IMAGE, *ENHANCED_CT_IMAGES} for header in headers):
        found = _named(headers[0].facts.sop_class_uid)
        sentence = f"instances must be CT images, got {found}; find the series it was made from"
        raise refusal(headers, Reason.NOT_CT, sentence)


def _named(uid: str) -> str:
    """Give the standard's name of a UID, or the UID; nothing else is repeated."""
    return str(UID(uid).name) if is_uid(uid) else "none"


def are_readable(headers: Sequence[Header]) -> None:
    """Refuse pixels that this version can't decode."""
    for header in headers:
        syntax = header.facts.transfer_syntax_uid
        if layout_of(syntax) is None:
            sentence = f"transfer syntax must be one that can be read, got {_named(syntax)}, {why_refused(syntax)}"
            raise refusal(headers, Reason.UNSUPPORTED_SYNTAX, sentence)
        if found := _unlike_ct(header):
            sentence = f"pixels must be single values of 16 bits, got {found}; export the series again"
            raise refusal(headers, Reason.UNSUPPORTED_PIXELS, sentence)


def _unlike_ct(header: Header) -> str | None:
    """Say in what the pixels differ from those of CT (PS3.3 C.8.2.1)."""
    facts, pixels = header.facts, header.facts.pixels
    if pixels is None:
        return "no matrix size or bit depth"
    low, high = MATRIX_LIMITS
    if not (low <= pixels.rows <= high and low <= pixels.columns <= high):
        return f"a matrix of {pixels.rows} x {pixels.columns}"
    if facts.samples != 1 or facts.bits_allocated != 16:
        return f"{facts.samples} values of {facts.bits_allocated} bits"
    if not 8 <= pixels.bits_stored <= 16 or facts.high_bit not in (None, pixels.bits_stored - 1):
        return f"{pixels.bits_stored} bits stored below bit {facts.high_bit}"
    if layout_of(facts.transfer_syntax_uid) is Layout.ENCAPSULATED:
        return f"{header.pixel_bytes} bytes that are not encapsulated" if header.pixel_bytes is not None else None
    if header.pixel_bytes is not None and header.pixel_bytes > pixels.n_bytes + 1:
        return f"{header.pixel_bytes} bytes for {pixels.rows} x {pixels.columns} pixels"
    return None


def are_whole(headers: Sequence[Header]) -> None:
    """Refuse files that end before their pixels do, as far as headers tell: compressed ones don't."""
    for header in headers:
        due, there = _due_bytes(header), _pixel_bytes(header)
        if there < due:
            sentence = (
                f"pixel data must have {due} bytes, got {max(there, 0)} in instance {header.sop_instance_uid}; "
                "copy the file again"
            )
            raise refusal(headers, Reason.TRUNCATED, sentence)


def _due_bytes(header: Header) -> int:
    if layout_of(header.facts.transfer_syntax_uid) is Layout.ENCAPSULATED:
        return 1
    return header.facts.pixels.n_bytes if header.facts.pixels else 0


def _pixel_bytes(header: Header) -> int:
    """Return how many bytes of pixels there are; of a deflated file, how many its data set announces."""
    in_file = header.file_bytes - (header.pixel_offset or header.file_bytes)
    layout = layout_of(header.facts.transfer_syntax_uid)
    if layout is Layout.ENCAPSULATED:
        return in_file
    return header.pixel_bytes or 0 if layout is Layout.DEFLATED else min(header.pixel_bytes or 0, in_file)


def have_rescale(headers: Sequence[Header]) -> None:
    """Refuse pixels that can't be turned into Hounsfield units."""
    for header in headers:
        slope, intercept = header.facts.slope, header.facts.intercept
        if not slope or intercept is None or max(abs(slope), 1 / abs(slope), abs(intercept)) > RESCALE_LIMIT:
            sentence = (
                "RescaleSlope must not be zero and RescaleIntercept be present, both of a scanner's size, "
                f"got {slope} and {intercept}; export the series again, without them there are no Hounsfield units"
            )
            raise refusal(headers, Reason.NO_RESCALE, sentence)


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
            f"RescaleType must be HU or absent, got {'/'.join(found)} in {len(others)} of {len(headers)} images, "
            f"the first of them instance {others[0].sop_instance_uid}; choose the series in Hounsfield units, "
            "or have the source correct the attribute if this one is"
        )
        raise refusal(headers, Reason.NOT_HOUNSFIELD, sentence)


def have_unspecified_units(headers: Sequence[Header]) -> bool:
    """Return whether the unit of rescaled values is left open in any image."""
    return any(_is_unspecified(header.facts.rescale_type) for header in headers)


def _is_unspecified(rescale_type: str | None) -> bool:
    return (rescale_type or "").strip().upper() == UNSPECIFIED


def _is_hounsfield(rescale_type: str | None) -> bool:
    return rescale_type is None or HOUNSFIELD.fullmatch(rescale_type.strip().upper()) is not None


def _quoted(rescale_type: str) -> str:
    return rescale_type if QUOTABLE.fullmatch(rescale_type) else f"a value of {len(rescale_type)} characters"
