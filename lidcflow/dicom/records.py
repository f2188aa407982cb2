"""A CT series after its headers were read: plain frozen values, with the licence of its collection."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lidcflow.dicom.orientation import PatientAxes
from lidcflow.dicom.syntaxes import PLAIN

SYNTHETIC_MANUFACTURER = "lidcflow phantom"
"""Manufacturer (0008,0070) of series whose voxels were made, not measured."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Whose data a series is, and under which terms it may be used.

    Parameters
    ----------
    collection : str
        Collection of the public archive, such as ``"lidc_idri"``.
    licence : str, optional
        Short name of the licence, such as ``"CC BY 3.0"``.
    doi : str, optional
        DOI that its users are to cite.
    """

    collection: str
    licence: str | None = None
    doi: str | None = None

    @property
    def terms(self) -> str:
        """Licence and address of the DOI, as people read them."""
        link = f"https://doi.org/{self.doi}" if self.doi else "no DOI"
        return f"{self.licence or 'no licence named'}, {link}"


@dataclass(frozen=True, slots=True)
class Collection:
    """The part of a public collection that a source takes.

    Parameters
    ----------
    attribution : Attribution
        Its name and terms.
    series, files, size_bytes : int
        How much of it.
    """

    attribution: Attribution
    series: int
    files: int
    size_bytes: int

    @property
    def line(self) -> str:
        """A sentence for people.

        Examples
        --------
        >>> Collection(Attribution("a", "CC BY 3.0", "10.1/b"), 2, 1000, 3 * 10**9).line
        'a: 2 series, 1,000 files, 3.0 GB, CC BY 3.0, https://doi.org/10.1/b'
        """
        size = f"{self.series:,} series, {self.files:,} files, {self.size_bytes / 1e9:,.1f} GB"
        return f"{self.attribution.collection}: {size}, {self.attribution.terms}"


class VerdictReason(StrEnum):
    """The reason why a series can or cannot be used: the first that applies in `judge`'s order."""

    USABLE = "usable"
    BAD_UID = "bad-uid"
    MIXED_IDENTITY = "mixed-identity"
    NOT_CT = "not-ct"
    MULTI_FRAME = "multi-frame"
    LOCALIZER = "localizer"
    NO_POSITION = "no-position"
    MIXED_GEOMETRY = "mixed-geometry"
    MIXED_KERNELS = "mixed-kernels"
    NOT_AXIAL = "not-axial"
    TILTED = "tilted"
    UNSUPPORTED_SYNTAX = "unsupported-syntax"
    UNSUPPORTED_PIXELS = "unsupported-pixels"
    NO_RESCALE = "no-rescale"
    NOT_HOUNSFIELD = "not-hounsfield"
    TRUNCATED = "truncated"
    BLANK = "blank"
    MIXED_ACQUISITIONS = "mixed-acquisitions"
    DUPLICATE_POSITIONS = "duplicate-positions"
    MISSING_SLICES = "missing-slices"
    UNEVEN_SPACING = "uneven-spacing"
    TOO_FEW_SLICES = "too-few-slices"
    WHOLE_BODY = "whole-body"
    UNREADABLE = "unreadable"
    CHANGED = "changed"
    INCOMPLETE = "incomplete"
    GONE = "gone"
    ERASED = "erased"
    SYNTHETIC_AND_REAL = "synthetic-and-real"


