"""A detector, embedded or own: P(nodule) of patches and of candidates, without TensorFlow."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.detector_network import STAGES, DetectorNetwork, Floats
from lidcflow.nodules.weight_files import DETECTOR
from lidcflow.nodules.window import windowed

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the detector that ships in the package."""

WEIGHT_FILE, CARD_FILE = DETECTOR.weights, DETECTOR.card

LEAST_SCORE = 1e-3
"""Scores of the filter below count as this one: their logarithm goes into P."""

NARROW, WIDE = 0, 1
"""Widths of a candidate's patches, by their place along that axis."""

PARTS = ("first", "second", "shortcut")

LAYERS = ["stem", "logit", *(f"stage{stage}_{part}" for stage in range(1, STAGES + 1) for part in PARTS)]


@dataclass(frozen=True)
class Calibration:
    """Calibration of a candidate's logit and the filter's score to P(nodule): a logistic model.

    Attributes
    ----------
    intercept, logit, log_score : float
        P is the sigmoid of their sum, times 1, the mean logit of three planes and the logarithm of the filter's score.
    threshold : float
        P from which a candidate is a finding.
    """

    intercept: float
    logit: float
    log_score: float
    threshold: float


@dataclass(frozen=True)
class Detector:
    """Networks and the calibration of their candidates.

    Attributes
    ----------
    networks : tuple of DetectorNetwork
        Each for one of the `widths`.
    calibration : Calibration
    card : mapping
        What the detector was trained on and what it reaches; see docs/detector.md.
    sha256 : str
        Digest of the weight file.
    """

    networks: tuple[DetectorNetwork, ...]
    calibration: Calibration
    card: Mapping[str, Any]
    sha256: str

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of the patches that each network looks at; `NARROW` where the card names none."""
        return tuple(self.card.get("widths", (NARROW,) * len(self.networks)))

    def patch_logits(self, grey: NDArray[np.uint8]) -> Floats:
        """Return the logits of narrow 8-bit patches: the mean over networks, and over the patch and its mirror images.

        Parameters
        ----------
        grey : (n, 48, 48) array of uint8
            In the detector's window, see `lidcflow.nodules.window`.

        Returns
        -------
        (n,) array of float32
        """
        views = (grey, grey[:, ::-1], grey[:, :, ::-1], grey.transpose(0, 2, 1))
        logits = [network(view) for network in self._networks_of(NARROW) for view in views]
        return np.asarray(np.mean(logits, axis=0), np.float32)

    def candidate_logits(self, patches: NDArray[np.integer]) -> Floats:
        """Return the logits of candidates: of each width the mean over networks and three planes, added up.

        Parameters
        ----------
        patches : (n, 2, 3, 48, 48) array of int
            HU, from `lidcflow.nodules.patches.cut_patches`.

        Returns
        -------
        (n,) array of float32
        """
        of_widths = [self._width_logits(windowed(patches[:, width]), width) for width in sorted(set(self.widths))]
        return np.asarray(np.sum(of_widths, axis=0), np.float32)

    def _width_logits(self, grey: NDArray[np.uint8], width: int) -> NDArray[np.floating]:
        n, planes, rows, columns = grey.shape
        flat = grey.reshape(n * planes, rows, columns)
        logits = np.mean([network(flat) for network in self._networks_of(width)], axis=0)
        return np.asarray(logits.reshape(n, planes).mean(axis=1))

    def _networks_of(self, width: int) -> tuple[DetectorNetwork, ...]:
        return tuple(one for one, of_width in zip(self.networks, self.widths, strict=True) if of_width == width)

    def probabilities(self, patches: NDArray[np.integer], score: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return P(nodule) of candidates.

        Parameters
        ----------
        patches : (n, 2, 3, 48, 48) array of int
            HU, from `lidcflow.nodules.patches.cut_patches`.
        score : (n,) array
            The filter's score of each.

        Returns
        -------
        (n,) array of float64
        """
        return calibrated(self.candidate_logits(patches), score, self.calibration)


def calibrated(
    logits: NDArray[np.floating], score: NDArray[np.floating], calibration: Calibration
) -> NDArray[np.float64]:
    """Turn logits and scores into probabilities.

    Examples
    --------
    >>> calibrated(np.array([2.0]), np.array([1.0]), Calibration(-2.0, 1.0, 0.5, 0.5))
    array([0.5])
    """
    log_score = np.log(np.maximum(np.asarray(score, np.float64), LEAST_SCORE))
    total = calibration.intercept + calibration.logit * logits + calibration.log_score * log_score
    return np.asarray(np.exp(-np.logaddexp(0, -total)))


@cache
def embedded_detector() -> Detector:
    """Read the detector that ships in the package, once in a process.

    Raises
    ------
    WeightsError
        If its files are missing or damaged.
    """
    return read_detector(WEIGHTS)


def read_detector(folder: Path) -> Detector:
    """Read a detector: weights and card.

    Parameters
    ----------
    folder : Path
        With ``detector.npz`` and ``detector.json``, as `write_detector` leaves them.

    Raises
    ------
    WeightsError
        If a file is missing, or is not the one that the card speaks of.
    """
    return DETECTOR.read(folder, _made)


def _made(content: bytes, card: dict[str, Any], digest: str) -> Detector:
    detector = Detector(_networks(content), Calibration(**card["calibration"]), card, digest)
    if len(detector.widths) != len(detector.networks) or not {NARROW} <= {*detector.widths} <= {NARROW, WIDE}:
        raise ValueError(f"{len(detector.networks)} networks for widths {detector.widths}")
    return detector


def _networks(content: bytes) -> tuple[DetectorNetwork, ...]:
    """Split the arrays of a file by network; their names begin with the number of the network."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        networks: dict[str, dict[str, Floats]] = {}
        for name in arrays.files:
            number, _, layer = name.partition("/")
            networks.setdefault(number, {})[layer] = arrays[name].astype(np.float32)
    for weights in networks.values():
        _check(weights)
    return tuple(DetectorNetwork(networks[number]) for number in sorted(networks))


def _check(weights: Mapping[str, Floats]) -> None:
    expected = {f"{layer}/{part}" for layer in LAYERS if layer != "stage1_shortcut" for part in ("kernel", "bias")}
    if weights.keys() != expected:
        raise ValueError(f"layers {', '.join(sorted(weights.keys() ^ expected))} amiss")
    if not all(np.isfinite(array).all() for array in weights.values()):
        raise ValueError("weights that are no numbers")


def write_detector(folder: Path, networks: list[Mapping[str, Floats]], card: Mapping[str, Any]) -> str:
    """Write a detector as float16: same weights, same bytes.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    networks : list of mappings
        Weights of each network, as `DetectorNetwork` takes them.
    card : mapping
        With ``calibration``; the digest is put in here.

    Returns
    -------
    str
        SHA-256 of the weight file.
    """
    arrays = {f"{i}/{name}": array.astype(np.float16) for i, one in enumerate(networks) for name, array in one.items()}
    return DETECTOR.write(folder, arrays, card)
