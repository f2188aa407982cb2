"""Weights of a slice's own probability and of its candidates', as a release pins them; without SciPy."""

from __future__ import annotations

import math

from lidcflow.stats.estimate import Record

LEAST, MOST = 1e-4, 1 - 1e-4
"""Probabilities beyond these count as these, so that their logits stay finite."""


class JoinWeights(Record):
    """Weights that join two probabilities of a nodule: a sum of their logits.

    Parameters
    ----------
    bias : float
        Added to the sum.
    slices, candidates : float
        Weights of the slice's own probability and of its best candidate's; not negative.
    """

    bias: float
    slices: float
    candidates: float

    @classmethod
    def independent(cls, share: float) -> JoinWeights:
        """Return the weights by Bayes' rule for two independent observations of slices.

        Parameters
        ----------
        share : float
            Share of slices with a nodule, where both probabilities were calibrated.

        Examples
        --------
        >>> JoinWeights.independent(0.5)
        JoinWeights(bias=0.0, slices=1.0, candidates=1.0)
        """
        share = min(max(share, LEAST), MOST)
        return cls(bias=math.log((1 - share) / share), slices=1.0, candidates=1.0)


FINDINGS_ALONE = JoinWeights(bias=0.0, slices=0.0, candidates=1.0)
"""Weights for slices that have only a height prior: the findings alone decide P(malignant)."""
