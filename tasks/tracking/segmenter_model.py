"""A registered segmenter as MLflow loads it for people: cubes in, P(inside the nodule) of their voxels out.

lidcflow itself reads the weights by `tasks.tracking.weights.WeightsModel.load`, and never runs the copy of this file
that lies beside a model.
"""

from pathlib import Path

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from lidcflow.nodules.segmenter import read_segmenter


class SegmenterModel(PythonModel):
    """Applies a segmenter to cubes."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read weights and card."""
        self.segmenter = read_segmenter(Path(context.artifacts["segmenter"]))

    # MLflow would take hints for a schema of its own.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002
        """Return P(inside the nodule) of each voxel.

        Parameters
        ----------
        context : PythonModelContext
            Not used.
        model_input : mapping
            ``cubes``, (n, 48, 48, 48) HU as stored, the nodule in the middle, and ``voxel_mm``, (n,) edges of their
            voxels.
        params : mapping, optional
            Not used.
        """
        voxel_mm = np.asarray(model_input["voxel_mm"], np.float64).tolist()
        return self.segmenter.probabilities(np.asarray(model_input["cubes"]), voxel_mm)


set_model(SegmenterModel())
