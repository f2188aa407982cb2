"""Models that are weights with a card, in MLflow: logged by the task that trained them, loaded as plain NumPy.

Each is a model from code without a pickle: its files are artifacts of MLflow's pyfunc flavour, which loads them for
people; lidcflow itself reads the files, and never runs the copy of the code that lies beside a model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, TypeVar

import mlflow
from mlflow.models import Model, ModelSignature

from lidcflow.errors import ReleaseError
from lidcflow.files import digest_of_file
from lidcflow.nodules.weight_files import WeightFiles
from lidcflow.release.pins import ModelPin
from tasks.tracking.artifacts import private_copy
from tasks.tracking.connection import Tracking
from tasks.tracking.model_files import hash_model_files
from tasks.tracking.models import LoggedModel
from tasks.tracking.requirements import installed
from tasks.tracking.runs import Run
from tasks.tracking.weight_models import load_weights, weights_folder

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class WeightsModel(Generic[Loaded]):
    """A kind of model that is weights with a card.

    Attributes
    ----------
    files : WeightFiles
        Names of both.
    read : callable
        Reads a model from a folder with both; raises WeightsError.
    code : Path
        What MLflow loads it with for people.
    signature : callable
        Returns what goes in and comes out.
    """

    files: WeightFiles
    read: Callable[[Path], Loaded]
    code: Path
    signature: Callable[[], ModelSignature]

    @property
    def folder(self) -> str:
        """Folder of both in the pyfunc flavour. The file `MLmodel` could name another place: it is not read."""
        return weights_folder(self.files)

    def log(self, run: Run, tracking: Tracking, folder: Path) -> LoggedModel:
        """Log a model.

        Parameters
        ----------
        run : Run
            Of the training.
        tracking : Tracking
            Where MLflow is.
        folder : Path
            With weights and card.

        Raises
        ------
        ReleaseError
            If the storage returns other weights than it was given.
        """
        # A logged model lands in the experiment that is set for the process, whatever the run's own is.
        mlflow.set_experiment(experiment_id=run.client.get_run(run.run_id).info.experiment_id)
        with TemporaryDirectory() as scratch, warnings.catch_warnings(), installed("lidcflow") as requirements:
            warnings.simplefilter("ignore", UserWarning)  # of hints and examples: the signature says what goes in
            info = Model.log(
                artifact_path=None,
                name=self.files.stem,
                flavor=mlflow.pyfunc,
                python_model=str(self.code),
                artifacts={self.files.stem: str(self._copied(folder, Path(scratch) / self.files.stem))},
                signature=self.signature(),
                pip_requirements=requirements,
                run_id=run.run_id,
            )
        with private_copy(tracking, info.model_uri, f"model {info.model_uri}") as kept:
            stored, given = kept / self.folder / self.files.weights, folder / self.files.weights
            if digest_of_file(stored) != digest_of_file(given):
                raise ReleaseError(
                    f"model {info.model_uri}: the storage must return the weights that it was given, got others; look "
                    "at the disk, and run the same command again"
                )
            return LoggedModel(info.model_uri, info.model_id, run.run_id, hash_model_files(kept))

    def _copied(self, folder: Path, place: Path) -> Path:
        """Copy weights and card: a kept model has other files beside them."""
        place.mkdir()
        for name in (self.files.weights, self.files.card):
            (place / name).write_bytes((folder / name).read_bytes())
        return place

    def load(self, tracking: Tracking, name: str, version: int, sha256: str) -> Loaded:
        """Load a registered model; it needs no TensorFlow, and runs no code that lies in the registry.

        Parameters
        ----------
        tracking : Tracking
            Where MLflow is.
        name : str
            The registered model.
        version : int
            Its version.
        sha256 : str
            Of all its files, as a release pins it.

        Raises
        ------
        ReleaseError
            If it is gone, has changed, or is of another kind.
        """
        return load_weights(self.files, self.read, tracking, ModelPin(name=name, version=version, sha256=sha256))
