"""Input of a backbone: Hounsfield units of a slice through windows, as three planes of 0 to 255."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Input = Literal["gray", "max", "projections"]

LUNG_HU = (-1350.0, 150.0)
"""Lung window, level -600 and width 1500 HU."""

SOFT_TISSUE_HU = (-160.0, 240.0)
"""Soft-tissue window, level 40 and width 400 HU."""


def windowed(hu: NDArray[np.number], window_hu: tuple[float, float]) -> NDArray[np.float32]:
    """Map a window of Hounsfield units to 0 to 255, clipped.

    Parameters
    ----------
    hu : array of any shape
        Radiodensity in HU.
    window_hu : (low, high)
        HU that become 0 and 255.

    Examples
    --------
    >>> windowed(np.array([-2000, -600, 400]), LUNG_HU).tolist()
    [0.0, 127.5, 255.0]
    """
    low_hu, high_hu = window_hu
    gray = (hu.astype(np.float32) - np.float32(low_hu)) * np.float32(255 / (high_hu - low_hu))
    return np.clip(gray, 0, 255, out=gray)


def model_input(hu: NDArray[np.number], input: Input) -> NDArray[np.float32]:
    """Turn slices of a volume into images for a backbone.

    Parameters
    ----------
    hu : (2, slices, rows, columns) array
        Channels ``mean`` and ``max`` in HU.
    input : "gray", "max" or "projections"
        ``gray`` is the mean in the lung window, three times, and ``max`` the maximum likewise;
        ``projections`` are mean and max in the lung window and mean in the soft-tissue window.

    Returns
    -------
    (slices, rows, columns, 3) array of float32
        0 to 255, as RGB images; each backbone scales them further itself.

    Raises
    ------
    ValueError
        If `hu` does not have the two channels, or `input` is unknown.
    """
    if hu.ndim != 4 or hu.shape[0] != 2:
        raise ValueError(f"model input: hu must have shape (2, slices, rows, columns), got {hu.shape}")
    mean_hu, max_hu = hu
    if input in ("gray", "max"):
        lung = windowed(mean_hu if input == "gray" else max_hu, LUNG_HU)
        return np.stack([lung, lung, lung], axis=-1)
    if input == "projections":
        planes = [windowed(mean_hu, LUNG_HU), windowed(max_hu, LUNG_HU), windowed(mean_hu, SOFT_TISSUE_HU)]
        return np.stack(planes, axis=-1)
    raise ValueError(f"model input: must be 'gray', 'max' or 'projections', got {input!r}")
