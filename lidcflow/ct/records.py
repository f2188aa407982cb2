"""What is known of a CT series after its headers were read: plain frozen values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import overload

from lidcflow.ct.syntaxes import PLAIN

SYNTHETIC_MANUFACTURER = "lidcflow phantom"
"""Manufacturer (0008,0070) of series whose voxels were made, not measured."""


class Reason(StrEnum):
    """Why a series can or can't be used; one per series, the first that applies in `judge`'s order."""

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
    TRUNCATED = "truncated"
    MIXED_ACQUISITIONS = "mixed-acquisitions"
    DUPLICATE_POSITIONS = "duplicate-positions"
    MISSING_SLICES = "missing-slices"
    UNEVEN_SPACING = "uneven-spacing"
    TOO_FEW_SLICES = "too-few-slices"
    WHOLE_BODY = "whole-body"
    UNREADABLE = "unreadable"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """What the pixels of a slice are.

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
    etag : str
        Of an object, as it was listed; empty for a file.
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
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How a series was acquired, as far as its headers say."""

    manufacturer: str | None = None
    model: str | None = None
    kernel: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    contrast: bool | None = None


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
    """What a source takes of a collection of the public archive.

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
        """What people read.

        Examples
        --------
        >>> Collection(Attribution("a", "CC BY 3.0", "10.1/b"), 2, 1000, 3 * 10**9).line
        'a: 2 series, 1,000 files, 3.0 GB, CC BY 3.0, https://doi.org/10.1/b'
        """
        size = f"{self.series:,} series, {self.files:,} files, {self.size_bytes / 1e9:,.1f} GB"
        return f"{self.attribution.collection}: {size}, {self.attribution.terms}"


@dataclass(frozen=True)
class Series:
    """A usable CT series.

    Parameters
    ----------
    series_instance_uid, study_instance_uid : str
        UIDs, safe as names of folders.
    frame_of_reference_uid : str, optional
        Frame of Reference UID (0020,0052).
    patient_key : str
        Keyed hash that stands for the patient.
    slices : tuple of SourceSlice
        Top of the chest (largest z) first, positions distinct.
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
    """

    series_instance_uid: str
    study_instance_uid: str
    frame_of_reference_uid: str | None
    patient_key: str
    slices: tuple[SourceSlice, ...]
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


@dataclass(frozen=True)
class Verdict:
    """What the index says about one series.

    Parameters
    ----------
    series_instance_uid : str
        As in the header; ``invalid-...`` with a hash where it can't be a UID.
    reason : Reason
        `Reason.USABLE`, or why not.
    sentence : str
        What must hold, what was found, what to do; for usable series what it is.
    n_files, set_aside : int
        Files that carry the UID; localizers, strays and second copies among their images that are not used.
    flags : tuple of str
        What was tolerated, in kebab case.
    series : Series, optional
        Present when usable.
    study_instance_uid : str, optional
        Of a refused series, where its headers agree on a valid one: answers lie beside those of the study.
    """

    series_instance_uid: str
    reason: Reason
    sentence: str
    n_files: int
    set_aside: int = 0
    flags: tuple[str, ...] = ()
    series: Series | None = None
    study_instance_uid: str | None = None

    @property
    def usable(self) -> bool:
        """Whether the series can be preprocessed."""
        return self.series is not None


@dataclass(frozen=True, slots=True)
class Beside:
    """What a source holds beside images, by kind and count alone.

    Parameters
    ----------
    not_dicom, unreadable, archives : int
        Files that are not DICOM; DICOM files whose header can't be read; archives such as zip, which are not opened.
    unlistable : int
        Folders whose content may not be listed.
    missing_lines : tuple of int
        Lines of a list file that name nothing.
    """

    not_dicom: int = 0
    unreadable: int = 0
    archives: int = 0
    unlistable: int = 0
    missing_lines: tuple[int, ...] = ()

    @property
    def may_hide_images(self) -> bool:
        """Whether there may be images that no verdict speaks of."""
        return bool(self.unreadable or self.archives or self.unlistable or self.missing_lines)

    @property
    def line(self) -> str:
        """What people read; empty when there is nothing beside.

        Examples
        --------
        >>> Beside(not_dicom=2, archives=1).line
        'Beside them: 2 files that are not DICOM, 1 archives (unpack them and index again).'
        """
        kinds = [f"{self.not_dicom} files that are not DICOM"] if self.not_dicom else []
        kinds += [f"{self.unreadable} unreadable DICOM files (copy them again)"] if self.unreadable else []
        kinds += [f"{self.archives} archives (unpack them and index again)"] if self.archives else []
        kinds += [f"{self.unlistable} folders that may not be listed"] if self.unlistable else []
        numbers = ", ".join(map(str, self.missing_lines))
        kinds += [f"lines of the list that name nothing: {numbers}"] if numbers else []
        return f"Beside them: {', '.join(kinds)}." if kinds else ""


@dataclass(frozen=True)
class Index(Sequence[Verdict]):
    """The verdicts on all series of a source, by SeriesInstanceUID, and what else lay there.

    Parameters
    ----------
    verdicts : tuple of Verdict
        One for each series.
    beside : Beside
        What else lay there.
    collections : tuple of Collection
        What was taken of the public archive.
    """

    verdicts: tuple[Verdict, ...]
    beside: Beside = Beside()
    collections: tuple[Collection, ...] = ()

    @property
    def usable(self) -> list[Series]:
        """Series that can be preprocessed."""
        return [verdict.series for verdict in self.verdicts if verdict.series is not None]

    @property
    def refused(self) -> list[Verdict]:
        """Verdicts on series that can't."""
        return [verdict for verdict in self.verdicts if not verdict.usable]

    @property
    def not_dicom(self) -> int:
        """Files that are not DICOM."""
        return self.beside.not_dicom

    @property
    def unreadable(self) -> int:
        """DICOM files whose header can't be read."""
        return self.beside.unreadable

    @overload
    def __getitem__(self, item: int) -> Verdict: ...
    @overload
    def __getitem__(self, item: slice) -> tuple[Verdict, ...]: ...
    def __getitem__(self, item: int | slice) -> Verdict | tuple[Verdict, ...]:
        return self.verdicts[item]

    def __len__(self) -> int:
        return len(self.verdicts)

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)
