"""A registered detector as MLflow loads it for people: patches and filter scores in, P(nodule) out.

lidcflow itself reads the weights by `tasks.tracking.weights.WeightsModel.load`, and never runs the copy of this file
that lies beside a model.
"""

from pathlib import Path

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from lidcflow.nodules.detector import read_detector


class DetectorModel(PythonModel):
    """Applies a detector to the patches and scores of candidates."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read weights and card."""
        self.detector = read_detector(Path(context.artifacts["detector"]))

    # MLflow would take hints for a schema of its own.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002
        """Return P(nodule) of candidates.

        Parameters
        ----------
        context : PythonModelContext
            Not used.
        model_input : mapping
            ``patches``, (n, 2, 3, 48, 48) HU as stored, and ``score``, (n,) scores of the filter.
        params : mapping, optional
            Not used.
        """
        return self.detector.probabilities(np.asarray(model_input["patches"]), np.asarray(model_input["score"]))


set_model(DetectorModel())
