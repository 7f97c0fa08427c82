"""When a run logs, draws, saves and ends."""

from typing import NamedTuple

from dcgan.runs.checkpoints import is_milestone
from dcgan.runs.config import Config


class Schedule(NamedTuple):
    """What happens after which step; steps are numbered by the updates done.

    Attributes:
      config: the Config.
      epoch_steps: steps per epoch.
      last_step: the last step of the run.
      step_images: images per step, on all workers.
    """

    config: Config
    epoch_steps: int
    last_step: int
    step_images: int

    def is_logged(self, step):
        """Returns whether the step is logged."""
        return step % self.config.log_steps == 0 or self.is_evaluated(step)

    def is_evaluated(self, step):
        """Returns whether the generator is measured after the step."""
        return self.config.evaluate_steps is not None and step % self.config.evaluate_steps == 0

    def is_sampled(self, step):
        """Returns whether a grid is drawn after the step."""
        every = self.config.sample_steps
        return step % self.epoch_steps == 0 or (every is not None and step % every == 0)

    def is_saved(self, step):
        """Returns whether a checkpoint is saved after the step."""
        return (step % self.config.save_steps == 0 or is_milestone(step, self.epoch_steps)
                or self.is_evaluated(step))

    def epoch(self, step):
        """Returns the number of the epoch, from 1, that a step belongs to."""
        return max(1, -(-step // self.epoch_steps))
