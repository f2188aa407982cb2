"""Judge a series by its headers: a `Series` when it can be used, else one reason and one sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, replace

import numpy as np

from lidcflow.config import Access, PreprocessConfig
from lidcflow.ct import checks, placement
from lidcflow.ct.doubles import without_doubles
from lidcflow.ct.headers import Header
from lidcflow.ct.images import images_of, n_images
from lidcflow.ct.noticed import UNSPECIFIED_UNITS
from lidcflow.ct.records import SYNTHETIC_MANUFACTURER, Reason, Series, SourceSlice
from lidcflow.ct.spacing import spacing_mm
from lidcflow.ct.syntaxes import Layout, is_lossy, layout_of
from lidcflow.ct.values import is_uid
from lidcflow.ct.verdicts import Verdict
from lidcflow.errors import SeriesRefused
from lidcflow.privacy import patient_key
from lidcflow.source.files import SourceFile

DEFAULT = PreprocessConfig()
LOCAL = Access()


def judge(
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
    if not is_uid(uid):
        return _bad_series_uid(uid, len(headers))
    try:
        return _usable(sorted(headers, key=_by_worth), secret, config, access)
    except SeriesRefused as refused:
        return _refused(uid, Reason(refused.reason), refused.sentence, headers)
    except (ArithmeticError, ValueError) as error:
        sentence = f"series {uid}: headers must be sound, got {type(error).__name__} on them; export the series again"
        return _refused(uid, Reason.UNREADABLE, sentence, headers)


def _refused(uid: str, reason: Reason, sentence: str, headers: Sequence[Header]) -> Verdict:
    first = min(headers, key=_by_worth)
    return Verdict(
        uid,
        reason,
        sentence,
        len(headers),
        study_instance_uid=_study(headers),
        example=SourceFile(first.path, first.file_bytes, first.etag),
    )


def _by_worth(header: Header) -> tuple[str, bool, bool, bool, str]:
    """Order copies of an instance so that the one that can be read comes first."""
    layout = layout_of(header.facts.transfer_syntax_uid)
    whole = (header.pixel_bytes or 0) <= header.file_bytes - (header.pixel_offset or 0)
    return header.sop_instance_uid, layout is None, layout is not Layout.LITTLE_ENDIAN, not whole, header.path


def _study(headers: Sequence[Header]) -> str | None:
    """Return the StudyInstanceUID that all headers agree on, if it is one."""
    uid, *others = {header.facts.study_instance_uid for header in headers}
    return uid if not others and is_uid(uid) else None


def _bad_series_uid(uid: str, n_files: int) -> Verdict:
    name = f"invalid-{hashlib.sha256(uid.encode()).hexdigest()[:12]}"
    return Verdict(name, Reason.BAD_UID, f"series {name}: {checks.bad_uid_sentence('SeriesInstanceUID', uid)}", n_files)


def _usable(headers: list[Header], secret: bytes, config: PreprocessConfig, access: Access) -> Verdict:
    checks.have_uids(headers)
    checks.are_one_study_of_one_patient(headers)
    images = placement.of_one_kernel(placement.of_one_geometry(placement.placed(images_of(headers))))
    z_mm = placement.along_normal_mm(images)
    checks.are_readable(images)
    checks.have_rescale(images)
    checks.are_in_hounsfield_units(images)
    checks.are_whole(images)
    others = n_images(headers) - len(images)
    order = (-z_mm).argsort(kind="stable")
    images, slices = _without_doubles([images[i] for i in order], z_mm[order].tolist(), access)
    set_aside = n_images(headers) - len(images)
    slice_spacing_mm, flags = spacing_mm(images, np.array([source.z_mm for source in slices]), config)
    flags += ["duplicates-set-aside"] if set_aside > others else []
    flags += ["files-set-aside"] if others else []
    flags += [] if images[0].facts.patient_key else ["no-patient-id"]
    flags += ["lossy-compression"] if any(image.facts.lossy for image in images) else []
    flags += [UNSPECIFIED_UNITS] if checks.have_unspecified_units(images) else []
    flags += [] if placement.is_supine_view(images[0]) else ["rotated-in-plane"]
    series = replace(_series(images, slices, slice_spacing_mm, secret), flags=tuple(sorted(flags)))
    sentence = f"{len(images)} slices of {series.rows} x {series.columns}, {slice_spacing_mm:.2f} mm apart"
    return Verdict(series.series_instance_uid, Reason.USABLE, sentence, len(headers), set_aside, series.flags, series)


def _without_doubles(
    images: list[Header], z_mm: list[float], access: Access
) -> tuple[list[Header], tuple[SourceSlice, ...]]:
    slices = [_slice(header, z) for header, z in zip(images, z_mm, strict=True)]
    kept = without_doubles(images, slices, access)
    return [images[i] for i in kept], tuple(slices[i] for i in kept)


def _series(images: list[Header], slices: tuple[SourceSlice, ...], slice_spacing_mm: float, secret: bytes) -> Series:
    facts, pixels = images[0].facts, slices[0].pixels
    row_spacing_mm, column_spacing_mm = facts.spacing_mm or (0.0, 0.0)
    return Series(
        series_instance_uid=facts.series_instance_uid,
        study_instance_uid=facts.study_instance_uid,
        frame_of_reference_uid=facts.frame_of_reference_uid,
        patient_key=facts.patient_key or patient_key(facts.study_instance_uid, secret),
        slices=slices,
        rows=pixels.rows,
        columns=pixels.columns,
        row_spacing_mm=row_spacing_mm,
        column_spacing_mm=column_spacing_mm,
        slice_spacing_mm=slice_spacing_mm,
        acquisition=facts.acquisition,
        synthetic=facts.acquisition.manufacturer == SYNTHETIC_MANUFACTURER,
        fingerprint=_fingerprint(images, slices),
    )


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
        etag=header.etag,
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
