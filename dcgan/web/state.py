"""What the page shows of a run."""

import contextlib
import sys
from typing import NamedTuple

from dcgan.errors import UserError
from dcgan.progress import Progress
from dcgan.sampling.checkpoint import find, read_all
from dcgan.sampling.draw import moment
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.real_images import RealImages, epoch_steps_of, open_training_images


class ExplorerState(NamedTuple):
    """A run, ready to draw from each of its checkpoints.

    Attributes:
      name: of the run directory, or of the pretrained generator.
      generators: TrainedGenerators by step, at least one.
      moments: the step and epoch of each generator, in words.
      real_images: the RealImages that the run was trained on; None if they are not available.
    """

    name: str
    generators: list[TrainedGenerator]
    moments: list[str]
    real_images: RealImages | None


@contextlib.contextmanager
def open_explorer(model_dir, weights, dataset_dir, cache_dir):
    """A context that gives the ExplorerState of a run. What cannot be read is reported and skipped.

    Args:
      model_dir: the run directory, a Path; None is the pretrained generator.
      weights: as ``sampling.checkpoint.read`` takes them.
      dataset_dir, cache_dir: as ``open_real_images`` takes them.

    Raises:
      UserError: no checkpoint can be read, or ``dataset_dir`` is given and does not hold the training images.
    """
    with contextlib.ExitStack() as stack:
        paths = find(model_dir, 'latest' if model_dir is None else 'all')
        checkpoints = read_all(Progress('checkpoints', len(paths), 'checkpoints').of(paths), weights)
        generators = [stack.enter_context(TrainedGenerator(checkpoint)) for checkpoint in checkpoints]
        run, size = generators[0].checkpoint.run, generators[0].size
        epoch_steps = epoch_steps_of(run)
        moments = [moment(generator.checkpoint.step, epoch_steps) for generator in generators]
        yield ExplorerState(run.stem if model_dir is None else model_dir.resolve().name, generators, moments,
                            _training_images(run, size, dataset_dir, cache_dir))


def _training_images(run, size, dataset_dir, cache_dir):
    try:
        return open_training_images(run, size, dataset_dir, cache_dir)
    except UserError as error:
        if dataset_dir is not None:
            raise
        print(f'{error}; the page shows no nearest training images', file=sys.stderr, flush=True)
        return None
