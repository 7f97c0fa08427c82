"""When a run logs, draws, saves and ends."""

from typing import NamedTuple

from dcgan.runs.checkpoints import is_milestone
from dcgan.runs.settings import Config

EARLY_GRIDS = 100, 200, 500, 1_000  # the first epoch of a full-size run takes hours
GRID_GAP = 100  # an epoch of a small data set takes seconds


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
        """Returns whether a grid is drawn after the step, wherever the run ends.

        The end of an epoch draws none within ``GRID_GAP`` steps of the grid before. Where the run was interrupted does
        not matter, so a resumed run draws the same grids.
        """
        epochs = -(-GRID_GAP // self.epoch_steps)  # from one that may draw to the next
        return self._must_sample(step) or (step % (epochs * self.epoch_steps) == 0 and not any(
            map(self._must_sample, range(step - GRID_GAP + 1, step))))

    def _must_sample(self, step):
        every = self.config.sample_steps
        return step in (0, *EARLY_GRIDS) or (every is not None and step % every == 0)

    def is_saved(self, step):
        """Returns whether a checkpoint is saved after the step."""
        return (step % self.config.save_steps == 0 or is_milestone(step, self.epoch_steps)
                or self.is_evaluated(step))

    def epoch(self, step):
        """Returns the number of the epoch, from 1, that a step belongs to."""
        return max(1, -(-step // self.epoch_steps))
