"""Settings of the nodule detector's training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NoduleTraining:
    """Settings of the detector's training; the card in the package lists those of its weights.

    Attributes
    ----------
    steps, more_steps, batch_size : int
        Steps of the optimizer for the base network, further ones for those that go on from it, and patches in each.
    learning_rate, lower_rate : float
        Highest rates of both; a rate rises for a twentieth of the steps and falls along a cosine.
    weight_decay : float
        Decay of the weights, times the rate.
    average : float
        Momentum of the mean of weights that is kept in the end.
    seed : int
        Seed of initial weights, order and variations.
    """

    steps: int = 5000
    more_steps: int = 2000
    batch_size: int = 64
    learning_rate: float = 1.5e-3
    lower_rate: float = 1.2e-3
    weight_decay: float = 0.03
    average: float = 0.997
    seed: int = 0
