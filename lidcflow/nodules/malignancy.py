"""The malignancy model that ships in the package: P(malignant) of a nodule from one plane, without TensorFlow."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.nodules.detector_network import DetectorNetwork
from lidcflow.nodules.malignancy_answer import SIZE, TEXTURE, MalignancyAnswer, calibrated, unknown_texture
from lidcflow.nodules.malignancy_features import network_features, quantitative_features
from lidcflow.nodules.malignancy_system import KIND, MalignancySystem, made
from lidcflow.nodules.nodule_plane import plane_of
from lidcflow.nodules.nodule_views import NoduleViews
from lidcflow.nodules.outline import Outline
from lidcflow.nodules.weight_files import MALIGNANCY

Floats = NDArray[np.float64]

WEIGHTS = Path(__file__).parent / "weights"
WEIGHT_FILE, CARD_FILE = MALIGNANCY.weights, MALIGNANCY.card


@dataclass(frozen=True, eq=False)
class MalignancyModel:
    """A linear model of network features and QIF, with its calibration.

    Attributes
    ----------
    network : DetectorNetwork
        Whose stages give the features.
    kernel, bias : (features,) array of float64, float
        Of the mean rating, 1 to 5.
    card : mapping
        Data, split, target, calibration, ranges and figures; see docs/malignancy.md.
    sha256 : str
        Digest of the weight file.
    """

    network: DetectorNetwork
    kernel: Floats
    bias: float
    card: Mapping[str, Any]
    sha256: str

    @property
    def name(self) -> str:
        """The system that answers."""
        return str(self.card["name"])

    @property
    def kind(self) -> str:
        """Which of the kinds it is."""
        return "ridge"

    def answer(
        self, cube: NDArray[np.integer], voxel_mm: float, outline: Outline | None, diameter_mm: float
    ) -> MalignancyAnswer:
        """Return P(malignant) of the nodule in the middle of a cube.

        Parameters
        ----------
        cube : (slices, rows, columns) array of int
            HU.
        voxel_mm : float
            Edge of a voxel.
        outline : Outline, optional
            Names the slice to read; without it, the middle slice is read. The features' own mask is always that of
            `lidcflow.nodules.nodule_plane.nodule_mask`, as in training.
        diameter_mm : float
            Of the nodule: it is held against the sizes trained on.
        """
        image = cube[len(cube) // 2 if outline is None else outline.middle]
        probability, texture, _ = self.read([image], np.array([voxel_mm]))
        least, most = self.card["ranges"][SIZE]
        outside = [SIZE] if not least <= diameter_mm <= most else []
        return MalignancyAnswer(float(probability[0]), (*outside, *([TEXTURE] if texture[0] else [])))

    def read(
        self, images: Sequence[NDArray[np.integer]], pixel_mm: NDArray[np.floating]
    ) -> tuple[Floats, NDArray[np.bool_], Floats]:
        """Return P(malignant) of the nodules in the middle of images.

        Parameters
        ----------
        images : (n,) sequence of (rows, columns) arrays of int
            HU; axial.
        pixel_mm : (n,) array
            Distances of their pixels.

        Returns
        -------
        (n,) array of float64
            P(malignant).
        (n,) array of bool
            Whether the texture lies outside of what the model was trained on.
        (n,) array of float64
            Diameter by the image's own mask, mm.
        """
        planes = np.stack([plane_of(image, float(mm)) for image, mm in zip(images, pixel_mm, strict=True)])
        qif, diameter_mm = quantitative_features(planes)
        features = np.column_stack([network_features(self.network, images, pixel_mm), qif])
        rating = features @ self.kernel + self.bias
        texture = unknown_texture(qif, self.card["ranges"])
        return calibrated(rating, self.card["calibration"]), texture, diameter_mm

    def probabilities(self, views: NoduleViews) -> Floats:
        """Return P(malignant) of nodules, (n,)."""
        return self.read(list(views.image), views.voxel_mm)[0]


@cache
def embedded_malignancy() -> MalignancyModel:
    """Read the malignancy model that ships in the package, once in a process.

    Raises
    ------
    WeightsError
        If its files are missing or damaged.
    """
    return MALIGNANCY.read(WEIGHTS, _model)


def read_malignancy(folder: Path) -> MalignancyModel | MalignancySystem:
    """Read a malignancy model of any kind: weights and card.

    Parameters
    ----------
    folder : Path
        With ``malignancy.npz`` and ``malignancy.json``, as `write_malignancy` or
        `lidcflow.nodules.malignancy_system.write_system` leaves them. A card without a kind is that of the package.

    Raises
    ------
    WeightsError
        If a file is missing, or is not the one that the card describes.
    """
    return MALIGNANCY.read(folder, _any_kind)


def _any_kind(content: bytes, card: dict[str, Any], digest: str) -> MalignancyModel | MalignancySystem:
    return made(content, card, digest) if KIND in card else _model(content, card, digest)


def _model(content: bytes, card: Mapping[str, Any], digest: str) -> MalignancyModel:
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("weights that are no numbers")
    kernel, bias = arrays.pop("kernel").astype(np.float64), float(arrays.pop("bias"))
    if kernel.ndim != 1 or {SIZE, TEXTURE} - card["ranges"].keys() or not isinstance(card["name"], str):
        raise ValueError(f"a kernel of shape {kernel.shape} and ranges of {sorted(card['ranges'])}")
    float(calibrated(np.zeros(1), card["calibration"])[0])
    network = DetectorNetwork({name: array.astype(np.float32) for name, array in arrays.items()})
    return MalignancyModel(network, kernel, bias, card, digest)


def write_malignancy(folder: Path, network: DetectorNetwork, kernel: Floats, bias: float, card: dict[str, Any]) -> str:
    """Write a malignancy model, the network as float16: same weights, same bytes.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    network : DetectorNetwork
        Whose stages give the features.
    kernel, bias : (features,) array of float64, float
        Of the mean rating.
    card : dict
        With ``name``, ``calibration`` and ``ranges``; the digest is put in here.

    Returns
    -------
    str
        SHA-256 of the weight file.
    """
    arrays: dict[str, NDArray[Any]] = {name: array.astype(np.float16) for name, array in network.weights.items()}
    arrays |= {"kernel": kernel.astype(np.float32), "bias": np.array(bias, np.float32)}
    return MALIGNANCY.write(folder, arrays, card)
