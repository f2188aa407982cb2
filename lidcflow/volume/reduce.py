"""Reduce a series to its volume: each slice in the plane the moment it is read, then into its slabs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import Access, PreprocessConfig
from lidcflow.dicom.records import Series, SourceSlice, VerdictReason
from lidcflow.errors import SeriesRefused
from lidcflow.pixels.decode import hounsfield_slice
from lidcflow.pixels.hounsfield import AIR_HU
from lidcflow.pixels.noticed import UNSPECIFIED_UNITS, SliceWatch
from lidcflow.pixels.open import Opener, slice_opener
from lidcflow.series.spacing import LONG_SCAN
from lidcflow.volume.plausible import lacking
from lidcflow.volume.resample import centre_edges_mm, reduce_plane, slab_edges_mm, slab_weights
from lidcflow.volume.slabs import CHANNELS, SlabSource, Volume

LOCAL = Access()

SEARCH_SLAB_MM = 5.0
SEARCH_SIZE = 128
"""Slabs at most as high, and cells at most as many, where the lungs are looked for: 360 slabs of a whole body take
24 MB."""


OnSlice = Callable[[int, NDArray[np.int16]], None]
"""Takes the number of a source slice, and its HU, in memory that the next slice overwrites."""


def reduce_series(
    series: Series, config: PreprocessConfig, access: Access = LOCAL, on_slice: OnSlice | None = None
) -> Volume:
    """Reduce a series to the grid that the configuration asks for.

    Parameters
    ----------
    series : Series
        A usable one.
    config : PreprocessConfig
        Grid and range.
    access : Access
        How buckets are reached, for slices that are objects.
    on_slice : callable, optional
        Takes each source slice once, from the top, when it is read.

    Returns
    -------
    Volume
        Both channels, with the sources of every slab.

    Raises
    ------
    SeriesRefused
        If a file is gone or changed since it was indexed, or more than a chest shows no lungs.
    ResourceError
        If the storage of objects does not answer.
    """
    volume = _reduced(series, config, _Reading(access, on_slice))
    noticed = replace(volume.noticed, implausible=lacking(volume.hu[0], volume.noticed.blank_slabs))
    return replace(volume, noticed=noticed, flags=(*volume.flags, *noticed.flags))


def require_content(series: Series, volume: Volume) -> None:
    """Raise if a volume shows nothing, or nothing that would make its unspecified units Hounsfield ones.

    Parameters
    ----------
    series : Series
        The source.
    volume : Volume
        Its reduction.

    Raises
    ------
    SeriesRefused
        If blank source slices spoil every slab, or Rescale Type leaves the unit open and a chest in HU looks otherwise.
    """
    blank = volume.noticed.blank_slices
    if len(volume.noticed.blank_slabs) == len(volume.sources):
        raise SeriesRefused(
            VerdictReason.BLANK,
            f"series {series.series_instance_uid}: images must show more than one value, got {len(blank)} of "
            f"{len(series.slices)} that do not, the first of them instance "
            f"{series.slices[blank[0]].sop_instance_uid}; export the series again",
        )
    if UNSPECIFIED_UNITS in volume.flags and volume.noticed.implausible:
        raise SeriesRefused(
            VerdictReason.NOT_HOUNSFIELD,
            f"series {series.series_instance_uid}: RescaleType must be HU or absent, got US, unspecified, and pixels "
            f"without the values of {' and '.join(volume.noticed.implausible)}; choose the series in Hounsfield units",
        )


class _Reading(NamedTuple):
    """Options of reading the slices, and other consumers of them."""

    access: Access
    on_slice: OnSlice | None


def _reduced(series: Series, config: PreprocessConfig, reading: _Reading) -> Volume:
    h_mm = series.slice_spacing_mm / 2
    scan_mm = slab_edges_mm(series.slices[0].z_mm, series.slices[-1].z_mm, h_mm, config.slices)
    if config.z_range == "lung":
        return _over_lungs(series, config, scan_mm, reading)
    if config.z_range == "centre":
        centre_mm = centre_edges_mm(scan_mm, config.slices)
        if centre_mm is None:
            return _over(series, config, scan_mm, reading, flags=("centre-outside-scan",))
        return _over(series, config, centre_mm, reading)
    return _over(series, config, scan_mm, reading)


def _over_lungs(series: Series, config: PreprocessConfig, scan_mm: NDArray[np.float64], reading: _Reading) -> Volume:
    """Reduce the whole scan, look for the lungs there, and reduce their extent, which reads them again."""
    from lidcflow.volume.lungs import lung_extent_mm  # SciPy takes 0.2 s, which workers on whole scans do without

    coarse = config.model_copy(update={"size": min(config.size, SEARCH_SIZE)})
    slabs = max(config.slices, math.ceil((scan_mm[0] - scan_mm[-1]) / SEARCH_SLAB_MM))
    scan = _over(series, coarse, np.linspace(scan_mm[0], scan_mm[-1], slabs + 1), reading)
    row_mm = series.rows * series.row_spacing_mm / coarse.size
    column_mm = series.columns * series.column_spacing_mm / coarse.size
    lung_z_mm = lung_extent_mm(scan.hu[0], scan.edges_mm, row_mm * column_mm)
    again = _Reading(reading.access, None)
    if lung_z_mm is not None:
        return _over(series, config, np.linspace(*lung_z_mm, config.slices + 1), again, lung_z_mm=lung_z_mm)
    if LONG_SCAN in series.flags:
        raise SeriesRefused(
            VerdictReason.WHOLE_BODY,
            f"series {series.series_instance_uid}: a scan of {scan_mm[0] - scan_mm[-1]:.0f} mm must show lungs, "
            "got none; choose the series that shows the chest",
        )
    return _over(series, config, scan_mm, again, flags=("lung-not-found",))


def _over(
    series: Series,
    config: PreprocessConfig,
    edges_mm: NDArray[np.float64],
    reading: _Reading,
    *,
    flags: tuple[str, ...] = (),
    lung_z_mm: tuple[float, float] | None = None,
) -> Volume:
    z_mm = np.array([source.z_mm for source in series.slices])
    weights = slab_weights(z_mm, series.slice_spacing_mm / 2, edges_mm, via_mm=config.via_mm)
    sources = tuple(_slab_sources(series.slices, row) for row in weights)
    used = [source for source, shares in zip(series.slices, weights.T, strict=True) if shares.any()]
    with slice_opener(used, reading.access) as opened:
        hu, watch = _accumulate(series.slices, weights, config.size, opened, reading.on_slice)
    return Volume(hu, edges_mm, sources, (*series.flags, *flags), lung_z_mm, watch.noticed(weights))


def _slab_sources(slices: Sequence[SourceSlice], weights: NDArray[np.float64]) -> tuple[SlabSource, ...]:
    return tuple(
        SlabSource(source.sop_instance_uid, source.instance_number, source.z_mm, float(weight), source.frame_number)
        for source, weight in zip(slices, weights, strict=True)
        if weight
    )


def _accumulate(
    slices: Sequence[SourceSlice],
    weights: NDArray[np.float64],
    size: int,
    opened: Opener,
    on_slice: OnSlice | None,
) -> tuple[NDArray[np.int16], SliceWatch]:
    """Add each slice to its slabs, and close a slab after the last slice in it: few are open at a time."""
    watch = SliceWatch()
    hu = np.full((len(CHANNELS), len(weights), size, size), AIR_HU, np.int16)
    last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(axis=1)
    scratch = np.empty((slices[0].pixels.rows, slices[0].pixels.columns), np.uint16)
    open_means: dict[int, NDArray[np.float32]] = {}
    for i, source in enumerate(slices):
        slabs = np.flatnonzero(weights[:, i]).tolist()
        if not slabs:
            continue
        plane = hounsfield_slice(source, scratch, opened)
        if on_slice is not None:
            on_slice(i, plane)
        mean, peak = reduce_plane(plane, size)
        watch.look(i, peak, mean)
        for k in slabs:
            share = mean * np.float32(weights[k, i])
            open_means[k] = open_means[k] + share if k in open_means else share
            np.maximum(hu[1, k], peak, out=hu[1, k])
            if last[k] == i:
                hu[0, k] = np.rint(open_means.pop(k))
    return hu, watch
