"""Judge a series by its headers: a `Series` when it can be used, else one reason and one sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, replace

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import Access, PreprocessConfig
from lidcflow.dicom.orientation import PatientAxes, axes_of, view_flags
from lidcflow.dicom.records import SYNTHETIC_MANUFACTURER, Series, SourceSlice, VerdictReason, hash_versions
from lidcflow.dicom.syntaxes import PixelLayout, is_lossy, pixel_layout
from lidcflow.dicom.values import is_uid, series_name
from lidcflow.errors import SeriesRefused
from lidcflow.headers import checks
from lidcflow.headers.concerned import images_concerned
from lidcflow.headers.header import Header
from lidcflow.headers.modalities import other_kind
from lidcflow.pixels.noticed import UNSPECIFIED_UNITS
from lidcflow.pixels.padding import excess_flags
from lidcflow.privacy import hash_patient_id
from lidcflow.series import positions
from lidcflow.series.copies import copies_of, n_images, require_one_image, usable_images, without_doubles
from lidcflow.series.passes import of_one_pass, pass_flags
from lidcflow.series.spacing import spacing_mm
from lidcflow.series.strays import without_stray
from lidcflow.series.verdicts import Verdict
from lidcflow.source.files import SourceFile

OTHER_SYNTAX = "transfer-syntax-corrected"
"""Flag of files whose data are in another transfer syntax than they state."""

LOCALIZERS = "localizer"
"""Name under which a series of localizers alone is counted."""

DEFAULT = PreprocessConfig()
LOCAL = Access()


def judge_series(
    headers: Sequence[Header], *, secret: bytes, config: PreprocessConfig = DEFAULT, access: Access = LOCAL
) -> Verdict:
    """Judge the files that carry one SeriesInstanceUID.

    Parameters
    ----------
    headers : sequence of Header
        At least one; in any order.
    secret : bytes
        Key of the patient hash.
    config : PreprocessConfig
        What the series is wanted for: its z range, and what to do with gaps.
    access : Access
        How buckets are reached: pixels are compared where two slices have one position.

    Returns
    -------
    Verdict
        With the series when it is usable.
    """
    uid = headers[0].facts.series_instance_uid
    if kind := other_kind(headers):
        sentence = f"series {series_name(uid)}: {checks.no_ct_sentence(headers, kind)}"
        return _refused(series_name(uid), VerdictReason.NOT_CT, sentence, headers, secret, kind=kind)
    if not is_uid(uid):
        return _bad_series_uid(uid, headers, secret)
    try:
        return _usable(sorted(headers, key=_by_worth), secret, config, access)
    except SeriesRefused as refused:
        kind = LOCALIZERS if refused.reason == VerdictReason.LOCALIZER else ""
        return _refused(uid, VerdictReason(refused.reason), refused.sentence, headers, secret, kind=kind)
    except (ArithmeticError, ValueError) as error:
        sentence = f"series {uid}: headers must be sound, got {type(error).__name__} on them; export the series again"
        return _refused(uid, VerdictReason.UNREADABLE, sentence, headers, secret)


def patient_of(header: Header, secret: bytes) -> str:
    """Return the keyed hash of a header's patient; without a PatientID, a study stands for a patient of its own."""
    return header.facts.patient_key or hash_patient_id(header.facts.study_instance_uid, secret)


def _refused(
    uid: str, reason: VerdictReason, sentence: str, headers: Sequence[Header], secret: bytes, *, kind: str = ""
) -> Verdict:
    first = min(headers, key=_by_worth)
    return Verdict(
        uid,
        reason,
        sentence,
        len(headers),
        study_instance_uid=_study(headers),
        example=SourceFile(first.path, first.file_bytes, first.version),
        patients=_patients(headers, secret),
        studies=_studies(headers),
        kind=kind,
        synthetic=_synthetic(headers),
    )


def _synthetic(headers: Sequence[Header]) -> bool:
    return all(header.facts.acquisition.manufacturer == SYNTHETIC_MANUFACTURER for header in headers)


