"""How a number changes over the steps of a training: functions of the step that return a float32 scalar."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfvae")
class Schedule:
    """Weight of the rate at a step.

    Args:
        kind: "constant"; "linear": from 0 to `value` over `steps`, then constant; "cyclical": in each cycle of `steps`
            a linear rise over its first half, then constant (Fu et al. 2019).
        value: The value reached.
        steps: Length of the rise, or of a cycle.
    """

    def __init__(self, kind="constant", value=1.0, steps=1):
        if kind not in ("constant", "linear", "cyclical"):
            raise ValueError(f"kind must be constant, linear or cyclical, got {kind!r}.")
        self.kind, self.value, self.steps = kind, value, steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        if self.kind == "constant":
            return tf.constant(self.value, tf.float32)
        if self.kind == "linear":
            return self.value * tf.minimum(step / self.steps, 1.0)
        return self.value * tf.minimum(2.0 * tf.math.floormod(step, float(self.steps)) / self.steps, 1.0)

    def get_config(self):
        return {"kind": self.kind, "value": self.value, "steps": self.steps}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def learning_rate(first, last, steps):
    """Returns a Keras schedule that falls (or rises) exponentially from `first` to `last` over `steps`."""
    return keras.optimizers.schedules.ExponentialDecay(first, decay_steps=max(steps, 1), decay_rate=last / first)