PASSED_OVER = frozenset({VerdictReason.NOT_CT, VerdictReason.LOCALIZER})
"""Reasons of series that are not CT volumes; they get no recommendation."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """The pixel format of a slice.

    Parameters
    ----------
    rows, columns : int
        Matrix size.
    bits_stored : int
        Bits that hold the value, of 16 allocated; higher bits are not part of it.
    signed : bool
        Whether values are two's complement.
    padding : tuple of int, optional
        Lowest and highest stored value that mark pixels outside the field of view.
    """

    rows: int
    columns: int
    bits_stored: int
    signed: bool
    padding: tuple[int, int] | None = None

    @property
    def n_bytes(self) -> int:
        """Size of one slice."""
        return 2 * self.rows * self.columns


@dataclass(frozen=True, slots=True)
class SourceSlice:
    """One image of a series, and where its pixels start, so that they are read without a second parse.

    SOPInstanceUID and frame number name it; only frames of a multi-frame object have the latter.

    Parameters
    ----------
    path : str
        File; never written to a store, a log or a report.
    sop_instance_uid : str
        SOP Instance UID (0008,0018).
    instance_number : int, optional
        Instance Number (0020,0013): what viewers show.
    z_mm : float
        Position along the normal, towards the head.
    slope, intercept : float
        Rescale Slope and Intercept: HU of a stored value.
    pixel_offset, file_bytes : int
        Where the pixels start, and the size of the file when its header was read.
    pixels : PixelFormat
        What the pixels are.
    transfer_syntax_uid : str
        How they are encoded.
    frame_number : int, optional
        Of a multi-frame object, from 1; its frames share SOPInstanceUID, InstanceNumber and file.
    item_bytes : int, optional
        Length of the items of an encapsulated frame, where they do not end with the pixel data.
    version : str
        Of the file when it was listed, see `lidcflow.source.files.SourceFile`; empty where the source can't tell.
    mark : str
        Tells whether the file still has the header that was indexed: see `lidcflow.headers.fingerprint`, and of a PACS
        `lidcflow.headers.fingerprint`; empty for an object, whose version tells.
    """

    path: str
    sop_instance_uid: str
    instance_number: int | None
    z_mm: float
    slope: float
    intercept: float
    pixel_offset: int
    file_bytes: int
    pixels: PixelFormat
    transfer_syntax_uid: str = PLAIN
    frame_number: int | None = None
    item_bytes: int | None = None
    version: str = ""
    mark: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Acquisition of a series, as far as its headers state it."""

    manufacturer: str | None = None
    model: str | None = None
    kernel: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    contrast: bool | None = None


@dataclass(frozen=True)
class Series:
    """A usable CT series.

    Parameters
    ----------
    series_instance_uid, study_instance_uid : str
        UIDs, safe as names of folders.
    frame_of_reference_uid : str, optional
        Frame of Reference UID (0020,0052); None where slices have several.
    patient_key : str
        Keyed hash that stands for the patient.
    slices : sequence of SourceSlice
        Top of the chest (largest z) first, positions distinct; a large index unpacks them each time they are asked
        for, see `lidcflow.series.slices`.
    rows, columns : int
        Matrix size.
    row_spacing_mm, column_spacing_mm : float
        Distance between the centres of neighbouring rows, and of columns.
    slice_spacing_mm : float
        Median distance between neighbouring slices.
    acquisition : Acquisition
        Scanner and protocol.
    synthetic : bool
        Whether the voxels are a phantom's.
    fingerprint : str
        SHA-256 over what decides the voxels: instances, geometry, rescale.
    flags : tuple of str
        What was tolerated, in kebab case.
    attribution : Attribution, optional
        Of a series of the public archive.
    axes : PatientAxes, optional
        Where in the patient its pixels are.
    state : str
        From `hash_versions`: changes whenever a file may have changed; empty where the source can't tell.
    """

    series_instance_uid: str
    study_instance_uid: str
    frame_of_reference_uid: str | None
    patient_key: str
    slices: Sequence[SourceSlice]
    rows: int
    columns: int
    row_spacing_mm: float
    column_spacing_mm: float
    slice_spacing_mm: float
    acquisition: Acquisition
    synthetic: bool
    fingerprint: str
    flags: tuple[str, ...] = ()
    attribution: Attribution | None = None
    axes: PatientAxes | None = None
    state: str = ""


def hash_versions(slices: Sequence[SourceSlice]) -> str:
    """Hash the versions of the files of a series; return an empty text if the source has no versions.

    The same state means the same files. Another state may hold the same pixels: of a copy, or after a new owner.
    """
    versions = [source.version for source in slices]
    return "" if "" in versions else hashlib.sha256("\n".join(versions).encode()).hexdigest()