def _by_worth(header: Header) -> tuple[str, bool, bool, bool, str]:
    """Order copies of an instance so that the one that can be read comes first."""
    layout = pixel_layout(header.facts.transfer_syntax_uid)
    whole = (header.pixel_bytes or 0) <= header.file_bytes - (header.pixel_offset or 0)
    return header.sop_instance_uid, layout is None, layout is not PixelLayout.LITTLE_ENDIAN, not whole, header.path


def _study(headers: Sequence[Header]) -> str | None:
    """Return the StudyInstanceUID that all headers agree on, if it is one."""
    uid, *others = {header.facts.study_instance_uid for header in headers}
    return uid if not others and is_uid(uid) else None


def _patients(headers: Sequence[Header], secret: bytes) -> tuple[str, ...]:
    return tuple(sorted({patient_of(header, secret) for header in headers}))


def _studies(headers: Sequence[Header]) -> tuple[str, ...]:
    return tuple(sorted({uid for header in headers if is_uid(uid := header.facts.study_instance_uid)}))


def _bad_series_uid(uid: str, headers: Sequence[Header], secret: bytes) -> Verdict:
    name = series_name(uid)
    return Verdict(
        name,
        VerdictReason.BAD_UID,
        f"series {name}: {checks.bad_uid_sentence('SeriesInstanceUID', uid, f' {images_concerned(headers, headers)}')}",
        len(headers),
        study_instance_uid=_study(headers),
        patients=_patients(headers, secret),
        studies=_studies(headers),
    )


def _usable(headers: list[Header], secret: bytes, config: PreprocessConfig, access: Access) -> Verdict:
    checks.have_uids(headers)
    checks.are_one_study_of_one_patient(headers)
    images = positions.of_one_kernel(positions.of_one_geometry(positions.placed(usable_images(headers))))
    images, z_mm = positions.stacked(images)
    images, z_mm = _kept(without_stray(z_mm), images, z_mm)
    kept, flags = positions.of_one_frame(images, z_mm)
    images, z_mm = _kept(kept, images, z_mm)
    flags += _readable_flags(images, access)
    _check_copies(images, headers, access)
    others = n_images(headers) - len(images)
    single, z_mm = _kept(_without_doubles(images, z_mm, access), images, z_mm)
    flags += ["duplicates-set-aside"] if len(single) < len(images) else []
    images, z_mm = _kept(of_one_pass(single, z_mm), single, z_mm)
    others += len(single) - len(images)
    slice_spacing_mm, spacing_flags = spacing_mm(images, z_mm, config)
    flags += [*spacing_flags, *_series_flags(images)]
    flags += ["files-set-aside"] if others else []
    slices = tuple(_slice(header, z) for header, z in zip(images, z_mm.tolist(), strict=True))
    series = replace(_series(images, slices, slice_spacing_mm, secret), flags=tuple(sorted(flags)))
    sentence = f"{len(images)} slices of {series.rows} x {series.columns}, {slice_spacing_mm:.2f} mm apart"
    set_aside = n_images(headers) - len(images)
    return Verdict(
        series.series_instance_uid,
        VerdictReason.USABLE,
        sentence,
        len(headers),
        set_aside,
        series.flags,
        series,
        patients=(series.patient_key,),
        studies=(series.study_instance_uid,),
        synthetic=series.synthetic,
    )


def _kept(
    kept: list[int], images: Sequence[Header], z_mm: NDArray[np.float64]
) -> tuple[list[Header], NDArray[np.float64]]:
    return [images[i] for i in kept], z_mm[kept]


def _readable_flags(images: Sequence[Header], access: Access) -> list[str]:
    """Refuse pixels that can't be read or turned into Hounsfield units, and return flags on what was tolerated."""
    checks.are_readable(images)
    checks.have_rescale(images)
    checks.are_in_hounsfield_units(images)
    checks.are_whole(images)
    return excess_flags(images, access)


