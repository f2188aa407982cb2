"""The real images that the detector is trained on: where they lie, what counts as a nodule, and what is kept apart."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lidcflow.errors import TrainingError
from lidcflow.learn.nodule_candidates import READERS, SIDE, CandidateImages, candidate_images
from lidcflow.learn.nodule_variations import Variation
from lidcflow.nodules.patch_file import PatchFile, read_patch_file
from lidcflow.nodules.window import PIXEL_MM, windowed

PATCHES, SLICES = "nodule-patches", "nodule-slices"
SERIES = ("LIDC-IDRI", "LIDC-IDRI-more", "QIN-LUNG-CT")

CHOOSE_FROM = 345_000
"""Row of LUNA16's candidates from which training patches are kept apart: 505 of them, 73 with a nodule."""

MEASURED_ON = (
    "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192",
    "1.3.6.1.4.1.14519.5.2.1.6279.6001.132817748896065918417924920957",
    "1.3.6.1.4.1.14519.5.2.1.6279.6001.774060103415303828812229821954",
)
"""LIDC-IDRI-0001, -0006 and -0008, on which candidates are measured."""

PATCH_ROWS = {MEASURED_ON[0]: (141_208, 159_071), MEASURED_ON[1]: (57_540, 63_452)}
"""Places of the first two such series in LUNA16's list, ordered by series; the third lies beyond the training patches.

The patches do not name their series. Those of nodules that are nodule slices too do: these are the stretches between
the third known series before and after."""

KEPT_APART = ("1.3.6.1.4.1.14519.5.2.1.6279.6001.31", "1.3.6.1.4.1.14519.5.2.1.6279.6001.44")
"""LUNA16 lists its candidates by series, in the order of their UIDs as text. The validation patches begin with a series
of the first beginning. 29 of their nodules are found among the nodule slices by comparing pixels; the last of these
series begins with ``.413``, 1,500 rows (two or three series) before the end of the validation part, and the second
beginning lies past that end. Nodule slices of series from the first up to the second are not trained on."""

MIDDLE_PIXEL_MM = 0.7
"""Spacing of patches whose spacing is not known: the median of LIDC-IDRI."""

WIDEST_MM = 34.0
"""Nodules that still show their rim in a patch."""

SMALL_MM = 13.0
"""Nodules with tissue beside them on their slices."""

JPEG_SHARE = 0.6
"""Share of the nodule slices that are compressed with JPEG like all patches, so that JPEG artefacts do not give nodules
away."""


@dataclass(frozen=True)
class ImageSource:
    """Images of one kind, and how many of them are in a batch.

    Attributes
    ----------
    name : str
    images : (n, side, side) array of uint8
        In the detector's window.
    pixel_mm : (n,) array of float32
    target : (n,) array of float32
        Probability of a nodule to learn.
    series : (n,) array of str
        SeriesInstanceUID; for patches, that of a measured series where they may be of it, and else empty.
    share : float
        Of a batch.
    variation : Variation
    away_mm : (n, 2) array, optional
        Least and largest distance of the patches from the middle, where the nodule is; by default they are there.
    """

    name: str
    images: NDArray[np.uint8]
    pixel_mm: NDArray[np.float32]
    target: NDArray[np.float32]
    series: NDArray[np.str_]
    share: float
    variation: Variation
    away_mm: NDArray[np.float32] | None = None

    def part(self, chosen: NDArray[np.bool_]) -> ImageSource:
        """Return the images that are chosen."""
        return replace(
            self,
            images=self.images[chosen],
            pixel_mm=self.pixel_mm[chosen],
            target=self.target[chosen],
            series=self.series[chosen],
            away_mm=None if self.away_mm is None else self.away_mm[chosen],
        )


