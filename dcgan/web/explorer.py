"""What the page shows of a run: its checkpoints, each read when it is shown, and its training images."""

import functools
import threading

import numpy as np

from dcgan.progress import Progress
from dcgan.sampling.draw import neighbours
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import find, open_run, read, read_all, step_of
from dcgan.sampling.population import cached_statistics, population_statistics
from dcgan.sampling.real_images import epoch_steps_of, open_training_images


class Explorer:
    """A run, or the pretrained generator.

    Attributes:
      name: of the run directory, or of the pretrained generator.
      steps: of all checkpoints, in ascending order; one may be None.
      epoch_steps: steps of an epoch; None if that is not known.
      newest: the index of the newest checkpoint that can be read.
      weights: 'ema' or 'trained', those that it has; the first are shown first.
      size: height and width of a face, in pixels.
      generator: function of the index of a checkpoint, weights and a scale (1); returns a TrainedGenerator.
      training_images: function without arguments; returns the RealImages of the training.
      nearest: function of the index of a checkpoint, weights and a seed or SavedLatent; returns what
        ``draw.neighbours`` does for its face.
    """

    def __init__(self, run, weights, dataset_dir, cache_dir):
        """Reads the newest checkpoint.

        Args:
          run: the run directory or an exported generator, as ``open_run`` returns it; None is the pretrained one.
          weights: as ``sampling.generator_checkpoint.read`` takes them.
          dataset_dir, cache_dir: as ``open_training_images`` takes them.

        Raises:
          UserError: no checkpoint can be read, or ``dataset_dir`` is given and does not hold the training images.
        """
        run = run or open_run(None)
        self._paths = find(run, 'all')
        checkpoint = next(read_all(self._paths[::-1], weights))
        self.size = checkpoint.size
        self.name = run.resolve().name if run.is_dir() else run.stem
        self.steps = list(map(step_of, self._paths)) if run.is_dir() else [checkpoint.step]
        self.epoch_steps = epoch_steps_of(run)
        self.newest = self._paths.index(checkpoint.path)
        has_both = run.is_dir() and weights == 'auto' and checkpoint.weights == 'ema'
        self.weights = ['ema', 'trained'] if has_both else [checkpoint.weights]
        self.generator = functools.lru_cache(maxsize=4)(
            lambda at, weights, scale=1: TrainedGenerator(read(self._paths[at], weights), scale=scale))
        self.training_images = functools.cache(
            lambda: open_training_images(run, self.size, dataset_dir, cache_dir))
        self.nearest = functools.lru_cache(maxsize=1024)(lambda at, weights, point: neighbours(
            self.generator(at, weights), np.array([point]), self.training_images(), count=5))
        if dataset_dir is not None:
            self.training_images()

    def prepare(self):
        """Starts a thread that estimates the population statistics that are not cached yet, the newest first."""
        missing = [path for path in reversed(self._paths) if not cached_statistics(path, self.weights[0]).exists()]

        def estimate():
            checkpoints = read_all(missing, self.weights[0])
            for checkpoint in Progress('population statistics', len(missing), 'checkpoints').of(checkpoints):
                population_statistics(checkpoint)

        if missing:
            threading.Thread(target=estimate, daemon=True).start()

    def generators(self, weights):
        """Yields the TrainedGenerator of each checkpoint that can be read; whoever takes one closes it."""
        checkpoints = read_all(self._paths, weights)
        for checkpoint in Progress('checkpoints', len(self._paths), 'checkpoints').of(checkpoints):
            yield TrainedGenerator(checkpoint, scale=2)