def _series_flags(images: Sequence[Header]) -> list[str]:
    facts = images[0].facts
    flags = [] if facts.patient_key else ["no-patient-id"]
    flags += ["lossy-compression"] if any(image.facts.lossy for image in images) else []
    flags += [UNSPECIFIED_UNITS] if checks.have_unspecified_units(images) else []
    flags += [OTHER_SYNTAX] if any(image.other_syntax_uid for image in images) else []
    return flags + view_flags(facts.orientation or (), facts.patient_position) + pass_flags(images)


def _check_copies(images: list[Header], headers: list[Header], access: Access) -> None:
    pairs = copies_of(images, headers)
    if pairs:
        slices = [(_slice(used, 0.0), _slice(copy, 0.0)) for used, copy in pairs]
        require_one_image(headers, slices, access)


def _without_doubles(images: list[Header], z_mm: NDArray[np.float64], access: Access) -> list[int]:
    slices = [_slice(header, z) for header, z in zip(images, z_mm.tolist(), strict=True)]
    return without_doubles(images, slices, access)


def _series(images: list[Header], slices: tuple[SourceSlice, ...], slice_spacing_mm: float, secret: bytes) -> Series:
    facts, pixels = images[0].facts, slices[0].pixels
    row_spacing_mm, column_spacing_mm = facts.spacing_mm or (0.0, 0.0)
    return Series(
        series_instance_uid=facts.series_instance_uid,
        study_instance_uid=facts.study_instance_uid,
        frame_of_reference_uid=_one_frame(images),
        patient_key=patient_of(images[0], secret),
        slices=slices,
        rows=pixels.rows,
        columns=pixels.columns,
        row_spacing_mm=row_spacing_mm,
        column_spacing_mm=column_spacing_mm,
        slice_spacing_mm=slice_spacing_mm,
        acquisition=facts.acquisition,
        synthetic=_synthetic(images[:1]),
        fingerprint=_fingerprint(images, slices),
        axes=_axes(images, slices),
        state=hash_versions(slices),
    )


def _one_frame(images: Sequence[Header]) -> str | None:
    """Return the Frame of Reference UID that all slices have, if it is one."""
    uid, *others = {image.facts.frame_of_reference_uid for image in images}
    return uid if uid and not others and is_uid(uid) else None


def _axes(images: Sequence[Header], slices: Sequence[SourceSlice]) -> PatientAxes | None:
    first, last = images[0], images[-1]
    if first.facts.orientation is None or first.position_mm is None or last.position_mm is None:
        return None
    ends_mm = slices[0].z_mm, slices[-1].z_mm
    return axes_of(first.facts.orientation, first.position_mm, last.position_mm, ends_mm)


def _slice(header: Header, z_mm: float) -> SourceSlice:
    facts = header.facts
    if facts.pixels is None or facts.slope is None or facts.intercept is None or header.pixel_offset is None:
        raise ValueError("a slice must have passed all checks before it becomes part of a series")
    return SourceSlice(
        path=header.path,
        sop_instance_uid=header.sop_instance_uid,
        instance_number=header.instance_number,
        z_mm=z_mm,
        slope=facts.slope,
        intercept=facts.intercept,
        pixel_offset=header.pixel_offset,
        file_bytes=header.file_bytes,
        pixels=facts.pixels,
        transfer_syntax_uid=facts.transfer_syntax_uid,
        frame_number=header.frame_number,
        item_bytes=header.item_bytes,
        version=header.version,
        mark=header.mark,
    )


def _fingerprint(images: list[Header], slices: tuple[SourceSlice, ...]) -> str:
    """Hash what decides the stored group; paths, times and file sizes do not, and classic slices have no frame."""
    facts = images[0].facts
    series = [facts.study_instance_uid, facts.patient_key, facts.spacing_mm, facts.orientation]
    rows = [
        [
            s.sop_instance_uid,
            s.instance_number,
            s.z_mm,
            s.slope,
            s.intercept,
            *([s.frame_number] if s.frame_number else []),
        ]
        for s in slices
    ]
    formats = sorted({astuple(pixels) for pixels in {s.pixels for s in slices}}, key=repr)
    lossy = sorted({s.transfer_syntax_uid for s in slices if is_lossy(s.transfer_syntax_uid)})
    decisive = [series, astuple(facts.acquisition), formats, rows, *lossy]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
