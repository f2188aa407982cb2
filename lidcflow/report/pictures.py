"""Small pictures of a volume as data URIs, so that a page needs no other file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lidcflow.compute_threads import map_in_threads

LUNG_WINDOW_HU = (-1350.0, 150.0)
"""Level -600, width 1500: lung vessels and nodules grey to white, air nearly black."""

CORONAL_WINDOW_HU = (-1000.0, 250.0)
THUMBNAIL_PIXELS = 72
SHARP_PIXELS = 192
"""Largest side of a recommended slice's lossless picture."""

PLANE_PIXELS = 128
"""Largest side of the picture of a plane through a finding."""

VIEWER_PIXELS_IN_ALL = 65 * 128 * 128
"""Keeps a page of any number of slices of any size near 1 MB: 1 to 4 kB of WebP at 128 x 128."""


@dataclass(frozen=True)
class Pictures:
    """Data URIs of one volume; the lists and mappings are by 0-based slice.

    Parameters
    ----------
    coronal : str
        The chest from the front, one row a slice.
    mean, maximum : list of str
        Both channels in the lung window, for looking through (lossy).
    thumbnail : list of str
        The mean, small.
    sharp_mean, sharp_maximum : mapping of int to str
        Both channels of the recommended slices (lossless).
    """

    coronal: str
    mean: list[str]
    maximum: list[str]
    thumbnail: list[str]
    sharp_mean: Mapping[int, str] = field(default_factory=dict)
    sharp_maximum: Mapping[int, str] = field(default_factory=dict)


def pictures_of(hu: NDArray[np.int16], sharp: Collection[int]) -> Pictures:
    """Make every picture of a page.

    Parameters
    ----------
    hu : (2, slices, rows, columns) array of int16
        Channels mean and max in HU, top of the chest first.
    sharp : collection of int
        0-based slices that get lossless pictures too.

    Returns
    -------
    Pictures
    """
    mean, maximum = (to_grey(channel, LUNG_WINDOW_HU) for channel in hu)
    side = min(hu.shape[2], int(sqrt(VIEWER_PIXELS_IN_ALL / hu.shape[1])))
    return Pictures(
        coronal=coronal_picture(hu),
        mean=_webps(mean, side),
        maximum=_webps(maximum, side),
        thumbnail=_webps(mean, min(side, THUMBNAIL_PIXELS)),
        sharp_mean={k: _png(mean[k], SHARP_PIXELS) for k in sharp},
        sharp_maximum={k: _png(maximum[k], SHARP_PIXELS) for k in sharp},
    )


def plane_pictures(planes: NDArray[np.int16]) -> list[str]:
    """Return the planes through a finding as data URIs in the lung window.

    Parameters
    ----------
    planes : (3, rows, columns) array of int16
        Axial, coronal and sagittal in HU.

    Raises
    ------
    ValueError
        If there are not three planes.
    """
    if planes.ndim != 3 or len(planes) != 3:
        raise ValueError(f"planes: shape must be (3, rows, columns), got {planes.shape}")
    return [_webp(grey, PLANE_PIXELS) for grey in to_grey(planes, LUNG_WINDOW_HU)]


def to_grey(hu: NDArray[np.number], window_hu: tuple[float, float]) -> NDArray[np.uint8]:
    """Map a window of radiodensity to grey, black below and white above it.

    Parameters
    ----------
    hu : array of numbers
        Radiodensity in HU, any shape.
    window_hu : (float, float)
        Lower and upper end of the window in HU.

    Returns
    -------
    array of uint8
        Of the same shape.

    Examples
    --------
    >>> to_grey(np.array([-2000, -600, 3000]), LUNG_WINDOW_HU)
    array([  0, 128, 255], dtype=uint8)
    """
    low_hu, high_hu = window_hu
    share = (hu.astype(np.float32) - low_hu) / (high_hu - low_hu)
    grey: NDArray[np.uint8] = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return grey


def coronal(hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Average a volume's middle rows from front to back, where lungs, heart and airways lie.

    Parameters
    ----------
    hu : (slices, rows, columns) array of int16
        The mean channel in HU.

    Returns
    -------
    (slices, columns) array of uint8
    """
    rows = hu.shape[1]
    middle: NDArray[np.float64] = hu[:, int(0.4 * rows) : int(0.65 * rows) + 1].mean(axis=1)
    return to_grey(middle, CORONAL_WINDOW_HU)


def coronal_picture(hu: NDArray[np.int16], share: float = 1.0) -> str:
    """Return the chest from the front as a data URI; `hu` as for `pictures_of`, `share` of its width."""
    aside = round(hu.shape[3] * (1 - share) / 2)
    return _png(coronal(hu[0])[:, aside : hu.shape[3] - aside])


def _png(grey: NDArray[np.uint8], most_pixels: int | None = None) -> str:
    return _uri(_shrunk(grey, most_pixels or max(grey.shape)), "png", optimize=True)


def _webps(slices: NDArray[np.uint8], most_pixels: int) -> list[str]:
    return map_in_threads(partial(_webp, most_pixels=most_pixels), slices)


def _webp(grey: NDArray[np.uint8], most_pixels: int) -> str:
    return _uri(_shrunk(grey, most_pixels), "webp", quality=70, method=2)  # 4 takes twice as long for 3% less


def _shrunk(grey: NDArray[np.uint8], most_pixels: int) -> Image.Image:
    image = Image.fromarray(grey)
    if max(image.size) > most_pixels:
        image.thumbnail((most_pixels, most_pixels), Image.Resampling.LANCZOS)
    return image


def _uri(image: Image.Image, kind: str, **options: object) -> str:
    buffer = BytesIO()
    image.save(buffer, format=kind, **options)
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode('ascii')}"
