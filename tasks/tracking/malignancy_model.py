"""A registered malignancy system as MLflow loads it for people: cubes and diameters in, P(malignant) out.

lidcflow itself reads the weights by `tasks.tracking.weights.WeightsModel.load`, and never runs the copy of this file
that lies beside a model.
"""

from pathlib import Path

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from lidcflow.nodules.malignancy import read_malignancy
from lidcflow.nodules.outline import outline_of
from lidcflow.nodules.segmenter import embedded_segmenter


class MalignancyOfCubes(PythonModel):
    """Applies a malignancy system to cubes, outlined by the segmenter of the installed lidcflow."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read weights and card."""
        self.system = read_malignancy(Path(context.artifacts["malignancy"]))

    # MLflow would take hints for a schema of its own.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002
        """Return P(malignant) of the nodules in the middle of cubes.

        Parameters
        ----------
        context : PythonModelContext
            Not used.
        model_input : mapping
            ``cubes``, (n, 48, 48, 48) HU as stored, ``voxel_mm``, (n,) edges of their voxels, and ``diameter_mm``,
            (n,) diameters of the nodules.
        params : mapping, optional
            Not used.
        """
        cubes, voxel_mm = np.asarray(model_input["cubes"]), np.asarray(model_input["voxel_mm"], np.float64)
        inside = embedded_segmenter().probabilities(cubes, voxel_mm.tolist())
        diameters_mm = np.asarray(model_input["diameter_mm"], np.float64)
        rows = zip(cubes, voxel_mm.tolist(), inside, diameters_mm.tolist(), strict=True)
        answers = [self.system.answer(cube, mm, outline_of(p, mm), diameter) for cube, mm, p, diameter in rows]
        return np.array([one.probability for one in answers])


set_model(MalignancyOfCubes())