@dataclass(frozen=True)
class NoduleSets:
    """Data to train on and to evaluate with.

    Attributes
    ----------
    sources : tuple of ImageSource
        To train on; none of them is empty.
    kept_apart : PatchFile
        Patches of training series that are kept apart to choose by.
    validation : PatchFile
        Patches to report on.
    series : tuple of CandidateImages
        Candidates of the real series.
    """

    sources: tuple[ImageSource, ...]
    kept_apart: PatchFile
    validation: PatchFile
    series: tuple[CandidateImages, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Images of each source."""
        return {source.name: len(source.images) for source in self.sources}

    def without(self, series_uids: Sequence[str]) -> NoduleSets:
        """Return the sets to train on without what is of some series, or may be."""
        parts = [source.part(~np.isin(source.series, list(series_uids))) for source in self.sources]
        return replace(self, sources=tuple(source for source in parts if len(source.images)))


def require_sets(folder: Path, *, patches_only: bool = False) -> None:
    """Check that all sets are there.

    Raises
    ------
    TrainingError
        Naming those that are missing.
    """
    wanted = [f"{PATCHES}/patches.npz"]
    if not patches_only:
        wanted += [f"{SLICES}/slices.npz", f"{SLICES}/nodules.csv", *SERIES]
    missing = [name for name in wanted if not (folder / name).exists()]
    if missing:
        raise TrainingError(
            f"nodule data: must hold {', '.join(wanted)}, but {', '.join(missing)} is missing; "
            "name the folder with --data, or train on patches alone with --patches-only"
        )


def read_sets(folder: Path, *, seed: int, patches_only: bool = False, choose_from: int = CHOOSE_FROM) -> NoduleSets:
    """Read the sets.

    Parameters
    ----------
    folder : Path
        With ``nodule-patches``, ``nodule-slices`` and the series.
    seed : int
        Of the JPEG qualities.
    patches_only : bool
        Whether to leave all but the patches out.
    choose_from : int
        Row of LUNA16's candidates from which training patches are kept apart.

    Raises
    ------
    TrainingError
        If a set is missing.
    """
    require_sets(folder, patches_only=patches_only)
    patches = read_patch_file(folder / PATCHES / "patches.npz")
    train = patches.part(patches.split == "train")
    kept_apart = train.order >= choose_from
    sources = _patch_sources(train.part(~kept_apart))
    series: tuple[CandidateImages, ...] = ()
    if not patches_only:
        series = tuple(one for name in SERIES for one in candidate_images(folder / name))
        sources += _slice_sources(folder / SLICES, np.random.default_rng(seed)) + _candidate_sources(series)
    validation = patches.part(patches.split == "validation")
    return NoduleSets(
        tuple(source for source in sources if len(source.images)), train.part(kept_apart), validation, series
    )


def _patch_sources(patches: PatchFile) -> tuple[ImageSource, ...]:
    series = np.full(len(patches.label), "", "<U64")
    for uid, (first, end) in PATCH_ROWS.items():
        series[(first <= patches.order) & (patches.order < end)] = uid
    near = Variation(least_zoom=0.85, spacing_spread=0.08)
    nodule = patches.label == 1
    return (
        _source("patches with a nodule", patches.image[nodule], series[nodule], 1.0, 0.26, near),
        _source("patches without", patches.image[~nodule], series[~nodule], 0.0, 0.30, replace(near, shift_mm=1.25)),
    )


def _source(
    name: str,
    images: NDArray[np.uint8],
    series: NDArray[np.str_],
    target: float,
    share: float,
    variation: Variation,
    pixel_mm: float = MIDDLE_PIXEL_MM,
) -> ImageSource:
    spacing_mm, targets = (np.full(len(images), value, np.float32) for value in (pixel_mm, target))
    return ImageSource(name, images, spacing_mm, targets, series, share, variation)


def _candidate_sources(series: Sequence[CandidateImages]) -> tuple[ImageSource, ...]:
    images = np.concatenate([one.images for one in series])
    readers = np.concatenate([one.readers for one in series])
    uids = np.concatenate([np.full(len(one.images), one.series_instance_uid) for one in series])
    planes = images.shape[1]

    def of(chosen: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
        return images[chosen].reshape(-1, SIDE, SIDE), uids[chosen].repeat(planes)

    far = Variation(shift_mm=1.25)
    return (
        _source("planes of candidates in nodules", *of(readers >= READERS), 1.0, 0.03, Variation(), PIXEL_MM),
        _source("planes of other candidates", *of(readers == 0), 0.0, 0.20, far, PIXEL_MM),
    )


def _slice_sources(folder: Path, rng: np.random.Generator) -> tuple[ImageSource, ...]:
    """Read nodule slices: nodules of two readers and more, and the tissue around small ones."""
    with (folder / "nodules.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    uids = np.array([row["series_uid"] for row in rows])
    readers, diameter_mm, pixel_mm = (
        np.array([float(row[key]) for row in rows], np.float32)
        for key in ("n_ratings", "area_diameter_mm", "pixel_spacing_mm")
    )
    with np.load(folder / "slices.npz", allow_pickle=False) as arrays:
        images = np.stack([_recorded(image, rng) for image in windowed(arrays["hu"])])
    target = np.where(readers >= READERS, 1.0, 0.8).astype(np.float32)
    least_mm = np.maximum(diameter_mm / 2 + 4, 7)
    away_mm = np.stack([least_mm, np.full_like(least_mm, 14)], axis=1)
    nodules = ImageSource("nodule slices", images, pixel_mm, target, uids, 0.17, Variation())
    beside = ImageSource(
        "tissue beside nodules", images, pixel_mm, 0 * target, uids, 0.05, Variation(least_zoom=1.0), away_mm
    )
    used = (uids < KEPT_APART[0]) | (uids >= KEPT_APART[1])
    return (
        nodules.part(used & (readers >= 2) & (diameter_mm < WIDEST_MM)),
        beside.part(used & (diameter_mm < SMALL_MM)),
    )


def _recorded(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pass some of the images through JPEG."""
    if rng.random() >= JPEG_SHARE:
        return image
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=int(rng.integers(70, 97)))
    return np.asarray(Image.open(stream))
