"""The weights of a model that ships in the package, and their card, as two files that belong together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import WeightsError
from lidcflow.files import whole_file, write_together

Model = TypeVar("Model")
Card = dict[str, Any]


@dataclass(frozen=True)
class WeightFiles:
    """Names of the files of a kind of model.

    Attributes
    ----------
    model : str
        As errors name it.
    stem : str
        Of ``<stem>.npz`` and ``<stem>.json``.
    option : str
        Of `lidcflow pretrain`, which makes it.
    """

    model: str
    stem: str
    option: str

    @property
    def weights(self) -> str:
        """Name of the weight file."""
        return f"{self.stem}.npz"

    @property
    def card(self) -> str:
        """Name of the card."""
        return f"{self.stem}.json"

    def read(self, folder: Path, make: Callable[[bytes, Card, str], Model]) -> Model:
        """Read weights and card, and return the model that is made of them.

        Parameters
        ----------
        folder : Path
            With both files, as `write` leaves them.
        make : callable
            Takes the bytes of the weight file, the card and the digest; raises ValueError where they are amiss.

        Raises
        ------
        WeightsError
            If a file is missing or damaged, or the card is of other weights.
        """
        try:
            content = (folder / self.weights).read_bytes()
            card = json.loads((folder / self.card).read_text("utf-8"))
            digest = hashlib.sha256(content).hexdigest()
            if digest != card["sha256"]:
                raise ValueError(f"weights of digest {digest[:12]} and a card of {card['sha256'][:12]}")
            return make(content, card, digest)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{self.model}: must be {self.weights} with its card {self.card}, got {_first_line(error)}; "
                f"install lidcflow again, or make it with `lidcflow pretrain {self.option}`"
            ) from None

    def write(self, folder: Path, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> str:
        """Write arrays and card, and return the SHA-256 of the weight file: same arrays, same bytes.

        Parameters
        ----------
        folder : Path
            Made if it does not exist.
        arrays : mapping of str to array
            As they are to be stored.
        card : mapping
            The digest is put in here.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / self.weights) as draft, draft.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        digest = hashlib.sha256((folder / self.weights).read_bytes()).hexdigest()
        text = json.dumps({**card, "sha256": digest}, indent=1, ensure_ascii=False)
        write_together({self.card: text + "\n"}, folder)
        return digest


def _first_line(error: Exception) -> str:
    return type(error).__name__ if isinstance(error, OSError) else (str(error).splitlines() or [""])[0][:200]


DETECTOR = WeightFiles("nodule detector", "detector", "--nodules")
SEGMENTER = WeightFiles("segmenter", "segmenter", "--segmenter")
MALIGNANCY = WeightFiles("malignancy model", "malignancy", "--malignancy")
