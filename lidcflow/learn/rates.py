"""The learning rate of a training: a warm-up, then a cosine."""

from __future__ import annotations

from lidcflow.learn.runtime import keras

WARMUP = 20
"""The rate rises for a twentieth of the steps."""


class WarmedCosine(keras.optimizers.schedules.CosineDecay):  # type: ignore[misc]
    """Keras' schedule with a warm-up, without its branch.

    An optimizer whose weights decay asks for the rate once for each of them. Keras makes a branch each time: a third
    of the time that TensorFlow takes to trace a step of the detector's training.
    """

    def __call__(self, step: keras.KerasTensor) -> keras.KerasTensor:
        """Return the rate of a step."""
        last = self.decay_steps + self.warmup_steps
        done = keras.ops.minimum(keras.ops.cast(step, "float32"), float(last))
        rising = self._warmup_function(
            done, float(self.warmup_steps), self.warmup_target, keras.ops.convert_to_tensor(self.initial_learning_rate)
        )
        falling = self._decay_function(
            done - float(self.warmup_steps), float(self.decay_steps), self.warmup_target, "float32"
        )
        return keras.ops.where(done < float(self.warmup_steps), rising, falling)


def warmed_cosine(highest: float, steps: int, *, least: float = 0.01) -> WarmedCosine:
    """Return the schedule of a training.

    Parameters
    ----------
    highest : float
        Rate at the end of the warm-up.
    steps : int
        Of the optimizer.
    least : float
        Share of `highest` that the rate ends with.
    """
    warmup = max(1, steps // WARMUP)
    return WarmedCosine(0.0, max(1, steps - warmup), alpha=least, warmup_target=highest, warmup_steps=warmup)
