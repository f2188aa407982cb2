"""The learning rate that trainings take from Keras' schedule."""

import numpy as np
import pytest

from lidcflow.learn.rates import warmed_cosine
from lidcflow.learn.runtime import keras


@pytest.mark.parametrize(("steps", "warmup"), [(2, 1), (60, 3)])
def test_each_step_has_the_rate_that_keras_gives_it(steps, warmup):
    known = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, alpha=0.01, warmup_target=3e-3, warmup_steps=warmup
    )

    rate = warmed_cosine(3e-3, steps)

    np.testing.assert_array_equal(
        [float(rate(step)) for step in range(steps + 5)], [float(known(step)) for step in range(steps + 5)]
    )


def test_the_rate_rises_for_a_twentieth_of_the_steps_and_falls_to_its_least_share():
    rates = [float(warmed_cosine(1.0, 40, least=0.1)(step)) for step in range(41)]

    assert rates[:3] == [0, 0.5, 1]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)
