"""A learning-rate schedule that replays the end of another."""

import keras


@keras.saving.register_keras_serializable(package="pruninglib")
class EndOf(keras.optimizers.schedules.LearningRateSchedule):
    """The end of a learning-rate schedule, from iteration `offset` on, its rates times `scale`.

    The scale is a variable, to be changed without a compilation.
    """

    def __init__(self, schedule, offset=0, scale=1.0):
        self.schedule = keras.optimizers.schedules.deserialize(schedule)
        self.offset = offset
        self.scale = keras.Variable(scale, dtype="float32", trainable=False)

    def __call__(self, step):
        return self.scale * self.schedule(step + self.offset)

    def get_config(self):
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "offset": self.offset, "scale": float(self.scale)}


def whole(schedule):
    """Return the schedule of which this one is the end, or this one."""
    return whole(schedule.schedule) if isinstance(schedule, EndOf) else schedule
